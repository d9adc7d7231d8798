#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does docs/operators.md do what it says? Executes its commands on two hosts
that have the Debian package. Prints TAP.

  tests/lab/run --hosts 2 --deb build/qemu-system-x86-dirtytrack_VERSION.deb \\
      --copy tests/libvirt:/opt/libvirt \\
      --copy docs/operators.md:/opt/libvirt/operators.md \\
      -- python3 /opt/libvirt/guide.py
"""

import dataclasses
import sys
import traceback

import libvirt

from dirtylab import config
from dirtylab.errors import LabError
from dirtylab.tap import Tap
from domain import Domain, Spec
from manual import Manual
from sandbox import confined
from suite import Bench
from wait import wait
from watch import job, measured
import ssh

SHUT_DOWN, RUNS, BACK, KUBEVIRT = (
    "A guest that is shut down", "A guest that runs", "Back to stock QEMU",
    "KubeVirt")
STOCK = "/usr/bin/qemu-system-x86_64"
OURS = STOCK + "-dirtytrack"
GUEST = Spec("vm1", ring=0, emulator=STOCK)
# What it does in place of an administrator's editor: argument 1 is the file.
EDITOR = "/opt/libvirt/edit.py"
EDITS = "/tmp/edits"


class Guide:
    def __init__(self, tap):
        self.tap = tap
        self.bench = Bench(tap)
        self.manual = Manual("/opt/libvirt/operators.md")

    def fresh(self):
        """A guest as the text expects it: defined on host1, for stock QEMU."""
        self.bench.drop()
        self.bench.domain = Domain(GUEST, *self.bench.hosts)
        return self.bench.domain

    def follow(self, heading):
        """Execute what a section says, where the guest is."""
        for command in self.manual.commands(heading):
            host = self.bench.domain.host
            # The text says host2 for the other one.
            there = command.replace("host2", self.bench.domain.other.name)
            status, said = host.agent.run(
                ["sh", "-c", f"cd /root; export VISUAL={EDITOR}; {there}"], 300)
            self.tap.ok(status == 0, f"{heading}: {command}",
                        f"{host.name}, status {status}: {said}")
            if status:
                raise LabError("cannot go on")
            self.after(command.split()[1])

    def after(self, what):
        domain = self.bench.domain
        if what == "start":
            domain.wait_load()
        elif what == "domdirtyrate-calc":
            told = wait("virsh domstats tells a dirty rate",
                        lambda: measured(domain))
            self.tap.ok(told["calc_mode"] == "dirty-ring", "measured by ring",
                        str(told))
        elif what == "migrate":
            domain.arrived()
            self.tap.ok(domain.running(), f"it runs on {domain.host.name}",
                        str(domain.dom.state()))
            domain.wait_load()
            told = job(domain, "--completed")
            self.tap.ok(told.get("Job type") == "Completed",
                        "virsh domjobinfo --completed tells what it took",
                        str(told))

    def runs(self, emulator, backend=None):
        """The guest is QEMU's at that path; BACKEND: what tracks there."""
        domain = self.bench.domain
        path = domain.host.run("readlink", f"/proc/{domain.pid()}/exe").strip()
        wanted = domain.host.run("readlink", "-f", emulator).strip()
        self.tap.ok(path == wanted, f"its QEMU is {emulator}", path)
        if backend:
            told = domain.tracking()
            self.tap.ok(told["backend"] == backend,
                        f"which tracks with the {backend}", str(told))

    def persistent(self):
        """What counts from the next start names the same emulator."""
        text = self.bench.domain.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        return text.partition("<emulator>")[2].partition("<")[0]


def shut_down(g):
    g.fresh()
    edits = g.manual.block(SHUT_DOWN, "<kvm>")
    g.bench.hosts[0].run("sh", "-c", 'printf %s "$1" > "$2"', "sh", edits,
                         EDITS)
    g.follow(SHUT_DOWN)
    g.runs(OURS, "ring")
    confined(g.bench, g.bench.domain, "the package")
    g.bench.moved("back, with all memory compared")
    g.runs(OURS, "ring")


def back(g):
    """Of the guest of shut_down(), with its ring."""
    g.follow(BACK)
    g.runs(STOCK)
    g.tap.ok(g.persistent() == STOCK, "so will the next be", g.persistent())
    g.bench.moved("among stock QEMUs, with all memory compared")


def runs(g):
    g.fresh().start()
    g.runs(STOCK)
    g.follow(RUNS)
    g.runs(OURS, "log")
    g.tap.ok(g.persistent() == OURS, "so will the next be", g.persistent())
    g.bench.moved("back, with all memory compared")


def kubevirt(g):
    """The script of the hook sidecar, on XML that has no <kvm> and on XML that
    has one."""
    script = g.manual.script(KUBEVIRT, "onDefineDomain")
    host = g.bench.hosts[0]
    full = dataclasses.replace(GUEST, name="kubevirt").xml().strip()
    for what, xml in (("<kvm>", full),
                      ("no <kvm>", full.replace(
                          "<kvm><hidden state='on'/></kvm>", ""))):
        made = host.run("python3", "-c", script, "--vmi", "{}", "--domain", xml)
        dom = host.conn.defineXML(made)
        text = dom.XMLDesc()
        dom.undefine()
        g.tap.ok("<dirty-ring state='on' size='4096'/>" in text
                 and ("<hidden state='on'/>" in text) == ("<hidden" in xml),
                 f"KubeVirt's script adds the ring to XML with {what}", text)


PARTS = shut_down, back, runs, kubevirt


def stock_qemu(hosts):
    """Where a Debian of that version has it."""
    for host in hosts:
        host.run("test", "-x", config.UPSTREAM)
        host.run("ln", "-sf", config.UPSTREAM, STOCK)


def main():
    tap = Tap()
    g = Guide(tap)
    try:
        ssh.set_up(g.bench.hosts)
        stock_qemu(g.bench.hosts)
        for part in PARTS:
            tap.prefix = f"{part.__name__}: "
            part(g)
    except (LabError, libvirt.libvirtError) as err:
        tap.ok(False, "ran to its end", str(err))
    except Exception:
        tap.ok(False, "ran to its end", traceback.format_exc())
    tap.prefix = ""
    g.bench.drop()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
