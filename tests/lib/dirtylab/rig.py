# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario works with: a running guest, checks, checked migrations.

Booting a guest takes most of a scenario's time, so scenarios that follow each
other share one as long as they want the same machine and it is still well.
"""

import functools
import time
import traceback

from . import config, kvm, migrate, patience, stats, trial
from .errors import LabError, Unavailable
from .tap import Tap
from .vm import Lab


def has_vga():
    """Whether guests can have a VGA card.  On an emulated host with Linux 7.3
    KVM gives up when Linux clears the screen in real mode ("KVM internal error.
    Suberror: 3"), whatever the backend."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        emulated = " hypervisor" in f.read()
    return not emulated or kvm.kernel() < (7, 0)


# Enough memory for several passes, a load that makes the ring fill, and a
# machine that the scenarios can add to: a second vCPU, a VGA card, a PCI
# memory device whose mapping the guest can switch off and on.
COMMON = dict(mem=256, load="mib=48,rate=20000", maxcpus=2, vga=has_vga(),
              shared_bar=1)
BACKENDS = ("ring", "log", "wp-all")


class Rig:
    def __init__(self, args, tap=None):
        self.args = args
        self.tap = tap or Tap()
        self.lab = Lab(keep=args.keep)
        self.vm = None
        self.accel_base = args.accel

    def accel(self, backend, size=4096, qemu=None):
        """By name, not left to QEMU: what auto takes depends on the kernel.
        Stock QEMU has no names."""
        found = config.accel(backend, size, self.accel_base)
        if backend == "log" and self.kvm and \
                (qemu or self.args.qemu) != config.UPSTREAM:
            found += ",dirty-tracking=log"
        return found

    @property
    def kvm(self):
        return self.accel_base.split(",")[0] == "kvm"

    def need_kvm(self):
        if not self.kvm:
            raise Unavailable("needs KVM")

    def need_vga(self):
        if not COMMON["vga"]:
            raise Unavailable("guests cannot have a VGA card on this host")

    def spec(self, backend="ring", size=4096, **changes):
        values = dict(COMMON, accel=self.accel(backend, size))
        values.update(changes)
        return config.spec(self.args, **values)

    def guest(self, backend="ring", size=4096, **changes):
        """A running guest of that kind: the one at hand or a new one."""
        spec = self.spec(backend, size, **changes)
        vm = self.vm
        if vm and vm.spec == spec and not vm.plugged:
            vm.check_alive()
            if vm.status() == "running":
                return vm
        self.discard()
        self.vm = self.lab.start(spec)
        if spec.load:
            self.vm.wait_load()
        self.vm.wait_shell()
        return self.vm

    def discard(self):
        """Give up the running guest: the next scenario boots a new one."""
        if self.vm:
            self.lab.drop(self.vm)
            self.vm = None

    def destination(self):
        """An empty machine like the running one, ready to receive it."""
        return self.lab.start(self.vm.spec, incoming=True,
                              plugged=self.vm.plugged, dimms=self.vm.dimms)

    def migrate(self, name, options=None, dst=None, **kw):
        """A checked migration of the running guest; the destination becomes
        the running guest. Returns the Trial."""
        src = self.vm
        dst = dst or self.destination()
        done = trial.run(src, dst, options or migrate.Options(), **kw)
        r, t = done.result, done.result.tracking
        self.tap.note(
            f"{name}: {t.backend}, {r.total_ms} ms, downtime "
            f"{r.downtime_ms} ms, {r.sent >> 20} MiB, {r.passes} passes, "
            f"harvested {t.harvested}, ring full {t.ring_full}, "
            f"{done.ram.pages} pages compared in "
            f"{done.compare_seconds:.1f} s")
        if not self.check_memory(name, done):
            self.lab.drop(dst)
            self.discard()
            raise LabError(f"{name}: the guest cannot be continued")
        self.check_guest(name, done)
        self.lab.drop(src)
        self.vm = dst
        return done

    def check_memory(self, name, done):
        return self.tap.ok(not done.differing,
                           f"{name}: 0 of {done.ram.pages} pages differ",
                           [f"{done.differing} pages differ"] + done.details())

    def check_guest(self, name, done):
        return self.tap.ok(not done.complaints, f"{name}: the guest goes on",
                           done.complaints)

    def check_writes(self, name, done):
        """The guest wrote meanwhile, and what it wrote was sent again: else
        no page could have been lost."""
        r = done.result
        self.tap.ok((done.during or 0) > 0 and r.passes > 1 and r.again > 0,
                    f"{name}: what the guest wrote was sent again",
                    f"{done.during} writes/s meanwhile, {r.passes} passes, "
                    f"{r.again} pages sent more than once")
        self.tap.note(f"{name}: {done.during or 0:.0f} writes/s meanwhile, "
                      f"{r.again} pages sent more than once")

    def check_harvest(self, name, done, backend):
        """The backend that was asked for is the one that did the work."""
        t = done.result.tracking
        self.tap.ok(t.backend == backend, f"{name}: backend is {backend}",
                    f"it is {t.backend}: {t.raw}")
        if backend == "ring":
            self.tap.ok((t.harvested or 0) > 0,
                        f"{name}: pages were harvested from the ring",
                        f"{t.harvested} pages")
        if t.raw and "ring" in t.raw:
            self.tap.ok(t.raw["ring"]["stray-entries"] == 0,
                        f"{name}: no entry pointed to a page that is not "
                        "there", str(t.raw))

    def wait(self, what, condition, timeout=30, pause=0.1):
        """Poll until `condition()` is true; LabError names what did not
        happen."""
        end = time.monotonic() + patience.seconds(timeout)
        while True:
            value = condition()
            if value:
                return value
            if self.vm:
                self.vm.check_alive()
                self.vm.console.poll()
            if time.monotonic() > end:
                raise LabError(f"{what}: not within {timeout} s")
            time.sleep(pause)

    def query(self):
        """The tracker's own figures, or None for a QEMU without them."""
        return stats.query(self.vm)

    def run(self, name, scenario, *args):
        """Run one scenario; whatever it raises becomes a failed check."""
        self.tap.prefix = f"{name}: "
        began = time.monotonic()
        try:
            scenario(self, *args)
        except Unavailable as err:
            self.tap.skip("all of it", err)
        except LabError as err:
            self.tap.ok(False, "ran to its end",
                        f"{type(err).__name__}: {err}")
            self.discard()
        except Exception:
            self.tap.ok(False, "ran to its end", traceback.format_exc())
            self.discard()
        self.tap.prefix = ""
        self.tap.note(f"{name} took {time.monotonic() - began:.0f} s")

    def close(self):
        self.lab.close()


def by_backend(steps):
    """The scenarios that take STEPS(r, backend), one for each backend."""
    return [functools.partial(steps, backend=backend) for backend in BACKENDS]


def main(name, scenario, doc, options=None):
    """The command line of a scenario that is run on its own."""
    p = config.parser(doc)
    p.add_argument("--accel", default=config.ACCEL,
                   help="the accelerator, without ring options")
    if options:
        options(p)
    args = p.parse_args()
    rig = Rig(args)
    try:
        rig.run(name, scenario)
    finally:
        rig.close()
    return rig.tap.end()
