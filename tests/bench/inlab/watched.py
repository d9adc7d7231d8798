# SPDX-License-Identifier: GPL-2.0-or-later
"""Row watched: what a guest loses while a client asks for its dirty tracking.

Migrations as in row heavy, one after the other, and in every other one a
client asks. A migration is compared with those before and after it, in which
nobody asks: that leaves out what this machine does at the same time. The
stream is discarded, and the guest then goes on where it is.

The vCPU has a CPU of its own, as operators of large guests see to it. All else
shares the other, the client too. The lab is so slow that any question takes a
noticeable part of it; so by turns another one is asked, for comparison, that
QEMU answers with a word.

Until all memory is protected, when a migration starts, a guest writes more than
in all the time that follows: never twice the same. So there are two ratios, of
all that it writes, as row heavy counts, and of what it writes later.
"""

import math
import os

from dirtylab import migrate, stats
from dirtylab.errors import LabError

import discard
import machine
import timeline
import trace
import transfer
import watcher

TIMES = 10          # that each question has its turn, in a round
OTHER = "query-status"
LATER = 0.5         # seconds after log start
SETTLE = 0.7        # seconds from one migration to the next
LIMIT = 60          # seconds of a migration
VCPU, OTHERS = {0}, {1}


def run(lab, job):
    for who, config in job["members"]:
        member = Member(lab, who, config)
        try:
            for turn in job["rounds"]:
                yield who, config, turn, member.measure()
        finally:
            member.close()


class Member:
    """A guest, which is sent again and again, and a client."""

    def __init__(self, lab, who, config):
        self.watcher = watcher.Watcher(stats.COMMAND, OTHER)
        self.cpus = os.sched_getaffinity(0)
        if not self.cpus >= VCPU | OTHERS:
            raise LabError("row watched takes a lab with two CPUs")
        spec = transfer.machine_spec(who, config, transfer.RATES["heavy"])
        self.vm = machine.booted(lab, spec.replace(
            args=spec.args + self.watcher.options()))
        pin(self.vm)
        self.watcher.start()

    def close(self):
        self.watcher.stop()
        os.sched_setaffinity(0, self.cpus)

    def measure(self):
        turns = [None, stats.COMMAND, None, OTHER] * TIMES + [None]
        have = self.watcher.answered()
        found = [self.send(command) for command in turns]
        seconds = sum(total for *_, total in found[1::2]) / 1000
        rates, later, totals = zip(*found)
        return {**compared("ratio", rates),
                **compared("later-ratio", later),
                **compared("total-ratio", totals),
                "writes-quiet": middle(rates[::2]),
                "turns": TIMES,
                "questions": (self.watcher.answered() - have) / seconds,
                "rates": " ".join(f"{rate:.0f}" for rate in rates),
                "later": " ".join(f"{rate:.0f}" for rate in later)}

    def send(self, command):
        """(guest writes/s, later, total in ms) of one migration."""
        self.vm.console.samples.clear()
        self.vm.run_for(SETTLE)
        position = trace.position(self.vm)
        sink = discard.Discard(self.vm.migration_path)
        try:
            with self.watcher.asking(command):
                done = migrate.send(self.vm, sink.uri,
                                    migrate.Options(timeout=LIMIT))
        finally:
            sink.close()
        start = transfer.log_start(self.vm, position)
        found = [timeline.rate_since(self.vm.console.samples, start + wait)
                 for wait in (0, LATER)]
        if None in found:
            raise LabError("the guest said nothing before or in its migration")
        self.vm.qmp.cmd("cont")
        return *found, done.total_ms


def pin(vm):
    """The vCPU to its CPU, all else to the other; what is started later is
    where its parent is."""
    for name, tasks in vm.threads().items():
        for task in tasks:
            os.sched_setaffinity(int(task.rpartition("/")[2]),
                                 VCPU if name.startswith("CPU ") else OTHERS)
    os.sched_setaffinity(0, OTHERS)


def ratios(values):
    """Of every other value, from the second on, to its neighbours' geometric
    mean: compared with an arithmetic one, noise alone would make it less."""
    return [value / math.sqrt(before * after) for before, value, after
            in zip(values[::2], values[1::2], values[2::2])]


def compared(name, values):
    """Of what is asked by turns, with turns without questions in between."""
    found = ratios(values)
    return {f"asked-{name}": middle(found[::2]),
            f"other-{name}": middle(found[1::2])}


def middle(values):
    """The mean without the least and the greatest quarter."""
    values = sorted(values)
    cut = len(values) // 4
    kept = values[cut:len(values) - cut]
    return sum(kept) / len(kept)
