# SPDX-License-Identifier: GPL-2.0-or-later
"""What makers of Debian packages share: a version, files, the package."""

import os
import re
import shutil
import subprocess

import common
from common import BUILD, ROOT, logged


def changed(inputs, form):
    """When one of INPUTS last changed, by this repository; '' if unknown."""
    shown = subprocess.run(
        ["git", "log", "-1", "--format=%cd", f"--date=format:{form}", "--",
         *inputs], cwd=ROOT, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return shown.stdout.strip()


def version(inputs):
    """This project's version, and when what the package is made of changed."""
    base = common.version()
    when = changed(inputs, "%Y%m%d%H%M")
    return f"{base}+{when}" if when else base


def write(target, text, mode=0o644):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="utf-8") as output:
        output.write(text)
    os.chmod(target, mode)


def fill_in(template, target, values, mode=0o644):
    with open(template, encoding="utf-8") as source:
        text = source.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    write(target, text, mode)


def empty(directory):
    """A new directory; what is put into packages must be readable by all."""
    os.umask(0o022)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    return directory


def pack(root, name, number, log, **kwargs):
    """Make the package from directory ROOT; in build/ it replaces others."""
    deb = os.path.join(BUILD, f"{name}_{number}_amd64.deb")
    for old in os.listdir(BUILD):
        if re.fullmatch(re.escape(name) + r"_.*\.deb", old):
            os.unlink(os.path.join(BUILD, old))
    logged(["dpkg-deb", "--build", "--root-owner-group", "-Zxz", root, deb],
           log, **kwargs)
    return deb
