#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Live-migrate a busy guest with the dirty ring, then with the bitmap.

Shows what happens while it happens, compares all memory page by page, and
ends with a table. Exit status: 0 when no page was lost, 1 otherwise.
"""

import os
import platform
import subprocess
import sys
import time

from dirtylab import config, migrate, report, stats, trial
from dirtylab.errors import LabError
from migration_report.page import write_page
from migration_report.picture import write_picture
from migration_report.recorder import Recorder
from dirtylab.vm import Lab

RING = "dirty-ring-size=4096"

# The lab brings out what is here.
REPORT = "/lab/out/demo.html"
PICTURE = "/lab/out/demo.svg"


def say(text=""):
    print(text, flush=True)


def version(qemu):
    try:
        done = subprocess.run([qemu, "--version"], capture_output=True,
                              text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as err:
        raise LabError(f"{qemu} does not run: {err}") from err
    return done.stdout.splitlines()[0]


def progress_line(p):
    done = 100 * (1 - p.remaining / p.total) if p.total else 0
    return (f"   {p.seconds:5.1f} s  {p.stage:<9}  pass {p.passes:<2}  "
            f"remaining {p.remaining >> 20:>4} MiB ({done:3.0f} % done)  "
            f"dirtied {report.short(p.dirty_rate):>6} pages/s  "
            f"guest {report.short(p.wps):>6} writes/s")


def one(lab, args, title, qemu, accel):
    """One migration, from boot to the continued guest; returns its Trial."""
    say(f"== {title}: -accel {accel}")
    args.qemu = qemu
    spec = config.spec(args, accel=accel, mem=args.mem, vcpus=args.vcpus,
                       load=args.load)
    began = time.monotonic()
    monitor = os.path.join(lab.dir, f"{len(args.recordings)}.watch")
    src = lab.start(spec.replace(args=(
        *spec.args, "-qmp", f"unix:{monitor},server=on,wait=off")))
    src.wait_load(timeout=150)
    say(f"   a guest of {args.mem} MiB is up after "
        f"{time.monotonic() - began:.0f} s, its load is running ({args.load})")
    told = stats.query(src)
    if told:
        what = told["backend"]
        if "ring" in told:
            what += f", {told['ring']['size']} entries for each vCPU"
        say(f"   dirty pages are tracked by {what} ({told['reason']})")
    dst = lab.start(spec, incoming=True)
    watch = Recorder(monitor, load=src.console.path, title=title)
    watch.start()
    live = report.Live(tty=args.live)
    t = trial.run(src, dst,
                  migrate.Options(bandwidth=args.bandwidth,
                                  passes=args.passes, timeout=120),
                  lambda p: live.update(p.seconds, progress_line(p)),
                  warm=2.0, settle=4.0)
    live.done()
    args.recordings.append(watch.stop())
    r = t.result
    say(f"   migrated in {r.total_ms / 1000:.1f} s; the last pause, with the "
        f"guest stopped, took {r.downtime_ms} ms"
        + (" (its limit was lifted: the load was faster than the link)"
           if r.forced else ""))
    say(f"   oracle: {t.ram.pages} of {args.mem * 256} pages compared in "
        f"{t.compare_seconds:.1f} s, {t.ram.differing} differ")
    if t.good:
        say(f"   the guest goes on at the destination: "
            f"{report.short(t.after)} writes/s")
    else:
        for text in t.details():
            say("   " + text)
    say()
    lab.drop(src)
    lab.drop(dst)
    return t


ROWS = (
    ("backend", lambda t: t.result.tracking.backend),
    ("total", lambda t: f"{report.count(t.result.total_ms)} ms"),
    ("downtime", lambda t: f"{report.count(t.result.downtime_ms)} ms"),
    ("sent", lambda t: report.mib(t.result.sent)),
    ("passes over memory", lambda t: report.count(t.result.passes)),
    ("syncs", lambda t: report.count(t.result.tracking.syncs)),
    ("ring-full exits", lambda t: report.count(t.result.tracking.ring_full)),
    ("pages harvested", lambda t: report.count(t.result.tracking.harvested)),
    ("guest writes/s before", lambda t: report.count(t.before)),
    ("             during", lambda t: report.count(t.during)),
    ("             after", lambda t: report.count(t.after)),
    ("pages compared", lambda t: report.count(t.ram.pages)),
    ("pages that differ", lambda t: report.count(t.ram.differing)),
)


def ring_columns(t):
    """The ring's own rows mean nothing for the bitmap."""
    if t.result.tracking.backend != "ring":
        t.result.tracking.ring_full = t.result.tracking.harvested = None
    return t


def plan(args):
    log = "kvm"
    try:
        listed = subprocess.run([args.qemu, "-accel", "kvm,help"],
                                capture_output=True, text=True).stdout
        if "dirty-tracking=" in listed:
            log = "kvm,dirty-tracking=log"
    except OSError:
        pass
    if args.accel != config.ACCEL:
        yield "as told", args.qemu, args.accel
        return
    if not config.ACCEL.startswith("kvm"):
        yield "no KVM", args.qemu, config.ACCEL
        return
    yield "ring", args.qemu, f"kvm,{RING}"
    yield "bitmap", args.qemu, log
    if args.upstream:
        yield "upstream ring", config.UPSTREAM, f"kvm,{RING}"
        yield "upstream bitmap", config.UPSTREAM, "kvm"


def arguments():
    p = config.parser(__doc__)
    p.add_argument("--mem", type=int, default=512, help="the guest's, in MiB")
    p.add_argument("--vcpus", type=int, default=1, help="the guest's")
    p.add_argument("--load", default="threads=1,mib=128,rate=0",
                   metavar="SPEC")
    p.add_argument("--bandwidth", type=int, default=200, help="MB/s")
    p.add_argument("--passes", type=int, default=10,
                   help="after so many passes the pause may take any time")
    p.add_argument("--accel", default=config.ACCEL, metavar="OPTS",
                   help="migrate once, with these accelerator options")
    p.add_argument("--upstream", action="store_true",
                   help="the same with the QEMU that has no patches of ours")
    p.add_argument("--live", action="store_true", default=None,
                   help="standard output is a terminal")
    return p.parse_args()


def main():
    args = arguments()
    args.recordings = []
    began = time.monotonic()
    done = {}
    try:
        say(f"{version(args.qemu)}; host: Linux {platform.release()}")
        say()
        with Lab(keep=args.keep) as lab:
            for title, qemu, accel in list(plan(args)):
                done[title] = ring_columns(one(lab, args, title, qemu, accel))
    except LabError as err:
        say(f"the demo could not be carried out: {err}")
        return 1
    # Two fit side by side: upstream's, if there are any, are in the table.
    write_page(REPORT, args.recordings[:2])
    write_picture(PICTURE, args.recordings[:2])
    say(report.table([""] + list(done), [
        [name] + [get(t) for t in done.values()] for name, get in ROWS]))
    say()
    lost = sum(t.differing for t in done.values())
    bad = [name for name, t in done.items() if not t.good]
    if bad:
        say(f"FAILED ({', '.join(bad)}): {lost} pages differ"
            + ("" if lost else "; the guest did not go on as it should"))
        return 1
    say(f"No page was lost in {len(done)} migrations, and each time the guest "
        f"went on. ({time.monotonic() - began:.0f} s in all)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
