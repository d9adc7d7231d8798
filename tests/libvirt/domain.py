# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain under load that moves between the hosts."""

import contextlib
import dataclasses
import json
import threading
import time
from xml.sax.saxutils import escape

import libvirt

from dirtylab import digest, stats
from dirtylab.errors import LabError, Timeout
from dirtylab.vm import BASE_CMDLINE, clock_options
from hosts import Console
from wait import wait

EMULATOR = "/opt/qemu/bin/qemu-system-x86_64"
GUEST = "/opt/guest"

PATIENCE = 4            # seconds of sending
LIVE = (libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE)
# MiB/s: slow enough to do something meanwhile, and to get to all memory, but not
# to the end as long as the guest writes; as fast as it goes.
ENDLESS = 8
SLOW = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: ENDLESS}
FAST = 1000
OVER = {"over": True}
SENDER = "mig/src/main"


@dataclasses.dataclass(frozen=True)
class Spec:
    name: str
    ring: int = 4096            # 0: no ring
    mem: int = 256              # MiB
    vcpus: int = 1
    load: str = "mib=64,rate=5000"
    emulator: str = EMULATOR

    def xml(self):
        ring = (f"<dirty-ring state='on' size='{self.ring}'/>"
                if self.ring else "")
        cmdline = " ".join(filter(None, [BASE_CMDLINE, clock_options(),
                                         f"dirtyload={self.load}"]))
        # Memory is a file, so that it can be compared; KVM is hidden, or it
        # would write to pages of the guest on the destination.
        return f"""
<domain type='kvm'>
  <name>{self.name}</name>
  <memory unit='MiB'>{self.mem}</memory>
  <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>
  <vcpu>{self.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{GUEST}/vmlinuz</kernel>
    <initrd>{GUEST}/initrd</initrd>
    <cmdline>{escape(cmdline)}</cmdline>
  </os>
  <features><acpi/><apic/><kvm><hidden state='on'/>{ring}</kvm></features>
  <cpu mode='host-passthrough' check='none' migratable='on'/>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>{self.emulator}</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='/tmp/{self.name}.serial'/></serial>
    <console type='file'>
      <source path='/tmp/{self.name}.console' append='on'/>
      <target type='virtio' port='0'/>
    </console>
    <memballoon model='none'/>
  </devices>
</domain>"""


RING = Spec("ring", ring=4096)
LOG = Spec("log", ring=0)


@dataclasses.dataclass
class Moved:
    pages: int              # compared
    differing: list         # numbers of those that differ
    took: float             # seconds
    comparing: float


class Move(threading.Thread):
    """A migration under way. libvirt's call returns when it is over.

    It has a connection of its own.  With libvirt 9.0 a call that waits for its
    answer now and then kept those of other threads on the same connection from
    being sent: they hung until the migration was over, and libvirtd, with all
    but one of its threads idle, knew nothing of them."""

    def __init__(self, host, name, target, params, flags):
        super().__init__(daemon=True)
        self.conn = libvirt.open(host.uri)
        self.dom = self.conn.lookupByName(name)
        self.args = target.uri, params, flags
        self.error = None
        self.start()

    def run(self):
        try:
            self.dom.migrateToURI3(*self.args)
        except libvirt.libvirtError as err:
            self.error = err

    def wait(self, timeout=300):
        """Until it is over; returns libvirt's error or None."""
        self.join(timeout)
        if self.is_alive():
            raise Timeout(f"the migration is not over after {timeout} s")
        return self.error


