# SPDX-License-Identifier: GPL-2.0-or-later
"""Python for L1: this machine's 3.11, without what no lab program needs."""

import importlib.machinery
import importlib.util
import marshal
import sys
import sysconfig
from pathlib import Path

from . import elf

SKIP = {'test', 'idlelib', 'lib2to3', 'ensurepip', 'tkinter', 'turtledemo',
        'distutils', 'pydoc_data', 'dist-packages', 'site-packages',
        '__pycache__', 'sitecustomize.py', 'EXTERNALLY-MANAGED'}
# Test modules, and those that would bring large libraries.
SKIP_EXTENSIONS = ('_test', '_xx', 'xx', '_sqlite3', '_curses',
                   '_dbm', '_codecs_', 'nis', 'ossaudiodev', 'readline', 'audioop')


def add(tree):
    """Standard library as unchecked bytecode without source: quick to start."""
    stdlib = Path(sysconfig.get_path('stdlib'))
    version = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    tree.program(f'/usr/bin/{version}', Path(sys.executable).resolve())
    tree.link('/usr/bin/python3', version)
    for source in sorted(stdlib.rglob('*.py')):
        inside = source.relative_to(stdlib)
        if not SKIP.intersection(inside.parts) and not inside.parts[0].startswith('config-'):
            tree.file(stdlib / inside.with_suffix('.pyc'), source, 0o644, bytecode)
    for module in sorted((stdlib / 'lib-dynload').glob('*.so')):
        if not module.name.startswith(SKIP_EXTENSIONS):
            where = stdlib / 'lib-dynload' / module.name
            tree.file(where, module)
            for lib, file in elf.libraries(module):
                tree.file(lib, file, 0o755)


def add_package(tree, where, source):
    """A package with its source, and bytecode beside it."""
    for file in sorted(Path(source).rglob('*.py')):
        inside = file.relative_to(source)
        tree.file(f'{where}/{inside}', file, 0o644)
        tree.file(importlib.util.cache_from_source(f'{where}/{inside}'), file,
                  0o644, bytecode)


def bytecode(source, path):
    tag = f'.{sys.implementation.cache_tag}'
    name = f'/{path}'.replace('/__pycache__', '').replace(tag, '')
    loader = importlib.machinery.SourceFileLoader('lab', str(source))
    text = source.read_bytes()
    code = loader.source_to_code(text, name.removesuffix('c'))
    digest = importlib.util.source_hash(text)
    # Flag 1: bound to the source by a hash, but not to be checked at run time.
    return (importlib.util.MAGIC_NUMBER + (1).to_bytes(4, 'little') + digest +
            marshal.dumps(code))
