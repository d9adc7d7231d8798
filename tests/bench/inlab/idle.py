# SPDX-License-Identifier: GPL-2.0-or-later
"""Row idle: how often the reaper of an idle machine wakes up, and how often it
takes the BQL.

Wake-ups are the kernel's count of the thread's voluntary context switches;
acquisitions are QEMU's trace of its mutexes. All guests are idle at the same
time: they hardly need the processor.
"""

import time

from dirtylab import stats
from dirtylab.errors import LabError

import machine
import trace

SECONDS = 60
SETTLE = 3              # for the boot's last business
MEM = 256               # MiB
TAKEN = "qemu_mutex_locked"
# Where the main loop takes it: tells which mutex is the BQL.
BQL_TAKER = "main-loop.c:"


def run(lab, job):
    members = []
    for who, config in job["members"]:
        spec = machine.spec(who, config, mem=MEM)
        members.append((who, config, machine.booted(lab, spec)))
    for _, _, vm in members:
        vm.run_for(SETTLE)
    for turn in job["rounds"]:
        began = time.monotonic()
        marks = [begin(vm) for _, _, vm in members]
        while time.monotonic() < began + SECONDS:
            for _, _, vm in members:
                vm.run_for(1.0)
        ends = [end(vm, mark) for (_, _, vm), mark in zip(members, marks)]
        # Reading the trace takes a while.
        for (who, config, vm), counted in zip(members, ends):
            yield who, config, turn, figures(vm, *counted)


def begin(vm):
    start = trace.position(vm)
    set_trace(vm, True)
    return start, time.time(), stats.reaper_switches(vm)


def end(vm, mark):
    start, since, before = mark
    after = stats.reaper_switches(vm)
    scale = 60 / (time.time() - since)
    set_trace(vm, False)
    return start, scale, before, after


def figures(vm, start, scale, before, after):
    if len(before) != 1 or before.keys() != after.keys():
        raise LabError(f"{vm.name}: one reaper thread expected; there was "
                       f"{list(before)}, then {list(after)}")
    (reaper, count), = after.items()
    by_reaper, by_all = acquisitions(trace.read(vm, {TAKEN}, start), reaper)
    return {"wakeups": (count - before[reaper]) * scale,
            "bql": by_reaper * scale, "bql-all": by_all * scale}


def set_trace(vm, enable):
    vm.qmp.cmd("trace-event-set-state", {"name": TAKEN, "enable": enable})


def acquisitions(events, thread):
    """How often a thread, and all of them, took the BQL."""
    def mutex(event):
        return event.args.split()[2]

    bql = {mutex(e) for e in events if BQL_TAKER in e.args}
    if len(bql) != 1:
        raise LabError(f"the trace names {len(bql)} mutexes that the main "
                       "loop takes, not one")
    taken = [e for e in events if mutex(e) in bql]
    return len([e for e in taken if e.thread == thread]), len(taken)
