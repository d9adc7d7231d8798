# SPDX-License-Identifier: GPL-2.0-or-later
"""The two hosts of the lab: libvirt, as any client sees it, and the agent."""

import xmlrpc.client

import libvirt

from dirtylab import guest
from dirtylab.errors import LabError

# libvirt prints errors by itself, which are told here when they matter.
libvirt.registerErrorHandler(lambda *_: None, None)


class Console(guest.Console):
    """The load's lines, read through the agent."""

    def __init__(self, host, path):
        super().__init__(path)
        self._agent = host.agent

    def read(self):
        try:
            data = self._agent.read(self.path, self._offset)
        except xmlrpc.client.Fault:
            data = b""          # not there yet
        self._offset += len(data)
        return data


class HeldMemory:
    """A guest's memory on one of the hosts, for digest.differing()."""

    def __init__(self, host, path):
        self.agent = host.agent
        self.handle = self.agent.hold(path)

    def chunks(self):
        return self.agent.chunks(self.handle)

    def pages(self, chunk):
        return self.agent.pages(self.handle, chunk)

    def release(self):
        self.agent.release(self.handle)


# What threads wait for, which end of a monitor has not read what the other has
# sent, and where they are, if there is a gdb: --copy /usr/bin/gdb:/opt/gdb/gdb.
SITUATION = """
ps -eLo pid,tid,stat,pcpu,wchan:20,comm | grep -E 'libvirt|rpc-|prio-|vm-|qemu|CPU|mig|reaper'
ss -xpn | grep -E 'monitor|Recv'
ss -tpn
tail -n 5 /var/log/libvirt/libvirtd.log /var/log/libvirt/qemu/*.log
test -x /opt/gdb/gdb || exit
for p in $(pidof libvirtd qemu-system-x86_64 virsh python3); do
    timeout 120 /opt/gdb/gdb -nx -batch -p $p -ex 'thread apply all bt 14' 2>&1 |
        grep -E '^#|^Thread'
done
"""


def agent(name):
    return xmlrpc.client.ServerProxy(f"http://{name}:8000", allow_none=True,
                                     use_builtin_types=True)


class Host:
    def __init__(self, number):
        self.name = f"host{number}"
        self.uri = f"qemu+tcp://{self.name}/system"
        self.agent = agent(self.name)
        self.connect()

    def connect(self):
        """Anew, when libvirtd was restarted."""
        self.conn = libvirt.open(self.uri)

    def run(self, *command, check=True):
        status, output = self.agent.run(list(command))
        if check and status:
            raise LabError(f"{self.name}: {' '.join(command)}: status "
                           f"{status}: {output.strip()}")
        return output

    def situation(self):
        """For when nothing happens any more; from any thread."""
        return agent(self.name).run(["sh", "-c", SITUATION])[1]

    def memory(self, domain):
        """The file that is the domain's memory."""
        found = self.run("sh", "-c", "find /dev/shm/libvirt -type f "
                         f"-path '*-{domain}/*'").split()
        if len(found) != 1:
            raise LabError(f"{self.name}: one file of memory expected, "
                           f"there are {found}")
        return HeldMemory(self, found[0])

    def log(self, domain, lines=15):
        """What QEMU and libvirt said last."""
        return self.run("sh", "-c",
                        f"tail -n {lines} /var/log/libvirt/qemu/{domain}.log "
                        "/var/log/libvirt/libvirtd.log", check=False)
