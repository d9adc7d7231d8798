#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How often does the reaper of an idle virtual machine wake up?

Asked twice: the tracker's own counter, and, since a counter can lie, the
kernel's count of the thread's voluntary context switches. The VM has a dirty
ring, no load, and nothing logs.
"""

import sys

from dirtylab import rig, stats

SECONDS = 60


def scenario(r):
    r.need_kvm()
    vm = r.guest(mem=128, load="", vga=False, shared_bar=0, maxcpus=0)
    vm.run_for(2)               # let the boot's last business settle
    before, asked = stats.reaper_switches(vm), r.query()
    r.tap.ok(len(before) == 1, "there is one reaper thread", str(before))
    vm.run_for(r.args.seconds)
    after, answered = stats.reaper_switches(vm), r.query()
    woken = sum(after.values()) - sum(before.values())
    r.tap.note(f"in {r.args.seconds} s the reaper thread went to sleep "
               f"{woken} times")
    r.tap.ok(before.keys() == after.keys() and woken == 0,
             f"the thread does not wake up in {r.args.seconds} s",
             f"{woken} times")
    if asked:
        counted = answered["ring"]["reaper"]["wakeups"] \
            - asked["ring"]["reaper"]["wakeups"]
        r.tap.ok(counted == 0, "its own counter says the same",
                 f"{counted} wake-ups")
    # As a background snapshot does, which needs no dirty log.
    for command in ("stop", "cont", "stop", "cont"):
        vm.qmp.cmd(command)
    vm.run_for(1)
    stopped = sum(stats.reaper_switches(vm).values())
    woken = stopped - sum(after.values())
    r.tap.ok(woken == 0, "nor when the guest is stopped and goes on",
             f"{woken} times")
    r.discard()


def options(p):
    p.add_argument("--seconds", type=int, default=SECONDS)


if __name__ == "__main__":
    sys.exit(rig.main("idle", scenario, __doc__, options))
