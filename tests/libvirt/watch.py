# SPDX-License-Identifier: GPL-2.0-or-later
"""What virsh tells who watches: a migration's progress, and dirty rates."""

import re

import libvirt

from domain import RING
from wait import wait

UNITS = {unit: 1 << (10 * power)
         for power, unit in enumerate(("B", "KiB", "MiB", "GiB"))}
MEASURED = str(libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED)


def job(domain, *options):
    """virsh domjobinfo as a dictionary; sizes in bytes."""
    told = domain.host.run("virsh", "domjobinfo", domain.spec.name, *options)
    found = dict(re.findall(r"^([^:\n]+): +(.*?) *$", told, re.M))
    for name, value in found.items():
        size = re.fullmatch(r"([0-9.]+) (B|KiB|MiB|GiB)", value)
        if size:
            found[name] = float(size[1]) * UNITS[size[2]]
    return found


def processed(domain):
    return job(domain).get("Memory processed", 0)


def progress(b):
    domain = b.guest(RING)

    def during():
        first = job(domain)
        b.tap.ok(first.get("Operation") == "Outgoing migration"
                 and 0 < first.get("Memory remaining", 0)
                 < first.get("Memory total", 0),
                 "virsh domjobinfo: how much of the memory remains",
                 str(first))
        wait("virsh domjobinfo tells of more memory processed",
             lambda: processed(domain) > first["Memory processed"])
        b.tap.ok(True, "virsh domjobinfo: it becomes more that was processed")

    b.moved("watched", during=during)
    last = job(domain, "--completed")
    b.tap.ok(last.get("Job type") == "Completed"
             and last.get("Memory processed", 0) > 0 and "Total downtime" in last,
             "virsh domjobinfo --completed: what it took", str(last))


def rates(domain):
    """virsh domstats --dirtyrate as a dictionary."""
    return domstats(domain, "dirtyrate")


def domstats(domain, group):
    """One group of virsh domstats as a dictionary."""
    told = domain.host.run("virsh", "domstats", domain.spec.name,
                           f"--{group}")
    return dict(re.findall(rf"^ *{group}\.([^=\n]+)=(.*)$", told, re.M))


def statistics(b, domain):
    """Those of ours are among KVM's, of guest and vCPU."""
    vm, vcpu = domstats(domain, "vm"), domstats(domain, "vcpu")
    b.tap.ok(int(vm.get("dirty_tracking_published_pages.sum", 0)) > 0
             and int(vcpu.get("0.dirty_ring_harvested_pages.sum", 0)) > 0
             and int(vcpu.get("0.dirty_ring_high_water.cur", 0)) > 0,
             "virsh domstats tells of dirty rings",
             f"{sorted(vm)}; {sorted(vcpu)}")


def measured(domain):
    found = rates(domain)
    return found if found.get("calc_status") == MEASURED else None


def dirty_rate(b):
    domain = b.guest(RING)
    domain.host.run("virsh", "domdirtyrate-calc", domain.spec.name,
                    "--seconds", "1", "--mode=dirty-ring")
    told = wait("virsh domstats tells a dirty rate", lambda: measured(domain))
    b.tap.ok(told.get("calc_mode") == "dirty-ring"
             and int(told.get("megabytes_per_second", 0)) > 0
             and int(told.get("vcpu.0.megabytes_per_second", 0)) > 0,
             "virsh tells rates of guest and vCPU, by ring", str(told))
    b.tap.note(str(told))
    statistics(b, domain)
