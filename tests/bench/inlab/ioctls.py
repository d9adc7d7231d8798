# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows dirtylog and reset: what KVM's ioctls cost, without QEMU.

The kernel's own programs measure it, on Debian's KVM as "upstream" and on that
of patches/linux as "ours". KVM is changed between two measurements, with no
machine running.
"""

import re
import statistics
import subprocess

from dirtylab import kvm
from dirtylab.errors import LabError

PROGRAMS = "/opt/kselftest"
SECONDS = 900           # a run may take
PASSES = "3"            # the first may meet code that never ran
RESETS = "4"
KVM = {"upstream": "stock", "ours": "patched"}
# How dirty_log_perf_test takes the log. A bitmap is copied in the same time
# whatever is in it: where no more is wanted, huge pages are mapped quickly and
# hardly any page is written.
LOG = {("log", "upstream"): ("-g",), ("log", "ours"): ("-W",),
       ("manual-protect", "upstream"): ("-s", "anonymous_thp", "-w", "1")}
RESET = {"upstream": "all", "ours": "wp-all"}

TOOK = re.compile(r"(?P<what>[^\n:]+?)(?: time:| took) (?P<s>\d+\.\d+)s")


def dirtylog(lab, job):
    return measured(job, log_once)


def reset(lab, job):
    return measured(job, reset_once)


def measured(job, once):
    size = f"{int(job['gib'] * 1024)}M"
    for turn in job["rounds"]:
        for who, config in job["members"]:
            yield who, config, turn, once(who, config, size)


def log_once(who, config, size):
    found = program(who, "dirty_log_perf_test", "-i", PASSES, "-b", size,
                    *LOG[config, who])
    return log_figures(found, config == "log")


def reset_once(who, config, size):
    return reset_figures(program(
        who, "dirty_ring_perf_test", "-i", RESETS, "-b", size,
        "-c", config.removeprefix("ring-"), "-m", RESET[who]))


def program(who, name, *args):
    """Its output, on that KVM."""
    kvm.load(KVM[who])
    try:
        done = subprocess.run([f"{PROGRAMS}/{name}", *args], check=False,
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, timeout=SECONDS,
                              stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as err:
        raise LabError(f"{name}: not ready after {SECONDS} s") from err
    if done.returncode:
        raise LabError(f"{name} {' '.join(args)}: status {done.returncode}: "
                       + "\n".join(done.stdout.splitlines()[-5:]))
    return done.stdout


def times(output, pattern):
    """Seconds, of all lines whose text before the time is like that."""
    found = [float(m["s"]) for m in TOOK.finditer(output)
             if re.fullmatch(pattern, m["what"].strip())]
    if not found:
        raise LabError(f"nothing like '{pattern}' in: {output}")
    return found


def log_figures(output, all_written):
    """Of dirty_log_perf_test. Passes count where every page is written."""
    fetch = times(output, r"Iteration \d+ get dirty log")
    found = {"fetch-us": statistics.median(fetch) * 1e6}
    if all_written:
        first, *later = times(output, r"Iteration \d+ dirty memory")
        start, = times(output, "Enabling dirty logging")
        found.update({"start-us": start * 1e6, "first-pass-ms": first * 1e3,
                      "pass-ms": statistics.median(later) * 1e3})
    else:
        clear = times(output, r"Iteration \d+ clear dirty log")
        found["clear-us"] = statistics.median(clear) * 1e6
    return found


def reset_figures(output):
    """Of dirty_ring_perf_test."""
    entries = re.findall(r"of (\d+) entries", output)
    return {"reset-us": statistics.median(
                times(output, r"Reset \(.*\) of \d+ entries")) * 1e6,
            "entries": min(map(int, entries))}
