# SPDX-License-Identifier: GPL-2.0-or-later
"""A file tree to be: collected here, then packed as cpio or written to disk."""

import hashlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

from . import cpio, elf
from .errors import LabError

# In L1 as on any merged Debian: /bin is /usr/bin.
MERGED = ('bin', 'sbin', 'lib', 'lib64')


def canonical(where):
    """A path in the tree as the archive names it: relative, after /usr merge."""
    path = os.path.normpath('/' + str(where)).lstrip('/')
    if path.split('/')[0] in MERGED and '/' in path:
        return 'usr/' + path
    return path


class Tree:
    def __init__(self, below=()):
        """below: paths that a lower layer already has; they are left out."""
        self.entries = {}
        self.below = frozenset(below)

    # -- what goes in ---------------------------------------------------------

    def _add(self, where, *entry):
        path = canonical(where)
        if path in self.below:
            return
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.directory(parent)
        self.entries[path] = entry

    def directory(self, where, mode=0o755):
        self._add(where, 'dir', mode)

    def link(self, where, target):
        self._add(where, 'link', target)

    def text(self, where, content, mode=0o644):
        data = content.encode() if isinstance(content, str) else content
        self._add(where, 'data', mode, data)

    def device(self, where, mode, major, minor):
        self._add(where, 'device', mode, major, minor)

    def file(self, where, source, mode=None, convert=None):
        """convert(source, path in the tree) makes the content, when packed."""
        source = Path(source)
        if not source.is_file():
            raise LabError(f'{source}: no such file')
        self._add(where, 'file', mode or source.stat().st_mode & 0o777,
                  source.resolve(), convert)

    def program(self, where, source, convert=None):
        """An executable, with the shared libraries it needs."""
        self.file(where, source, convert=convert)
        if elf.is_elf(source):
            for lib, file in elf.libraries(Path(source).resolve()):
                self.file(lib, file, 0o755)

    def copy(self, where, source):
        """A file or a directory as it is; programs bring their libraries."""
        source = Path(source)
        if source.is_dir():
            self.directory(where)
            for child in sorted(source.iterdir()):
                if child.name != '__pycache__':
                    self.copy(f'{where}/{child.name}', child)
        elif os.access(source, os.X_OK) and source.is_file():
            self.program(where, source)
        else:
            self.file(where, source)

    # -- what comes out -------------------------------------------------------

    def key(self):
        """Changes when anything in the tree does."""
        digest = hashlib.sha256()
        for path, entry in sorted(self.entries.items()):
            if entry[0] == 'file':
                _, mode, source, convert = entry
                info = source.stat()
                entry = (mode, str(source), convert and convert.__name__,
                         info.st_size, info.st_mtime_ns, info.st_ino)
            digest.update(repr((path, entry)).encode())
        return digest.hexdigest()[:20]

    def paths(self):
        """What an upper layer need not bring again (directories do no harm)."""
        return [p for p, e in self.entries.items() if e[0] != 'dir']

    def pack(self, out):
        writer = cpio.Writer(out)
        for path, entry in sorted(self.entries.items()):
            kind = entry[0]
            if kind == 'dir':
                writer.add(path, stat.S_IFDIR | entry[1])
            elif kind == 'link':
                writer.add(path, stat.S_IFLNK | 0o777, entry[1].encode())
            elif kind == 'device':
                writer.add(path, entry[1], rdev=entry[2:])
            else:
                writer.add(path, stat.S_IFREG | entry[1], content(path, entry))
        writer.close()

    def write(self, root):
        root = Path(root)
        root.mkdir(parents=True, exist_ok=True)
        for path, entry in sorted(self.entries.items()):
            target = root / path
            kind = entry[0]
            if kind == 'dir':
                target.mkdir(parents=True, exist_ok=True)
                target.chmod(entry[1])
            elif kind == 'link':
                target.unlink(missing_ok=True)
                target.symlink_to(entry[1])
            elif kind in ('file', 'data'):
                target.unlink(missing_ok=True)
                target.write_bytes(content(path, entry))
                target.chmod(entry[1])


def content(path, entry):
    if entry[0] == 'data':
        return entry[2]
    _, _, source, convert = entry
    return convert(source, path) if convert else source.read_bytes()


def stripped(source, _path):
    """Debug information makes QEMU several times its size."""
    with tempfile.TemporaryDirectory() as temp:
        out = Path(temp, source.name)
        done = subprocess.run(['objcopy', '--strip-debug', str(source), str(out)],
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise LabError(f'{source} is no complete program (being built just now?): '
                           f'objcopy: {done.stderr.strip()}')
        return out.read_bytes()
