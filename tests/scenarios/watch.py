#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the monitor says of a migration under way: the dirty rate is that of
the guest's own count, the figures fit together, and asking costs little."""

import statistics
import sys
import time

from dirtylab import dirtyrate, guest, migrate, rig, stats

RATES = (500, 5000, 20000)
# Pages that are written twice before they are protected again count once, and
# the guest's kernel writes, too.
WITHIN = 0.10
SETTLE = 1.5            # rates are of the last second
MEASURE = 5
PERIOD = 0.1
KERNEL = 40             # pages a second that it may write
# A question costs no more than so many of query-migrate, which management
# software asks all the time anyway.
TIMES = 10
QUESTIONS = 100
ROUNDS = 3


def ask(vm):
    return vm.qmp.cmd(stats.COMMAND)


def measured(vm):
    """Mean of the rates shown, each of the second before, and of what the guest
    counted in the same seconds; in pages a second."""
    shown = []
    began = time.monotonic()
    while time.monotonic() < began + MEASURE:
        vm.console.poll()
        rate = ask(vm)["rate"]["pages-1s"]
        shown.append((time.monotonic(), rate))
        time.sleep(PERIOD)
    vm.console.poll()
    # A line that came late, on a busy host, is of no use.
    pairs = [(rate, guest.rate(vm.console.samples, then - 1, then))
             for then, rate in shown]
    return [statistics.mean(column) for column in
            zip(*(pair for pair in pairs if pair[1] is not None))]


def rate(r, pages):
    """In the middle of a migration that is too slow to come to an end."""
    vm = r.guest("ring", 4096, mem=384, maxcpus=0, vga=False, shared_bar=0,
                 load=f"mib=192,rate={pages}")
    options = migrate.held()
    found = {}

    def during(_):
        # Logging begins with the first look that finds it.
        if found or "migration" not in ask(vm)["logging"]:
            return
        # Whoever measures has all of memory logged.
        began = time.monotonic()
        dirtyrate.start(vm, "dirty-ring", round(SETTLE + MEASURE + 3))
        r.wait("all memory is logged",
               lambda: not ask(vm)["kvm"]["late-slots"])
        time.sleep(SETTLE)
        found["shown"], found["counted"] = measured(vm)
        found["answer"] = ask(vm)
        found["hmp"] = vm.qmp.cmd("human-monitor-command",
                                  {"command-line": "info dirty-tracking"})
        found["calc"] = dirtyrate.result(vm)
        found["calc-counted"] = guest.rate(
            vm.console.samples, began,
            began + found["calc"]["calc-time"])
        migrate.release(vm, options)

    name = f"{pages} pages/s"
    r.migrate(name, options, during=during)
    check_rate(r, name, found)
    return found


def check_rate(r, name, found):
    shown, counted = found["shown"], found["counted"]
    calc = found["calc"]["dirty-rate"]
    r.tap.note(f"{name}: shown {shown:,.0f}, counted by the guest "
               f"{counted:,.0f} pages/s ({shown / counted:.3f}), "
               f"calc-dirty-rate {calc} MiB/s")
    r.tap.ok(abs(shown - counted) <= WITHIN * counted + KERNEL,
             f"{name}: the rate shown is the guest's within "
             f"{WITHIN:.0%}", f"{shown} and {counted}")
    mib = found["calc-counted"] / 256
    r.tap.ok(abs(calc - mib) <= 1 + WITHIN * mib,
             f"{name}: calc-dirty-rate agrees during migration",
             f"{calc} and {mib:.1f} MiB/s")


def check_figures(r, found):
    """The parts of an answer fit together."""
    answer = found["answer"]
    ring = answer["kvm"]["ring"]
    vcpu = ring["vcpus"][0]
    r.tap.ok(sorted(answer["logging"]) == ["dirty-rate", "migration"],
             "both who log are named", str(answer["logging"]))
    r.tap.ok(vcpu["harvested-pages"] == ring["harvested-pages"]
             and vcpu["occupancy"] <= vcpu["high-water"] <= ring["size"],
             "the vCPU's ring fits the rings", str(answer))
    r.tap.ok(answer["rate"]["pages-1s"] == vcpu["rate"]["pages-1s"],
             "the guest's rate is its vCPU's", str(answer))
    r.tap.ok(answer["forecast"]["verdict"] == "unknown",
             "no forecast in the first pass", str(answer["forecast"]))
    for words in ("dirty-rate", "high-water", "forecast:", "reset rings:"):
        r.tap.ok(words in found["hmp"], f"info dirty-tracking has {words}",
                 found["hmp"])
    for line in found["hmp"].splitlines():
        r.tap.note(line)


def main_thread_cpu(vm):
    """CPU time of QEMU's main thread so far, in seconds."""
    pid = vm.proc.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def price(vm, command):
    """CPU time of the main thread that a question costs, in microseconds."""
    before = main_thread_cpu(vm)
    for _ in range(QUESTIONS):
        vm.qmp.cmd(command)
    return (main_thread_cpu(vm) - before) / QUESTIONS * 1e6


def cost(r):
    """Of a question; what it does to the guest shows "make bench" (watched)."""
    vm = r.guest("ring", 4096, mem=384, maxcpus=0, vga=False, shared_bar=0,
                 load="mib=192,rate=0")
    options = migrate.held()
    found = {}

    def during(_):
        if found or "migration" not in ask(vm)["logging"]:
            return
        found["prices"] = [(price(vm, "query-migrate"), price(vm, stats.COMMAND))
                           for _ in range(ROUNDS)]
        migrate.release(vm, options)

    r.migrate("asked all the time", options, during=during)
    usual, ours = (statistics.median(p) for p in zip(*found["prices"]))
    r.tap.ok(ours < TIMES * usual,
             f"a question costs less than {TIMES} of query-migrate",
             f"{ours:.0f} and {usual:.0f} us")
    r.tap.note(f"a question costs {ours:.0f} us of the main thread's CPU "
               f"time, one of query-migrate {usual:.0f} us, in this lab")


def scenario(r):
    r.need_kvm()
    check_figures(r, rate(r, 5000))


def everything(r):
    r.need_kvm()
    for pages in RATES:
        found = rate(r, pages)
    check_figures(r, found)
    cost(r)


if __name__ == "__main__":
    sys.exit(rig.main("watch", everything, __doc__))