class Domain:
    def __init__(self, spec, host, other):
        self.spec, self.host, self.other = spec, host, other
        self.dom = host.conn.defineXML(spec.xml())
        self.console = self._console()
        self.source_pid = None      # of QEMU, when it last began to migrate

    def start(self):
        self.dom.create()
        self.wait_load()

    def _console(self):
        return Console(self.host, f"/tmp/{self.spec.name}.console")

    def look_up(self):
        """Anew, on the host where it is."""
        self.dom = self.host.conn.lookupByName(self.spec.name)

    def running(self):
        return self.dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING

    def wait_load(self, timeout=240):
        """Until the guest has written some more; LabError if it lost a
        page, or died."""
        have = self.console.samples[-1].total if self.console.samples else -1
        end = time.monotonic() + timeout
        while True:
            last = self.console.poll()
            if self.console.corrupt or self.console.panics:
                raise LabError(f"the guest says: {self.console.corrupt[:3]} "
                               f"{self.console.panics[:3]}")
            if last and last.total > max(have, 0):
                return
            if time.monotonic() > end:
                raise Timeout(f"{self.spec.name} writes nothing on "
                              f"{self.host.name}: "
                              + self.host.log(self.spec.name))
            time.sleep(0.1)

    def monitor(self, command):
        """What QEMU's monitor answers, through libvirt."""
        answer = self.host.run("virsh", "qemu-monitor-command",
                               self.spec.name,
                               json.dumps({"execute": command}))
        return json.loads(answer)["return"]

    def tracking(self):
        """What QEMU tells of KVM's dirty tracking."""
        return self.monitor(stats.COMMAND)["kvm"]

    def pid(self):
        """QEMU's, on its host."""
        return int(self.host.run("cat",
                                 f"/run/libvirt/qemu/{self.spec.name}.pid"))

    def start_move(self, flags=0, **params):
        self.source_pid = self.pid()
        return Move(self.host, self.spec.name, self.other, params,
                    LIVE | flags)

    def job(self, moving):
        """What libvirt tells of a migration: OVER if it is over, nothing if no
        memory was sent yet."""
        if not moving.is_alive():
            return OVER
        try:
            told = self.dom.jobStats()
        except libvirt.libvirtError:
            return None         # it is just now coming to its end
        sent = told.get("memory_total", 0) - told.get("memory_remaining", 0)
        return told if sent > 0 else None

    def started(self, moving, pid):
        """QEMU has its thread that sends, or the migration is over."""
        names = self.host.run("sh", "-c",
                              f"cat /proc/{pid}/task/*/comm 2>/dev/null",
                              check=False).splitlines()
        return SENDER in names or not moving.is_alive()

    def sending(self, moving):
        """Wait until memory is being sent; what libvirt tells of it then, or
        OVER. libvirt, that once hung here (see Move), is not asked more than
        must be."""
        if moving.is_alive():
            pid = self.source_pid
            wait("QEMU starts to send", lambda: self.started(moving, pid), 240)
        return wait("memory is sent", lambda: self.job(moving), 240)

    def under_way(self, moving):
        """The same of a migration that cannot be over."""
        told = self.sending(moving)
        if told is OVER:
            raise LabError(f"the migration is over already: {moving.error}")
        return told

    def arrived(self):
        """It is the other host's now."""
        self.host, self.other = self.other, self.host
        self.look_up()
        self.console = self._console()
        self.console.poll()
        self.console.samples.clear()

    def move(self, flags=0, during=None, **params):
        """Migrate, compare all memory, go on there. DURING is called while
        memory is being sent, which goes slowly until it returns."""
        began = time.monotonic()
        before = self.host.memory(self.spec.name)
        if during:
            params.update(SLOW)
        moving = self.start_move(flags | libvirt.VIR_MIGRATE_PAUSED, **params)
        if during:
            self.under_way(moving)
            during()
            self.dom.migrateSetMaxSpeed(FAST)
        self.sending(moving)
        moving.join(PATIENCE)
        # Slow hosts: the pause may take as long as it needs.  Or it is over.
        with contextlib.suppress(libvirt.libvirtError):
            self.dom.migrateSetMaxDowntime(60000)
        error = moving.wait()
        if error:
            before.release()
            raise LabError(f"migration failed: {error}; "
                           + self.other.log(self.spec.name))
        there = time.monotonic()
        self.arrived()
        after = self.host.memory(self.spec.name)
        pages, differing = digest.differing(before, after)
        before.release()
        after.release()
        compared = time.monotonic()
        self.dom.resume()
        self.wait_load()
        return Moved(pages, differing, there - began, compared - there)

    def destroy(self):
        for host in (self.host, self.other):
            try:
                dom = host.conn.lookupByName(self.spec.name)
            except libvirt.libvirtError:
                continue
            if dom.isActive():
                dom.destroy()
            if dom.isPersistent():
                dom.undefine()
            host.run("rm", "-f", f"/tmp/{self.spec.name}.console")
