#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What migration-report tells Prometheus, read by its own parser."""

import os
import stat
import sys
import tempfile
import time

import kit
from kit import check

from prometheus_client.parser import text_string_to_metric_families

from fake import Fake
from simulated import PAGE, Plan

PREFIX = "qemu_dirty_tracking_"


def scrape(fake, *args):
    done = kit.run("prometheus", "--qmp", fake.path, *args)
    return done, list(text_string_to_metric_families(done.stdout))


def samples(families):
    """{(name, labels but the guest's): value}."""
    found = {}
    for family in families:
        for s in family.samples:
            labels = {k: v for k, v in s.labels.items() if k != "guest"}
            found[s.name, tuple(sorted(labels.items()))] = s.value
    return found


def under_way(tap):
    with Fake(Plan(pages=65536, stall=0.02)) as fake:
        fake.begin()
        time.sleep(0.8)
        since = fake.since()
        done, families = scrape(fake)
        until = fake.since()
    check(tap, (done.returncode, done.stderr), (0, ""), "it succeeds")
    found = samples(families)

    def value(name, **labels):
        return found.get((PREFIX + name, tuple(sorted(labels.items()))))
    plan = fake.migration.plan
    check(tap, value("ring_size_entries"), plan.ring, "the ring's size")
    check(tap, value("dirty_bytes_per_second", window="1s"),
          plan.dirty * PAGE, "the dirty rate, in bytes")
    check(tap, value("vcpu_dirty_bytes_per_second", window="10s", vcpu="1"),
          plan.dirty * PAGE, "a vCPU's")
    stood = value("ring_full_seconds_total", vcpu="0") - 0.001
    tap.ok(0.02 * (since - 0.02) <= stood <= 0.02 * until,
           "stalls, in seconds", f"{stood} from {since} to {until}")
    check(tap, value("ring_full_seconds_total", vcpu="1"), 0.001,
          "of each vCPU")
    check(tap, value("sync_seconds", statistic="last"), 0.001, "sync time")
    check(tap, value("sync_lock_hold_seconds", statistic="max"), 0.09,
          "lock hold")
    check(tap, value("ioctl_seconds_total", ioctl="reset-dirty-rings"),
          0.02311, "time in ioctls")
    check(tap, value("logging", client="migration"), 1, "who logs")
    check(tap, (value("migration_status", status="active"),
                value("migration_status", status="failed")), (1, 0),
          "the migration's status")
    check(tap, value("migration_ram_total_bytes"), plan.pages * PAGE,
          "its memory")
    check(tap, value("forecast_verdict", verdict="unknown"), 1, "the forecast")
    conventions(tap, done.stdout, families)


def conventions(tap, text, families):
    check(tap, [f.name for f in families if not f.name.startswith(PREFIX)], [],
          "names have our prefix")
    check(tap, [f.name for f in families if not f.documentation
                or f.type not in ("gauge", "counter")], [],
          "each has HELP and TYPE")
    names = [f.name for f in families]
    check(tap, sorted(names), sorted(set(names)), "each of them once")
    check(tap, [line for line in text.splitlines() if line.startswith("# TYPE")
                and line.endswith(" counter") != line.split()[2].endswith(
                    "_total")], [], "counters, and they only, end in _total")
    told = [line.split()[2] for line in text.splitlines()
            if line.startswith("# HELP")]
    check(tap, len(told), len(set(told)), "HELP comes once")
    every = [(s.name, tuple(sorted(s.labels.items())))
             for f in families for s in f.samples]
    check(tap, len(every), len(set(every)), "no sample comes twice")
    check(tap, {labels["guest"] for labels in
                (dict(labels) for _, labels in every)}, {"web-1"},
          "all tell the guest")
    check(tap, [f.name for f in families if any(
        word in f.name for word in ("_us", "_ms", "percent", "_mib"))], [],
        "base units")


def forecasts(tap):
    plan = Plan(dirty=30000, ring=None, outcome="cancelled", ends=5)
    with Fake(plan) as fake:
        fake.begin()
        time.sleep(1.7)
        _, families = scrape(fake)
    found = samples(families)
    check(tap, found.get((PREFIX + "forecast_verdict",
                          (("verdict", "diverges"),))), 1, "it diverges")
    check(tap, found.get((PREFIX + "forecast_needed_downtime_limit_seconds",
                          ())), 0.683, "the limit it needs")
    check(tap, found.get((PREFIX + "forecast_needed_throttle_ratio", ())), 0.6,
          "or the throttle")
    check(tap, [key for key in found if "estimate" in dict(key[1])
                and dict(key[1])["estimate"] == "most"], [],
          "what has no number is left out")
    check(tap, [key for key in found if "ring" in key[0]
                and "ioctl" not in key[0]], [], "no rings, no figures of them")


def emulated(tap):
    with Fake(Plan(accelerator="tcg")) as fake:
        fake.begin()
        time.sleep(0.3)
        done, families = scrape(fake)
    check(tap, done.returncode, 0, "another accelerator")
    found = samples(families)
    check(tap, found.get((PREFIX + "syncs_total", ())), 1001,
          "what any has is told")
    check(tap, [key for key in found if "ioctl" in key[0]], [],
          "without KVM's figures")


def labels(tap):
    with Fake(name='a "b"\\c\nd') as fake:
        _, families = scrape(fake)
        check(tap, families[0].samples[0].labels["guest"], 'a "b"\\c\nd',
              "any name survives")
    with Fake(name=None) as fake:
        _, families = scrape(fake)
        check(tap, families[0].samples[0].labels["guest"],
              "11111111-2222-3333-4444-555555555555", "without one, its UUID")


def without_command(tap):
    with Fake(Plan(supported=False)) as fake:
        done, families = scrape(fake)
    found = samples(families)
    check(tap, (done.returncode, found.get((PREFIX + "supported", ()))),
          (0, 0), "it says that it lacks the command")
    check(tap, found.get((PREFIX + "migration_status", (("status", "none"),))),
          1, "and tells of migration")
    tap.ok("qemu-dirtytrack" in done.stderr
           and len(done.stderr.splitlines()) == 1, "a line says why",
           done.stderr)


def files(tap):
    """The collector reads at any time: never half a file."""
    with tempfile.TemporaryDirectory() as where, Fake() as fake:
        out = os.path.join(where, "qemu.prom")
        with open(out, "w", encoding="utf-8") as old:
            old.write("old\n")
        held = open(out, encoding="utf-8")
        done, _ = scrape(fake, "-o", out)
        check(tap, (done.returncode, done.stdout), (0, ""), "-o FILE")
        check(tap, held.read(), "old\n", "who reads the old one reads it whole")
        held.close()
        with open(out, encoding="utf-8") as new:
            check(tap, PREFIX + "info" in new.read(), True, "the new is there")
        check(tap, os.listdir(where), ["qemu.prom"], "and nothing else")
        mask = os.umask(0)
        os.umask(mask)
        check(tap, stat.S_IMODE(os.stat(out).st_mode), 0o666 & ~mask,
              "others may read it")
        done, families = scrape(fake, "-o", "-")
        tap.ok(len(families) > 20, "-o - is standard output")


if __name__ == "__main__":
    kit.tests(under_way, forecasts, emulated, labels, without_command, files, named=sys.argv[1:])
