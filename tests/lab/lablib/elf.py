# SPDX-License-Identifier: GPL-2.0-or-later
"""Which shared libraries a program needs."""

import re
import subprocess
from functools import lru_cache
from pathlib import Path

from .errors import LabError

# The loader in L1 has no cache: it looks in these and nowhere else.
LIB_DIRS = ('/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu',
            '/lib64', '/usr/lib64', '/lib', '/usr/lib')


def is_elf(path):
    with open(path, 'rb') as f:
        return f.read(4) == b'\x7fELF'


@lru_cache(maxsize=None)
def libraries(path):
    """Pairs (name in L1, file here), the loader included; none if static."""
    done = subprocess.run(['ldd', str(path)], text=True, stdout=subprocess.PIPE,
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
