#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Install the QEMU in build/qemu under the configured prefix (and DESTDIR).

QEMU's own 'ninja install' would first build everything, tests included: this
builds what gets installed, no more.
"""

import json
import os
import subprocess

import report_files
from build import ninja
from common import QEMU_BUILD, Failure, build_lock, main, say
from qemuconf import settings, systems


REPORT = report_files.PROGRAM


def install_report(prefix):
    """scripts/migration-report, with what it consists of, and a link to it."""
    where = os.path.join(prefix, "share", "qemu-dirtytrack")
    report_files.copy(where)
    link = os.path.join(prefix, "bin", REPORT)
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.join("..", "share", "qemu-dirtytrack", REPORT), link)


def run():
    meson = os.path.join(QEMU_BUILD, "pyvenv", "bin", "meson")
    with build_lock("install"):
        listed = subprocess.run([meson, "introspect", "--installed", QEMU_BUILD],
                                stdout=subprocess.PIPE, check=True, text=True)
        inside = [os.path.relpath(path, QEMU_BUILD)
                  for path in json.loads(listed.stdout)
                  if path.startswith(QEMU_BUILD + os.sep)]
        # Links into the source tree are listed too, but nothing builds them.
        known = subprocess.run(["ninja", "-C", QEMU_BUILD, "-t", "targets", "all"],
                               stdout=subprocess.PIPE, check=True, text=True)
        outputs = {line.rsplit(": ", 1)[0] for line in known.stdout.splitlines()}
        ninja(QEMU_BUILD, sorted(outputs.intersection(inside)))
        status = subprocess.run([meson, "install", "--no-rebuild", "--quiet",
                                 "-C", QEMU_BUILD], check=False).returncode
    prefix = settings()["prefix"]
    if status:
        raise Failure(f"could not install under {prefix}; DESTDIR=DIR installs "
                      "elsewhere, ./configure --prefix=DIR for good")
    where = os.environ.get("DESTDIR", "").rstrip("/") + prefix
    install_report(where)
    say(f"Installed {', '.join(systems())} and {REPORT} in {where}/bin")


if __name__ == "__main__":
    main(run)
