# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands tests/bench/run and tests/bench/report."""

import argparse
import signal
import sys

from . import build, lab, native, paths, plan, plot, progress, store, table
from .errors import BenchError
from .rows import ROWS, WHO, case_name

RUNS = 5


def common(parser):
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help="default: all; " + ", ".join(ROWS))
    return parser


def chosen(parser, names):
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such row; there are "
                     + ", ".join(ROWS))
    return [ROWS[name] for name in names or ROWS]


def show(row, results):
    """Table on the terminal, picture in a file."""
    print(table.text(row, results))
    try:
        print(f"{store.path(row.name)}\n{plot.draw(row, results)}\n",
              flush=True)
    except plot.NoMatplotlib as err:
        print(f"{store.path(row.name)}\n{err}\n", flush=True)


def figures_line(row, figures):
    found = []
    for metric in [m for m in row.metrics if m.speed] or row.metrics:
        value = figures.get(metric.key)
        if value is not None:
            found.append(f"{metric.label} {table.number(value * metric.scale)}"
                         + (f" {metric.unit}" if metric.unit else ""))
    return ", ".join(found)


def measure_in_lab(row, jobs, results):
    expected = sum(plan.results(job) for job in jobs)
    guess = sum(plan.cost(row, job) for job in jobs)
    clock = progress.Clock(guess)
    seen = 0
    booted = set()

    def done(result):
        nonlocal seen
        job = jobs[result["job"]]
        if "error" in result:
            what = "FAILED: " + result["error"].strip()
            results["failures"].append({**job, "error": result["error"]})
            print(f"{row.name}: {what}", flush=True)
        else:
            seen += 1
            clock.tick(row.seconds)
            if result["job"] not in booted:
                booted.add(result["job"])
                clock.tick(plan.boots(row, job))
            results["runs"].append(
                {k: v for k, v in result.items() if k != "job"})
            print(f"[{seen}/{expected}] {result['who']} "
                  f"{case_name(result['config'], result['gib'])}: "
                  f"{figures_line(row, result['figures'])} ({clock.text()})",
                  flush=True)
        store.save(results)

    # Where guests are booted once, their first rounds are not the first that
    # runs in the lab.
    lab.carry_out({"jobs": jobs, "warm-up": not row.grouped}, expected, guess,
                  lab.options(row, results["smp"]), done)


def measure_natively(row, runs, program, results):
    for turn in range(runs):
        print(f"[{turn + 1}/{runs}] {program}", flush=True)
        results["runs"] += native.once(program, turn)
        store.save(results)


def programs(row):
    """{name: file} of what a row of the lab measures."""
    return {**({} if row.selftests else paths.QEMU),
            **({"kvm": paths.KVM} if row.patched else {})}


def prepared(row, args, measured):
    """Results to add to. `measured`: {name: file}."""
    results = store.new(row.name, measured,
                        row.smp if args.smp is None else args.smp)
    old = store.load(row.name) if args.add else None
    return store.added_to(old, results) if old else results


def measure(row, args):
    """Whether all went well; results are on disk in any case."""
    results = None
    try:
        print(f"== {row.name}: about "
              f"{progress.duration(seconds(row, args))}", flush=True)
        if row.lab:
            build.ensure_kvm(row)
            results = prepared(row, args, programs(row))
            failures = len(results["failures"])
            measure_in_lab(row, chosen_jobs(row, args), results)
            return len(results["failures"]) == failures
        program = native.program()
        results = prepared(row, args, {"native": program})
        measure_natively(row, args.runs, program, results)
        return True
    except BenchError as err:
        print(f"{row.name}: {err}", file=sys.stderr)
        return False
    finally:
        if results and results["runs"]:
            show(row, results)


def words(text):
    return text.split(",")


def numbers(text):
    return [float(word) for word in text.split(",")]


def run(argv):
    parser = common(argparse.ArgumentParser(
        prog="tests/bench/run",
        description="Measures upstream's QEMU and ours, in turns, on the same "
        "boot of the lab; prints a table and writes build/bench/ROW.json and "
        "ROW.svg.",
        epilog="Exit status: 0 when all was measured, be the figures good or "
        "bad; 1 when something could not be measured."))
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N",
                        help=f"of each configuration (default {RUNS})")
    parser.add_argument("--quick", action="store_true",
                        help="one run: to see that it works")
    parser.add_argument("--configs", type=words, metavar="C,...",
                        help="only these, for instance bitmap,ring-4096")
    parser.add_argument("--sizes", type=numbers, metavar="GIB,...",
                        help="only these guest sizes, where a row has several")
    parser.add_argument("--only", choices=WHO, help="measure just one of them")
    parser.add_argument("--smp", type=int, metavar="N",
                        help="CPUs of the lab (default 1, row watched: 2)")
    parser.add_argument("--add", action="store_true",
                        help="add to the runs there are, of the same builds")
    parser.add_argument("--no-build", action="store_true",
                        help="do not bring our build up to date first")
    parser.add_argument("--list", action="store_true",
                        help="say what would be measured")
    args = parser.parse_args(argv)
    rows = chosen(parser, args.rows)
    if args.quick:
        args.runs = 1
    if args.runs < 1:
        parser.error("--runs: at least 1")
    return list_rows(rows, args) if args.list else all_rows(rows, args)


def chosen_jobs(row, args):
    found = plan.jobs(row, args.runs, args.configs, args.sizes, args.only)
    if not found:
        raise BenchError(f"{row.name}: by --configs, --sizes and --only, "
                         "nothing is left to measure")
    return found


def seconds(row, args):
    if not row.lab:
        return row.seconds * args.runs
    return sum(plan.cost(row, job) for job in chosen_jobs(row, args))


def list_rows(rows, args):
    for row in rows:
        print(f"{row.name}: {row.title}\n    about "
              f"{progress.duration(seconds(row, args))}: "
              + "; ".join(case_name(*case) for case in row.cases))
    return 0


def all_rows(rows, args):
    try:
        build.ensure(update=not args.no_build)
        total = sum(seconds(row, args) for row in rows)
        print(f"{len(rows)} rows, about {progress.duration(total)} in all",
              flush=True)
        failed = [row.name for row in rows if not measure(row, args)]
    except BenchError as err:
        print(f"bench: {err}", file=sys.stderr)
        return 1
    if failed:
        print(f"bench: could not be measured as planned: {', '.join(failed)}",
              file=sys.stderr)
    return 1 if failed else 0


def report(argv):
    parser = common(argparse.ArgumentParser(
        prog="tests/bench/report",
        description="Shows what tests/bench/run measured, once more, and draws "
        "it."))
    rows = chosen(parser, parser.parse_args(argv).rows)
    try:
        found = [(row, store.load(row.name)) for row in rows]
        if not any(results for _, results in found):
            raise BenchError(f"{paths.RESULTS} has nothing of "
                             + ", ".join(row.name for row in rows))
        for row, results in found:
            if results:
                show(row, results)
    except BenchError as err:
        print(f"bench: {err}", file=sys.stderr)
        return 1
    return 0


def start(command):
    # As after ctrl-C, the lab is not left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return command(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
