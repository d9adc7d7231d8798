#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Live migration between two hosts as libvirt does it. Prints TAP.

  tests/lab/run --hosts 2 --copy tests/libvirt:/opt/libvirt \\
      -- python3 /opt/libvirt/suite.py [CASE...]
"""

import argparse
import os
import sys
import threading
import time
import traceback

import libvirt

from dirtylab.errors import LabError
from dirtylab.tap import Tap
from domain import Domain, FAST, LOG, RING, SLOW
from hosts import Host
from sandbox import sandbox
from wait import wait
from watch import dirty_rate, progress


LIMIT = 600             # seconds of one case
# How an abort is told depends on who is first to notice: this host, QEMU's
# thread whose connection is closed, or QEMU at the other end.
ABORTED = "abort", "broken pipe", "closed the monitor"


class Bench:
    """The hosts, checks, and a domain that cases hand on while it is well."""

    def __init__(self, tap):
        self.tap = tap
        self.hosts = Host(1), Host(2)
        self.domain = None

    def guest(self, spec):
        if self.domain and self.domain.spec == spec:
            return self.domain
        self.drop()
        self.domain = Domain(spec, *self.hosts)
        self.domain.start()
        return self.domain

    def drop(self):
        if self.domain:
            self.domain.destroy()
            self.domain = None

    def moved(self, name, flags=0, **params):
        """A migration with the oracle; see Domain.move()."""
        domain = self.domain
        done = domain.move(flags, **params)
        self.tap.note(f"{name}: now on {domain.host.name}, {done.took:.1f} s, "
                      f"and {done.comparing:.1f} s to compare")
        self.tap.ok(not done.differing,
                    f"{name}: 0 of {done.pages} pages differ",
                    f"{len(done.differing)} differ: {done.differing[:20]}")
        return domain

    def stays(self, name):
        """After what failed the guest is still here, and writes."""
        self.domain.look_up()
        self.tap.ok(self.domain.running(), f"{name}: it runs at the source",
                    str(self.domain.dom.state()))
        self.domain.wait_load()
        self.tap.ok(True, f"{name}: and writes")


def backend(b, domain, wanted):
    told = domain.tracking()
    b.tap.ok(told["backend"] == wanted, f"QEMU tracks with the {wanted}",
             str(told))


def there_and_back(b, spec, wanted):
    domain = b.guest(spec)
    backend(b, domain, wanted)
    b.moved("there")
    b.moved("back")


def ring(b):
    there_and_back(b, RING, "ring")


def log(b):
    there_and_back(b, LOG, "log")


def auto_converge(b):
    b.guest(RING)
    b.moved("auto-converge", libvirt.VIR_MIGRATE_AUTO_CONVERGE)


def parallel(b):
    b.guest(RING)
    b.moved("parallel", libvirt.VIR_MIGRATE_PARALLEL,
            **{libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS: 2})


def postcopy(b):
    """The guest goes on there before all memory is: it checks itself."""
    domain = b.guest(RING)
    speed = {**SLOW, libvirt.VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY: FAST}
    moving = domain.start_move(libvirt.VIR_MIGRATE_POSTCOPY, **speed)
    domain.under_way(moving)
    domain.dom.migrateStartPostCopy()
    error = moving.wait()
    if not b.tap.ok(error is None, "postcopy: it arrives", str(error)):
        raise LabError("the guest cannot be continued")
    domain.arrived()
    domain.wait_load()
    domain.wait_load()
    b.tap.ok(not domain.console.corrupt, "postcopy: it misses no page",
             domain.console.corrupt)


def abort(b):
    domain = b.guest(RING)
    moving = domain.start_move(**SLOW)
    told = domain.under_way(moving)
    b.tap.ok(0 < told["memory_remaining"] < told["memory_total"],
             "abort: libvirt tells progress before", str(told))
    domain.dom.abortJob()
    error = moving.wait()
    b.tap.note(f"abort: {error}")
    b.tap.ok(any(words in str(error).lower() for words in ABORTED),
             "abort: libvirt says so", str(error))
    b.stays("abort")
    b.moved("after the abort")


def refused(b):
    """The destination cannot take it: the guest goes on here."""
    domain = b.guest(RING)
    other = domain.other
    changed = domain.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE).replace(
        "<dirty-ring state='on' size='4096'/>",
        "<dirty-ring state='on' size='1024'/>")
    refusal(b, "another ring size", changed, "dirty ring size")
    # Without KVM there QEMU does not even start.
    other.run("mv", "/dev/kvm", "/dev/kvm.away")
    try:
        refusal(b, "no KVM there", None, "kvm")
    finally:
        other.run("mv", "/dev/kvm.away", "/dev/kvm")
    b.moved("after the refusals")


def refusal(b, name, xml, word):
    params = {libvirt.VIR_MIGRATE_PARAM_DEST_XML: xml} if xml else {}
    error = b.domain.start_move(**params).wait()
    b.tap.note(f"{name}: {error}")
    b.tap.ok(error is not None and word in str(error).lower(),
             f"{name}: refused, and the error says {word}", str(error))
    b.stays(name)


def daemon_killed(b):
    """libvirtd of the source dies in the middle, and comes back."""
    domain = b.guest(RING)
    host = domain.host
    moving = domain.start_move(**SLOW)
    domain.under_way(moving)
    host.run("pkill", "-KILL", "libvirtd")
    error = moving.wait()
    b.tap.ok(error is not None, "daemon killed: the client is told",
             str(error))
    host.run("libvirtd", "--daemon", "--listen")
    host.connect()
    b.stays("daemon killed")
    settled(b)
    b.moved("with a new daemon")


def settled(b):
    """Nothing of a migration is left, at either end."""
    domain = b.domain
    wait("nothing is left of the migration", lambda: not there(domain)
         and domain.dom.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE)


def there(domain):
    """Whether the other host still has half of it."""
    try:
        return domain.other.conn.lookupByName(domain.spec.name).isActive()
    except libvirt.libvirtError:
        return False


def link_cut(b):
    """The network between the hosts goes away in the middle."""
    domain = b.guest(RING)
    if domain.host.name != "host1":
        b.moved("to host1, where the link is cut")
    moving = domain.start_move(**SLOW)
    domain.under_way(moving)
    domain.host.run("ip", "link", "set", "eth0", "down")
    try:
        # libvirt gives up by itself: it asks five times, every five seconds.
        error = moving.wait()
        b.tap.ok(error is not None, "link cut: the client is told",
                 str(error))
        b.tap.note(f"link cut: {error}")
        b.stays("link cut")
    finally:
        domain.host.run("ip", "link", "set", "eth0", "up")
    domain.other.connect()
    settled(b)
    b.moved("with the link back")


CASES = {case.__name__.replace("_", "-"): case for case in (
    ring, sandbox, progress, dirty_rate, auto_converge, parallel, postcopy,
    abort, refused, daemon_killed, link_cut, log)}


def hangs(b):
    """Of a call of libvirt's that does not return there is no other way out."""
    b.tap.ok(False, "ran to its end", f"not within {LIMIT} s")
    for host in b.hosts:
        b.tap.note(f"{host.name}:\n{host.situation()}")
    os._exit(b.tap.end())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help=f"of {', '.join(CASES)}; default: all")
    args = parser.parse_args()
    unknown = set(args.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    tap = Tap()
    b = Bench(tap)
    for name in (args.cases or list(CASES)) * args.repeat:
        tap.prefix = f"{name}: "
        began = time.monotonic()
        timer = threading.Timer(LIMIT, hangs, [b])
        timer.start()
        try:
            CASES[name](b)
        except (LabError, libvirt.libvirtError) as err:
            tap.ok(False, "ran to its end", str(err))
            b.drop()
        except Exception:
            tap.ok(False, "ran to its end", traceback.format_exc())
            b.drop()
        timer.cancel()
        tap.note(f"{name} took {time.monotonic() - began:.0f} s")
    b.drop()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
