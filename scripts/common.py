# SPDX-License-Identifier: GPL-2.0-or-later
"""What every script here needs: where things are, and how to talk about them."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
DOWNLOADS = os.path.join(BUILD, "downloads")
LOGS = os.path.join(BUILD, "logs")
PATCHES = os.path.join(ROOT, "patches", "qemu")
PRISTINE = os.path.join(BUILD, "upstream-src")   # Debian's patches, none of ours
COMPOSED = os.path.join(BUILD, "qemu-src")
QEMU_BUILD = os.path.join(BUILD, "qemu")
UPSTREAM_BUILD = os.path.join(BUILD, "upstream")
CONFIG = os.path.join(BUILD, "config.json")

START = time.monotonic()


class Failure(Exception):
    """Something the user must know about; the text says what to do."""


def say(text):
    """A progress line, with the seconds since this script started."""
    print(f"[{time.monotonic() - START:5.1f}s] {text}", flush=True)


def warn(text):
    print(f"WARNING: {text}", file=sys.stderr, flush=True)


def main(function):
    """Run FUNCTION as a program: a Failure becomes one message and status 1."""
    try:
        sys.exit(function() or 0)
    except Failure as failure:
        name = os.path.basename(sys.argv[0])
        print(f"{name}: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def logged(argv, log, **kwargs):
    """Run ARGV with its output in build/logs/LOG; show the end if it fails."""
    os.makedirs(LOGS, exist_ok=True)
    path = os.path.join(LOGS, log)
    with open(path, "wb") as output:
        status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, check=False,
                                **kwargs).returncode
    if status:
        with open(path, encoding="utf-8", errors="replace") as output:
            sys.stderr.write("".join(output.readlines()[-25:]))
        raise Failure(f"failed ({status}): {' '.join(argv)}\n"
                      f"  whole log: {path}")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json(path, default=None):
    try:
        with open(path, encoding="utf-8") as source:
            return json.load(source)
    except FileNotFoundError:
        return default


def write_json(path, value):
    """Replace PATH in one step, so that an interrupted run leaves the old one."""
    with open(path + ".new", "w", encoding="utf-8") as output:
        json.dump(value, output, indent=1, sort_keys=True)
        output.write("\n")
    os.replace(path + ".new", path)


def version():
    """This project's own; meson.build says it."""
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as source:
        return re.search(r"version: '([^']+)'", source.read()).group(1)


def build_environment():
    """The environment of compilations: the compiler cache stays in build/."""
    env = dict(os.environ)
    env.setdefault("CCACHE_DIR", os.path.join(BUILD, "ccache"))
    # A second clone of this repository finds what the first one compiled.
    env.setdefault("CCACHE_BASEDIR", ROOT)
    env.setdefault("CCACHE_NOHASHDIR", "1")
    return env


@contextlib.contextmanager
def build_lock(reason, what="qemu"):
    """One writer at a time in build/WHAT: ninja does not see to that."""
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, f".lock-{what}"), "w",
              encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{reason}: waiting for another build to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
