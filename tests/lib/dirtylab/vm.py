# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process with a guest whose RAM is a file that can be compared."""

import dataclasses
import os
import shutil
import subprocess
import tempfile
import time

from . import patience
from .errors import LabError, Timeout, Unavailable, VmDied
from .guest import Console, Shell, tail
from .qmp import Qmp

# The load's lines go to a paravirtual console: on a serial port each character
# is an exit, which costs the guest more than its load. What the kernel says
# before that console is there, and its last words, still go to the port.
BASE_CMDLINE = ("console=ttyS0 console=hvc0 quiet loglevel=3 panic=-1 "
                "no_timer_check mitigations=off cryptomgr.notests")


def clock_options():
    """The clock's speed, told: on a busy emulated host the guest would measure
    it wrongly, and with it everything that it tells about time."""
    khz = os.environ.get("LAB_TSC_KHZ")
    return f"tsc_early_khz={khz} tsc=reliable" if khz else ""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a machine is made of; source and destination share one."""

    qemu: str = ""
    accel: str = "kvm"              # all that follows -accel
    kernel: str = ""
    initrd: str = ""
    machine: str = "pc"
    cpu: str = ""                   # "" chooses by accelerator
    vcpus: int = 1
    maxcpus: int = 0                # 0: as many as there are vCPUs
    mem: int = 512                  # MiB
    maxmem: int = 0                 # MiB, with all DIMMs; 0: none is plugged
    ram: str = "file"               # that can be compared; "private": not
    ram_dir: str = ""               # where that file is; "": the usual place
    load: str = ""                  # the guest's load generator; "" is none
    load_option: str = "dirtyload"  # its name on the kernel command line
    vga: bool = False
    shared_bar: int = 0             # MiB of an extra PCI memory device
    cmdline: str = ""
    args: tuple = ()                # more QEMU arguments
    env: tuple = ()                 # pairs added to QEMU's environment

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    @property
    def accel_name(self):
        return self.accel.split(",")[0]

    def cpu_model(self):
        """KVM's own pages must not be in the guest's memory: it rewrites the
        one of its paravirtual clock on the destination, so that one page
        would differ that was not lost.

        Hiding KVM altogether does it; but Linux believes that a vCPU can be
        plugged into a machine only if it sees that this is a virtual one.
        """
        if self.cpu:
            return self.cpu
        if self.accel_name != "kvm":
            return "max"
        if self.maxcpus > self.vcpus:
            return ("host,kvmclock=off,kvm-steal-time=off,kvm-asyncpf=off,"
                    "kvm-asyncpf-int=off,kvm-pv-eoi=off")
        return "host,kvm=off"


def ram_directory(needed, wanted=""):
    """Where RAM files go: a tmpfs, and one with room for `needed` bytes."""
    wanted = wanted or os.environ.get("DIRTYLAB_RAM_DIR", "/dev/shm")
    if not os.path.isdir(wanted):
        raise Unavailable(f"{wanted}: no such directory; mount a tmpfs there "
                          "or set DIRTYLAB_RAM_DIR")
    stat = os.statvfs(wanted)
    free = stat.f_bavail * stat.f_frsize
    if free < needed:
        raise Unavailable(
            f"{wanted} has {free >> 20} MiB free, {needed >> 20} MiB are "
            "needed for guest memory; give the lab more memory (--mem) or "
            "the guest less")
    return wanted


class Lab:
    """A scratch directory and the machines started in it."""

    def __init__(self, keep=False):
        self.dir = tempfile.mkdtemp(prefix="dl-")
        self.keep = keep
        self.vms = []
        self._names = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def start(self, spec, incoming=False, paused=False, plugged=(), dimms=()):
        """Start a machine. `plugged` are the device arguments of what the
        source had hot-plugged, `dimms` the MiB of its DIMMs by name."""
        name = f"vm{self._names}"
        self._names += 1
        vm = Vm(self.dir, name, spec, incoming, paused, plugged)
        self.vms.append(vm)
        for dimm, mib in dict(dimms).items():
            vm.add_dimm(dimm, mib)
        vm.launch()
        return vm

    def drop(self, vm):
        vm.destroy()
        if vm in self.vms:
            self.vms.remove(vm)

    def close(self):
        for vm in list(self.vms):
            self.drop(vm)
        if self.keep:
            print(f"# kept: {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Vm:
    def __init__(self, directory, name, spec, incoming, paused, plugged):
        self.dir, self.name, self.spec = directory, name, spec
        self.incoming, self.paused = incoming, paused
        self.plugged = list(plugged)
        self.proc = None
        self.qmp = None
        self._shell = None
        self.ram = None
        self.bar = None
        self.dimms = {}                 # MiB by name
        self.migration_path = self._file("mig")
        self.console = Console(self._file("console"))
        self.serial_path = self._file("serial")
        self.stderr_path = self._file("stderr")
        self.trace_path = self._file("trace")
        self.expect_exit = False

    def _file(self, kind):
        return os.path.join(self.dir, f"{self.name}.{kind}")

    def command(self):
        s = self.spec
        maxcpus = s.maxcpus or s.vcpus
        argv = [
            s.qemu, "-name", f"{self.name},debug-threads=on",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", f"{s.machine},memory-backend=ram0",
            "-accel", s.accel,
            "-cpu", s.cpu_model(),
            "-smp", f"{s.vcpus},maxcpus={maxcpus}",
            "-m", (f"{s.mem}M,slots=1,maxmem={s.maxmem}M" if s.maxmem
                   else str(s.mem)),
            "-object", self._ram_object(),
            "-kernel", s.kernel, "-initrd", s.initrd,
            "-append", " ".join(filter(None, [
                BASE_CMDLINE, clock_options(), s.cmdline,
                f"{s.load_option}={s.load}" if s.load else ""])),
            "-serial", f"file:{self.serial_path}",
            "-chardev", f"socket,id=sh,path={self._file('shell')},"
                        "server=on,wait=off",
            "-serial", "chardev:sh",
            "-chardev", f"file,id=con,path={self.console.path}",
            "-device", "virtio-serial-pci,addr=3,max_ports=2",
            "-device", "virtconsole,chardev=con",
            "-qmp", f"unix:{self._file('qmp')},server=on,wait=off",
            "-no-reboot",
            "-trace", "enable=kvm_dirty_ring_full",
            "-trace", "enable=kvm_dirty_ring_reap",
            "-trace", "enable=kvm_dirty_ring_flush",
            "-D", self.trace_path,
        ]
        if s.vga:
            argv += ["-device", "VGA,id=vga0,addr=2,vgamem_mb=16,romfile="]
        if s.shared_bar:
            argv += [
                "-object", "memory-backend-file,id=bar0,share=on,"
                           f"size={s.shared_bar}M,mem-path={self.bar}",
                "-device", "ivshmem-plain,memdev=bar0,master=on,addr=5"]
        for device in self.plugged:
            argv += ["-device", device]
        for name, mib in self.dimms.items():
            argv += ["-object", f"memory-backend-file,id={name}-mem,share=on,"
                                f"size={mib}M,mem-path={self.dimm(name)}",
                     "-device", f"pc-dimm,id={name},memdev={name}-mem"]
        if self.incoming:
            argv += ["-incoming", "defer", "-S"]
        elif self.paused:
            argv += ["-S"]
        return argv + list(s.args)

    def _ram_object(self):
        if self.spec.ram == "private":
            return f"memory-backend-ram,id=ram0,size={self.spec.mem}M"
        # Where huge pages may be, guest and file must agree where they start.
        return ("memory-backend-file,id=ram0,share=on,"
                + ("align=2M," if self.spec.ram_dir else "")
                + f"size={self.spec.mem}M,mem-path={self.ram}")

    def _memory_path(self, kind, where):
        return os.path.join(
            where, f"{os.path.basename(self.dir)}-{self.name}.{kind}")

    def _make_files(self):
        """Guest memory and BAR that can be looked at from outside."""
        s = self.spec
        sizes = {"ram": s.mem << 20 if s.ram == "file" else 0,
                 "bar": s.shared_bar << 20}
        where = ram_directory(sum(sizes.values()), s.ram_dir)
        for kind, size in sizes.items():
            if not size:
                continue
            path = self._memory_path(kind, where)
            with open(path, "wb") as f:
                f.truncate(size)
            setattr(self, kind, path)

    def dimm(self, name):
        """The file with a DIMM's memory."""
        return self._memory_path(name, ram_directory(0, self.spec.ram_dir))

    def add_dimm(self, name, mib):
        """Make that file; returns its path."""
        ram_directory(mib << 20, self.spec.ram_dir)
        with open(self.dimm(name), "wb") as f:
            f.truncate(mib << 20)
        self.dimms[name] = mib
        return self.dimm(name)

    def remove_dimm(self, name):
        os.unlink(self.dimm(name))
        del self.dimms[name]

    def launch(self):
        s = self.spec
        self._make_files()
        argv = self.command()
        with open(self.stderr_path, "wb") as err:
            try:
                self.proc = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                    env={**os.environ, **dict(s.env)})
            except OSError as e:
                raise Unavailable(f"{s.qemu}: {e.strerror}") from e
        self.qmp = Qmp(self._file("qmp"), self.check_alive)

    def last_words(self):
        """The end of what the guest printed, for error messages."""
        return ("it printed:\n" + tail(self.serial_path)
                + tail(self.console.path))

    def stderr(self):
        try:
            with open(self.stderr_path, errors="replace") as f:
                return f.read().strip()
        except FileNotFoundError:
            return ""

    def hidden_pages(self):
        """What QEMU said of dirty pages that the dirty summary hid. Builds for
        tests recount at every sync (migration.x-dirty-summary-check)."""
        return [line for line in self.stderr().splitlines()
                if "dirty summary:" in line]

    def check_alive(self):
        """Raise VmDied, with all there is to say, when QEMU has ended."""
        status = self.proc.poll() if self.proc else 0
        if status is None:
            return
        self.console.poll()
        how = (f"was killed by signal {-status}" if status < 0
               else f"exited with status {status}")
        text = [f"{self.name}: QEMU {how}"]
        if status == 0:
            text.append("(with -no-reboot that is a guest that reset itself, "
                        "for instance by a triple fault)")
        if self.stderr():
            text.append("it said: " + self.stderr()[-800:])
        if self.console.panics:
            text.append("guest: " + "; ".join(self.console.panics[:3]))
        raise VmDied("\n".join(text))

    def status(self):
        return self.qmp.cmd("query-status")["status"]

    def shell(self):
        if self._shell is None:
            self._shell = Shell(self._file("shell"), self.check_alive)
        return self._shell

    def wait_load(self, timeout=180, lines=5):
        """Wait until the guest has booted and its load has got going."""
        have = len(self.console.samples)
        self._wait_console(
            lambda: len(self.console.samples) >= have + lines
            and self.console.samples[-1].total > 0,
            timeout, "the guest printed no load lines")

    def wait_shell(self, timeout=180):
        """Wait until the guest's shell answers."""
        end = time.monotonic() + patience.seconds(timeout)
        while True:
            try:
                self.shell().run("true", timeout=3)
                return
            except Timeout:
                if time.monotonic() > end:
                    raise Timeout(
                        f"{self.name}: the guest's shell did not answer in "
                        f"{timeout} s; {self.last_words()}") from None

    def _wait_console(self, done, timeout, what):
        timeout = patience.seconds(timeout)
        end = time.monotonic() + timeout
        while True:
            self.check_alive()
            self.console.poll()
            if done():
                return
            if self.console.panics:
                raise LabError(f"{self.name}: the guest crashed: "
                               + "; ".join(self.console.panics[:3]))
            if time.monotonic() > end:
                raise Timeout(f"{self.name}: {what} in {timeout} s; "
                              + self.last_words())
            time.sleep(0.05)

    def run_for(self, seconds):
        """Let the guest run while its console is followed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check_alive()
            self.console.poll()
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        self.console.poll()

    def threads(self):
        """{thread name: [task directory]} of the process."""
        found = {}
        base = f"/proc/{self.proc.pid}/task"
        for tid in os.listdir(base):
            try:
                with open(f"{base}/{tid}/comm") as f:
                    found.setdefault(f.read().strip(), []).append(
                        f"{base}/{tid}")
            except FileNotFoundError:
                continue
        return found

    def destroy(self):
        """End the process, whatever its state, and remove what it left."""
        for conn in (self.qmp, self._shell):
            if conn:
                conn.close()
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
        if self.proc:
            self.proc.wait()
        for path in (self.ram, self.bar, *map(self.dimm, self.dimms)):
            if path and os.path.exists(path):
                os.unlink(path)
