#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrate a guest under load and compare all its memory, page by page.

Prints a line for each migration and a verdict. Exit status: 0 when every
migration was as expected, 1 when not, 77 when this host cannot do it.
"""

import sys
import time

from dirtylab import config, migrate, report, trial
from dirtylab.errors import LabError, Unavailable
from dirtylab.vm import Lab


def arguments():
    p = config.parser(__doc__)
    p.add_argument("--accel-opts", default=config.accel("ring"),
                   metavar="OPTS", help="all that follows -accel")
    p.add_argument("--machine", default="pc")
    p.add_argument("--vcpus", type=int, default=1)
    p.add_argument("--mem", type=int, default=512, help="MiB")
    p.add_argument("--load", default=None, metavar="SPEC",
                   help="the guest's load (one thread per vCPU, 128 MiB in "
                        "all, flat out, unless given)")
    p.add_argument("--bandwidth", type=int, default=200, help="MB/s, 0: all")
    p.add_argument("--downtime", type=int, default=300, help="limit in ms")
    p.add_argument("--passes", type=int, default=12,
                   help="after so many passes the downtime is not limited")
    p.add_argument("--timeout", type=float, default=120)
    p.add_argument("--warm", type=float, default=1.0,
                   help="seconds of load before a migration")
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--fresh", action="store_true",
                   help="boot a new guest for each migration (else the "
                        "destination of one is the source of the next)")
    p.add_argument("--reaper", action="store_true",
                   help="show what the source's reaper thread did")
    p.add_argument("--expect-differences", action="store_true",
                   help="succeed only if pages differ (fault injection)")
    return p.parse_args()


def one_line(number, count, t):
    r = t.result
    state = "good" if t.good else f"{t.differing} PAGES DIFFER" \
        if t.differing else "GUEST COMPLAINS"
    text = (f"{number}/{count} {r.tracking.backend}: {r.total_ms} ms, "
            f"downtime {r.downtime_ms}, {r.sent >> 20} MiB, "
            f"{r.passes} passes{' (limit lifted)' if r.forced else ''}")
    if r.tracking.harvested is not None:
        text += f", harvested {r.tracking.harvested}"
    if r.tracking.ring_full is not None:
        text += f", ring full {r.tracking.ring_full}"
    return (text + f", writes/s {report.short(t.before)} "
            f"{report.short(t.during)} {report.short(t.after)}, "
            f"{t.ram.pages} pages compared: {state}")


def reaper_line(t):
    raw = t.result.tracking.raw or {}
    shown = raw.get("ring", {}).get("reaper", {})
    return "    reaper: " + ", ".join(f"{k} {v}" for k, v in shown.items())


def all_of_them(args, lab):
    load = args.load
    if load is None:
        load = f"threads={args.vcpus},mib={128 // args.vcpus}"
    spec = config.spec(args, accel=args.accel_opts, vcpus=args.vcpus,
                       mem=args.mem, load=load, machine=args.machine)
    options = migrate.Options(bandwidth=args.bandwidth,
                              downtime=args.downtime, passes=args.passes,
                              timeout=args.timeout)
    src = None
    as_expected = 0
    for number in range(1, args.count + 1):
        try:
            if src is None:
                src = lab.start(spec)
                src.wait_load()
            dst = lab.start(spec, incoming=True)
            t = trial.run(src, dst, options, warm=args.warm)
        except Unavailable:
            raise
        except LabError as err:
            print(f"{number}/{args.count} FAILED: {err}", flush=True)
            for vm in list(lab.vms):
                lab.drop(vm)
            src = None
            continue
        print(one_line(number, args.count, t), flush=True)
        if args.reaper:
            print(reaper_line(t), flush=True)
        if not t.good:
            for text in t.details():
                print("    " + text, flush=True)
        as_expected += (t.differing > 0) if args.expect_differences else t.good
        lab.drop(src)
        src = dst
        if args.fresh or not t.good:
            lab.drop(dst)
            src = None
    return as_expected


def main():
    args = arguments()
    began = time.monotonic()
    try:
        with Lab(keep=args.keep) as lab:
            good = all_of_them(args, lab)
    except Unavailable as err:
        print(f"cannot run here: {err}")
        return 77
    what = "reported differences, as they should" \
        if args.expect_differences else "good"
    print(f"{'PASS' if good == args.count else 'FAIL'}: {good} of "
          f"{args.count} migrations {what} "
          f"({time.monotonic() - began:.0f} s)")
    return 0 if good == args.count else 1


if __name__ == "__main__":
    sys.exit(main())
