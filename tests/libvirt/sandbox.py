# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's seccomp sandbox, which it gives QEMU unless told otherwise: the
tracker must do with what is left, in every thread."""

import re

from dirtylab.errors import LabError
from domain import RING
from wait import wait

WANTED = {"on", "obsolete=deny", "elevateprivileges=deny", "spawn=deny",
          "resourcecontrol=deny"}
FILTERED = "2"                  # "Seccomp:" in /proc/PID/status
REAPER, VCPU = "kvm-reaper", "CPU 0/KVM"


def options(domain):
    """What QEMU was given as -sandbox."""
    words = domain.host.run(
        "sh", "-c", f"tr '\\0' '\\n' < /proc/{domain.pid()}/cmdline"
    ).splitlines()
    if "-sandbox" not in words:
        return set()
    return set(words[words.index("-sandbox") + 1].split(","))


def threads(domain):
    """[(name, how system calls are filtered)] of QEMU's threads."""
    # One may end while they are looked at.
    told = domain.host.run(
        "sh", "-c", "grep -hE '^(Name|Seccomp):' "
        f"/proc/{domain.pid()}/task/*/status 2>/dev/null", check=False)
    found = re.findall(r"^Name:\t(.*)\nSeccomp:\t(\d)$", told, re.M)
    if not found:
        raise LabError(f"no threads of QEMU in: {told!r}")
    return found


def confined(b, domain, when):
    given = options(domain)
    b.tap.ok(WANTED <= given, f"{when}: QEMU has libvirt's sandbox",
             f"-sandbox {','.join(sorted(given))}")
    found = threads(domain)
    names = sorted({name for name, _ in found})
    free = [name for name, filtered in found if filtered != FILTERED]
    b.tap.ok(not free and {REAPER, VCPU} <= set(names),
             f"{when}: in all {len(found)} threads, the reaper's among them",
             f"not in {free}; there are {names}")
    b.tap.note(f"{when}: {', '.join(names)}")


def harvests(domain):
    """How often the reaper has harvested of its own accord."""
    return domain.tracking()["ring"]["reaper"]["harvests"]


def sandbox(b):
    domain = b.guest(RING)

    def during():
        confined(b, domain, "while it migrates")
        before = harvests(domain)
        wait("the reaper harvests", lambda: harvests(domain) > before)
        b.tap.ok(True, "while it migrates: the reaper harvests")

    confined(b, domain, "at the source")
    b.moved("in the sandbox", during=during)
    confined(b, domain, "at the destination")
