#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations with the oracle under a random schedule of everything that can
happen to a guest (soakplan.py). The seed decides all of it.

Some migrations must fail: the guest then goes on where it was, and the next one
must succeed. Memory is compared after each that succeeds; only these count. The
first thing that goes wrong ends the run.
"""

import dataclasses
import json
import os
import signal
import sys
import time
import traceback

from dirtylab import (config, dimm, dirtyrate, disturb, guest, kvm, migrate,
                      rig, trial, vcpu)
from dirtylab.errors import LabError, TooSoon
from dirtylab.qmp import QmpError
import hotplug
import refused
import slots
import soakplan
import vga

CAPABILITIES = {"multifd": "multifd", "xbzrle": "xbzrle",
                "auto-converge": "auto-converge",
                "dirty-limit": "dirty-limit", "postcopy": "postcopy-ram"}
# The others are the source's own affair.
ON_BOTH_SIDES = {"multifd", "xbzrle", "postcopy-ram"}
PARAMETERS = {"multifd": {"multifd-channels": 2},
              "xbzrle": {"xbzrle-cache-size": 16 << 20},
              "dirty-limit": {"vcpu-dirty-limit": 50}}
# A guest that is stopped for half a minute is not stuck.
CMDLINE = f"{dimm.ONLINE} nowatchdog"
# The guest's display: what is drawn in the first one is looked at.
DRAWN_MODE = f"{vga.WIDTH}x{vga.HEIGHT}x8"


def abilities():
    """What this host can do that not all can."""
    found = set()
    if kvm.loaded() == "patched":
        found.add("wp-all")
    if os.path.exists(refused.PRELOAD):
        found.add("refuse")
    if os.cpu_count() > 1:
        found.add("smp")
    return found


def set_mode(vm, mode, incoming=False):
    """Exactly the capability of this mode is on: a machine that has received a
    guest still has those of that migration."""
    vm.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": name,
         "state": mode == known and not (incoming and
                                         name not in ON_BOTH_SIDES)}
        for known, name in CAPABILITIES.items()]})


def options_of(step):
    return migrate.Options(
        bandwidth=step.bandwidth, downtime=step.downtime, passes=step.passes,
        parameters=PARAMETERS.get(step.mode, {}))


def slow(options):
    """So slow that even a guest that hardly writes needs several passes."""
    return dataclasses.replace(options, bandwidth=16, downtime=1)


class During:
    """What happens while a migration runs; it is not to end before."""

    def __init__(self, soak, step, dst):
        self.soak, self.step, self.dst = soak, step, dst
        self.vm = soak.rig.vm
        self.todo = list(step.during)
        self.options = options_of(step)
        self.passes = 0
        self.released = not self.todo and step.mode != "postcopy"
        self.signals = None
        if not self.released:
            self.options = slow(self.options)
            self.options.passes = 1 << 30

    def progress(self, now):
        self.passes = now.passes
        if now.stage in migrate.OVER:
            self.stop()

    def act(self, _):
        if self.released or self.passes < self.step.at:
            return
        if self.todo:
            what, how = self.todo[0]
            ACTIONS[what](self, how)
            self.todo.pop(0)
            return
        self.released = True
        options = options_of(self.step)
        migrate.configure(self.vm, options)
        self.options.passes = self.passes + options.passes
        if self.step.mode == "postcopy":
            self.start_postcopy()

    def start_postcopy(self):
        try:
            self.vm.qmp.cmd("migrate-start-postcopy")
        except QmpError:
            # Unless it has just ended, this is wrong.
            if migrate.look(self.vm, 0)[1].stage != "completed":
                raise
            self.todo.append(("postcopy", ""))

    def stop(self):
        if self.signals:
            self.signals.stop()

    def measure(self, mode):
        dirtyrate.measure(self.vm, mode)

    def vga(self, mode):
        self.soak.draw(mode)

    def stop_and_go(self, _):
        self.vm.qmp.cmd("stop")
        self.vm.run_for(0.5)
        self.vm.qmp.cmd("cont")

    def pause(self, _):
        self.vm.qmp.cmd("stop")

    def stall(self, _):
        """The link carries nothing for a second."""
        self.dst.proc.send_signal(signal.SIGSTOP)
        self.vm.run_for(1)
        self.dst.proc.send_signal(signal.SIGCONT)

    def interrupt(self, _):
        self.signals = disturb.disturber("signals", self.vm.proc.pid)
        self.signals.start()


ACTIONS = {"measure": During.measure, "vga": During.vga,
           "stop": During.stop_and_go, "pause": During.pause,
           "stall": During.stall, "signals": During.interrupt}


class Soak:
    def __init__(self, r, args):
        self.rig, self.args = r, args
        self.start, self.steps = soakplan.plan(args.seed, args.migrations,
                                               abilities())
        self.drawn = None           # colour that is on the screen
        self.missed = []            # of a step: it ended before

    def spec(self, tracker):
        accel = self.rig.accel(tracker.backend, tracker.size)
        env = ()
        if tracker.refuse:
            env = (("LD_PRELOAD", refused.PRELOAD),
                   ("REFUSE_LOG", str(tracker.refuse)))
        start = self.start
        return self.rig.spec(
            accel=",".join(filter(None, (accel, self.args.fault))), env=env,
            load=start.load, mem=start.mem, maxmem=1024, vcpus=start.vcpus,
            maxcpus=2, cmdline=CMDLINE)

    def boot(self):
        self.rig.vm = self.rig.lab.start(self.spec(self.start.tracker))
        self.rig.vm.wait_load()
        self.rig.vm.wait_shell()

    def change_load(self, load):
        vm = self.rig.vm
        vm.shell().run("killall -9 dirtyload; true")
        vm.shell().run(guest.background(f"dirtyload {load} >/dev/console "
                                        "2>&1"))
        if vm.plugged:
            vcpu.load(vm, mib=8, rate=2000)
        if vm.dimms:
            dimm.load(vm)
        vm.wait_load()

    def draw(self, mode):
        """Change the display's mode, and draw something if we can see it. The
        load lets us go first, else this takes minutes."""
        self.rig.vm.shell().run("killall -STOP dirtyload; true")
        self.switch(mode)
        self.rig.vm.shell().run("killall -CONT dirtyload; true")

    def switch(self, mode):
        vm = self.rig.vm
        vga.enable(vm)
        frame, mmio = vga.registers(vm)
        size = [int(number) for number in mode.split("x")]
        vga.set_mode(vm, mmio, *size)
        shown = vga.screen(self.rig, vm)[:2]
        if list(shown) != size[:2]:
            raise LabError(f"the screen is {shown}, not {mode}")
        if mode != DRAWN_MODE:
            self.drawn = None
            return
        self.drawn = (self.drawn or 0) % len(vga.COLOURS) + 1
        vga.draw(vm, frame, self.drawn)
        self.look()

    def look(self):
        if self.drawn:
            wrong = vga.wrong(self.rig, self.rig.vm, self.drawn)
            if wrong:
                raise LabError("the screen does not show what was drawn: "
                               + "; ".join(wrong))

    # --- before a migration

    def plugging(self, module, how):
        """In or out, maybe while dirty pages are logged; under a load."""
        vm = self.rig.vm
        backend = self.backend(vm)
        logged = how.endswith("logged")
        if logged:
            hotplug.keep_logging(vm, backend, True)
        if how.startswith("plug"):
            module.plug(vm)
            module.load(vm)
        else:
            module.unplug(vm)
            module.unload(vm)
        if logged:
            hotplug.keep_logging(vm, backend, False)

    @staticmethod
    def backend(vm):
        return vm.qmp.cmd("query-dirty-tracking")["kvm"]["backend"]

    def before(self, what, how):
        vm = self.rig.vm
        if what in ("vcpu", "dimm"):
            self.plugging({"vcpu": vcpu, "dimm": dimm}[what], how)
        elif what == "measure":
            dirtyrate.measure(vm, how)
        elif what == "limit":
            vm.qmp.cmd("set-vcpu-dirty-limit",
                       {"dirty-rate": int(how.split()[0])})
            vm.run_for(1)
            if how.endswith("while"):
                vm.qmp.cmd("cancel-vcpu-dirty-limit")
        elif what == "vga":
            self.draw(how)
        elif what == "slots":
            slots.start(vm)

    # --- migrations

    def destination(self, step):
        vm = self.rig.vm
        dst = self.rig.lab.start(self.spec(step.target), incoming=True,
                                 plugged=vm.plugged, dimms=vm.dimms)
        set_mode(dst, step.mode, incoming=True)
        return dst

    def broken(self, step, how, passes):
        """A migration that must fail and leave the guest where it is."""
        vm, dst = self.rig.vm, self.destination(step)
        try:
            self.breaking(vm, dst, how, passes,
                          slow(options_of(step)) if passes == 2
                          else options_of(step))
        except TooSoon as err:
            # The destination has not run: the guest can go on here.
            self.rig.tap.note(f"{how}: {err}")
            self.missed.append(how)
            vm.qmp.cmd("cont")
        self.rig.lab.drop(dst)
        vm.wait_load(lines=3)
        if vm.status() != "running" or vm.console.corrupt:
            raise LabError(f"after {how} the guest is {vm.status()}: "
                           f"{vm.console.corrupt}")

    @staticmethod
    def breaking(vm, dst, how, passes, options):
        if how == "cancel":
            migrate.start_and_cancel(vm, dst, options, passes)
        elif how == "kill":
            migrate.start_and_break(vm, dst, options, dst.proc.kill, passes)
        elif how == "cut":
            migrate.start_and_break(
                vm, dst, options, lambda: vm.qmp.cmd(
                    "yank", {"instances": [{"type": "migration"}]}), passes)
        elif how == "lose":
            migrate.start_and_lose(vm, dst, options)

    def migrated(self, step):
        dst = self.destination(step)
        during = During(self, step, dst)
        try:
            done = trial.run(self.rig.vm, dst, during.options,
                             progress=during.progress, during=during.act)
        finally:
            during.stop()
        self.judge(step, done)
        if not done.good:
            return done, during
        self.rig.lab.drop(self.rig.vm)
        self.rig.vm = dst
        dst.wait_shell()
        if "slots" in dict(step.before):
            slots.stop(dst)
        self.look()
        return done, during

    @staticmethod
    def judge(step, done):
        told = done.result.tracking
        if told.backend != step.source.backend:
            done.complaints.append(f"the backend was {told.backend}, not "
                                   f"{step.source.backend}")
        if told.raw.get("ring", {}).get("stray-entries"):
            done.complaints.append(f"stray entries: {told.raw['ring']}")

    def step(self, step):
        began = time.monotonic()
        if step.load:
            self.change_load(step.load)
        for what, how in step.before:
            self.before(what, how)
        set_mode(self.rig.vm, step.mode)
        self.missed = []
        for how, passes in step.breaks:
            self.broken(step, how, passes)
        done, during = self.migrated(step)
        self.missed += [what for what, _ in during.todo]
        self.report(step, done, time.monotonic() - began)
        return done.good

    def report(self, step, done, seconds):
        tap, r = self.rig.tap, done.result
        tap.ok(done.good, f"{step.number}: {step.describe()}: {r.passes} "
               f"passes, {r.total_ms} ms, {done.pages} pages compared, "
               f"{done.differing} differ", done.details())
        if self.missed:
            tap.note(f"it ended before: {', '.join(self.missed)}")
        tap.note("soak " + json.dumps({
            "migration": step.number, "pages": done.pages,
            "differ": done.differing, "good": done.good,
            "source": step.source.backend,
            "words": sorted(step.words() - set(self.missed)),
            "seconds": round(seconds, 1)}))

    def run(self):
        self.rig.tap.note(f"seed {self.args.seed}: {self.start}")
        self.boot()
        for step in self.steps:
            self.rig.tap.note(f"{step.number}: {step.describe()}")
            if not self.step(step):
                return


def state(vm):
    """Of a machine that may be dead or hang."""
    try:
        vm.check_alive()
        return vm.status()
    except LabError as err:
        return str(err)


def tell(r):
    """What the machines said, after something went wrong."""
    for vm in r.lab.vms:
        r.tap.note(f"{vm.name}: {' '.join(vm.command())}")
        r.tap.note(f"{vm.name} said: {vm.stderr()[-2000:]}")
        last = vm.console.poll()
        r.tap.note(f"it is {state(vm)}, its guest "
                   + (f"made {last.total} writes by {last.t:.1f} s"
                      if last else "has not written"))
        r.tap.note(f"its guest printed: {guest.tail(vm.serial_path)}")


def main():
    p = config.parser(__doc__)
    p.add_argument("--accel", default=config.ACCEL,
                   help="the accelerator, without ring options")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--migrations", type=int, default=8, metavar="N")
    p.add_argument("--fault", default="", metavar="OPTS",
                   help="options for -accel that make QEMU lose pages, to see "
                   "that they are found")
    args = p.parse_args()
    r = rig.Rig(args)
    try:
        Soak(r, args).run()
    except LabError as err:
        r.tap.ok(False, "ran to its end", f"{type(err).__name__}: {err}")
    except Exception:
        r.tap.ok(False, "ran to its end", traceback.format_exc())
    if r.tap.failed:
        r.tap.note(f"seed {args.seed} repeats it")
        tell(r)
    r.close()
    return r.tap.end()


if __name__ == "__main__":
    sys.exit(main())
