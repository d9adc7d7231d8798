# SPDX-License-Identifier: GPL-2.0-or-later
"""Row sync: the time of a dirty sync, by guest memory.

The guest uses little of its memory and dirties 500 pages a second. Its
migration is kept in the state of one that will not end: the stream is
discarded and the acknowledgment before the switch-over never comes. With the
first pass done, the link is made slower than the guest writes and the allowed
downtime long, so that QEMU syncs once in each of its 100-ms slots.
"""

import signal
import statistics
import time

from dirtylab import migrate
from dirtylab.errors import LabError, Timeout

import discard
import machine
import trace

USED = 512              # MiB of the guest's memory that its kernel knows of
LOAD = "mib=128,rate=500"
WANTED = 25             # syncs
SETTLE = 1.0            # seconds
FIRST_PASS = 900        # seconds it may take
# MB/s: less than 500 pages a second and what the guest's kernel writes.
SLOW = 1
START, END = "migration_bitmap_sync_start", "migration_bitmap_sync_end"
# Ours: a part of the work, without the BQL. 0 when it starts, 1 at its end.
EARLY = "kvm_dirty_presync"


def run(lab, job):
    """All members are brought to where they go round; then each runs for a
    while, round by round, and the others are stopped."""
    members = []
    try:
        for who, config in job["members"]:
            members.append(Member(lab, who, config, job["gib"]))
        for turn in job["rounds"]:
            for member in members[::1 if turn % 2 == 0 else -1]:
                yield member.who, member.config, turn, member.measure()
    finally:
        for member in members:
            member.sink.close()


class Member:
    """A guest that is being migrated and never arrives. Stopped (SIGSTOP)
    unless it is measured."""

    def __init__(self, lab, who, config, gib):
        self.who, self.config = who, config
        began = time.monotonic()
        spec = machine.spec(who, config, [START, END, EARLY + "*"],
                            mem=int(gib * 1024), load=LOAD,
                            # Being stopped is no lockup.
                            cmdline=f"mem={USED}M nowatchdog")
        self.vm = machine.booted(lab, spec)
        self.sink = discard.Discard(self.vm.migration_path)
        self.vm.run_for(1.0)
        go_round(self.vm, self.sink.uri)
        self.start = start_figures(list(syncs(trace.read(self.vm))))
        self.vm.proc.send_signal(signal.SIGSTOP)
        print(f"{who} {config}, {gib:g} GiB: the first pass is done after "
              f"{time.monotonic() - began:.0f} s", flush=True)

    def measure(self):
        self.vm.proc.send_signal(signal.SIGCONT)
        since = time.time() + SETTLE
        found = collect(self.vm, since)
        self.vm.proc.send_signal(signal.SIGSTOP)
        # What the start took is known once.
        start, self.start = self.start, {}
        return {**figures(found), **start}


def go_round(vm, uri):
    """Start, and wait until the first pass is over;
    from then on the migration is slow."""
    migrate.configure(vm, migrate.Options(
        bandwidth=0, downtime=1,
        capabilities=("return-path", "switchover-ack")))
    began = time.monotonic()
    vm.qmp.cmd("migrate", {"uri": uri})
    while True:
        info, now = migrate.look(vm, began)
        if now.stage in migrate.OVER:
            raise LabError(f"the migration ended ({now.stage}): "
                           f"{info.get('error-desc', 'no reason given')}")
        if now.passes >= 2:
            break
        if now.seconds > FIRST_PASS:
            raise Timeout(f"no second pass in {FIRST_PASS} s: "
                          f"{now.remaining >> 20} MiB remaining")
        time.sleep(0.1)
    migrate.configure(vm, migrate.Options(bandwidth=SLOW, downtime=600000))


def collect(vm, since):
    """Wait for enough syncs from a time.time() on, and return them."""
    end = time.monotonic() + 60
    while True:
        vm.run_for(0.5)
        found = [s for s in syncs(trace.read(vm)) if s.t > since]
        if len(found) >= WANTED:
            return found
        if time.monotonic() > end:
            raise Timeout(f"{len(found)} syncs in 60 s, not {WANTED}")


class Sync:
    """One of them; times in microseconds."""

    def __init__(self, t, early, held):
        self.t = t
        self.held = held            # with the BQL
        self.total = early + held


def syncs(events):
    """From the trace. What the same thread does early for a sync, without the
    BQL, counts in its total."""
    early = {}                      # thread: microseconds
    early_began = {}
    began = {}
    for event in events:
        thread = event.thread
        if event.name == START:
            began[thread] = event.t
        elif event.name == END and thread in began:
            start = began.pop(thread)
            yield Sync(start, early.pop(thread, 0.0),
                       (event.t - start) * 1e6)
        elif event.name == EARLY:
            if event.args == "0":
                early_began[thread] = event.t
            elif thread in early_began:
                took = (event.t - early_began.pop(thread)) * 1e6
                early[thread] = early.get(thread, 0.0) + took


def start_figures(found):
    """The first sync is made with the log's start, the second is the one that
    finds what was written during the first pass."""
    return {"first-us": found[0].total, "second-us": found[1].total}


def figures(steady):
    return {
        "sync-us": statistics.median(s.total for s in steady),
        "held-us": statistics.median(s.held for s in steady),
        "sync-most-us": max(s.total for s in steady),
        "held-most-us": max(s.held for s in steady),
        "count": len(steady),
        "per-second": (len(steady) - 1) / (steady[-1].t - steady[0].t),
        "all-us": [round(s.total) for s in steady],
    }
