# SPDX-License-Identifier: GPL-2.0-or-later
"""Which shared libraries a program needs."""

import json
import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

from . import paths
from .errors import LabError

# The loader in L1 has no cache: it looks in these and nowhere else.
LIB_DIRS = ('/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu',
            '/lib64', '/usr/lib64', '/lib', '/usr/lib')


def is_elf(path):
    with open(path, 'rb') as f:
        return f.read(4) == b'\x7fELF'


@lru_cache(maxsize=None)
def libraries(path):
    """Pairs (name in L1, file here), the loader included; none if static.

    Every run of the lab asks for some sixty programs and extensions, and ldd takes two
    seconds for these: what it said is kept as long as no file of it changes.
    """
    path = str(path)
    known = remembered().get(path)
    if not known or any(stamp(file) != then for file, then in known['stamps']):
        found = ask(path)
        files = [path, *(str(file) for _, file in found)]
        remember(path, {'stamps': [[file, stamp(file)] for file in files],
                        'found': [[where, str(file)] for where, file in found]})
        return found
    return tuple((where, Path(file)) for where, file in known['found'])


def stamp(file):
    """Changes when the file does; None if it is gone."""
    try:
        info = os.stat(file)
    except FileNotFoundError:
        return None
    return [info.st_mtime_ns, info.st_size, info.st_ino]


def cache():
    return paths.LAB / 'ldd.json'


@lru_cache(maxsize=None)
def remembered():
    try:
        return json.loads(cache().read_text())
    except (FileNotFoundError, ValueError):
        return {}


def remember(path, answer):
    """Replaced in one step; of two runs at a time, one's answers are lost."""
    remembered()[path] = answer
    new = cache().with_suffix(f'.{os.getpid()}')
    new.write_text(json.dumps(remembered()))
    new.rename(cache())


def ask(path):
    """The same from ldd."""
    done = subprocess.run(['ldd', path], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={'LC_ALL': 'C'})
    if 'not a dynamic executable' in done.stdout or 'statically linked' in done.stdout:
        return ()
    if done.returncode:
        raise LabError(f'ldd {path}: {done.stdout.strip()}')
    found = []
    for line in done.stdout.splitlines():
        missing = re.match(r'\s*(\S+) => not found', line)
        if missing:
            raise LabError(f'{path} needs the library {missing[1]}, '
                           'which is not installed')
        match = re.match(r'\s*(?:\S+ => )?(/\S+) \(0x', line)
        if match:
            file = Path(match[1])
            where = str(file)
            if str(file.parent) not in LIB_DIRS:
                where = f'{LIB_DIRS[0]}/{file.name}'
            found.append((where, file))
    return tuple(found)
