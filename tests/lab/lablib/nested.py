# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command in the emulated KVM host."""

import io
import os
import selectors
import signal
import sys
import time

from . import frames, image, runlayer
from .console import Console
from .errors import EXIT_LAB, EXIT_TIMEOUT
from .machine import Machine
from .terminal import Terminal

BOOT_LIMIT = 120    # seconds; a boot takes 3 to 4, on a busy machine longer
LAST_WORDS = 10     # seconds a panicking kernel has for its last lines


def run(args):
    end_on_signals()
    layers = image.layers(args.linux)
    return Session(args).run([*layers, own_layer(args, layers)])


def own_layer(args, layers):
    """The archive with what is for this run only."""
    below = {path for layer in layers for path in layer.tree.paths()}
    archive = io.BytesIO()
    runlayer.tree(args, below).pack(archive)
    return archive.getvalue()


def end_on_signals():
    """Turned into SystemExit, so that machines are stopped on the way out."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))


class Session:
    """One machine from power-on to the end of its command."""

    def __init__(self, args, name=None):
        """name: what it says goes to standard error, under that name."""
        self.args = args
        self.name = name
        self.console = Console(echo=args.verbose)
        self.decoder = frames.Decoder()
        self.status = None
        self.failure = None
        self.up = False
        self.ending = False
        self.machine = None
        self.file = None    # that is being received

    def run(self, layers):
        self.started = time.monotonic()
        self.deadline = self.started + BOOT_LIMIT
        self.machine = Machine(self.args, layers)
        self.terminal = Terminal(self.machine.port) if self.args.tty else None
        try:
            with self.terminal or io.BytesIO():
                self._loop()
        finally:
            self.machine.stop()
        self._note(f'{time.monotonic() - self.started:.1f} s in all')
        return self._verdict()

    def end(self):
        """Called from another thread: this one's run() returns soon."""
        self.ending = True
        if self.machine:
            self.machine.process.kill()

    def _loop(self):
        with selectors.DefaultSelector() as self.selector:
            self.selector.register(self.machine.console, selectors.EVENT_READ,
                                   self._read_console)
            self.selector.register(self.machine.port, selectors.EVENT_READ, self._read_port)
            if self.terminal:
                self.selector.register(0, selectors.EVENT_READ, self.terminal.forward)
            while self.status is None and self.failure is None and self.selector.get_map():
                left = None
                if self.deadline is not None:
                    left = self.deadline - time.monotonic()
                    if left <= 0:
                        self._timed_out()
                        return
                for key, _ in self.selector.select(left):
                    key.data()

    def _read_console(self):
        data = self.machine.console.read(65536)
        if data:
            self.console.feed(data)
        elif data == b'':
            self.selector.unregister(self.machine.console)
            if self.status is None:
                self._drain_port()
            if self.status is None and self.failure is None:
                self.failure = 'L1 ended without reporting a status' + self._emulator_status()
        if self.console.fatal and not self.failure:
            self.deadline = min(self.deadline or float('inf'), time.monotonic() + LAST_WORDS)

    def _drain_port(self):
        while self.machine.port in self.selector.get_map():
            if not self._read_port():
                return

    def _read_port(self):
        try:
            data = self.machine.port.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b''
        if not data:
            self.selector.unregister(self.machine.port)
            return False
        for kind, payload in self.decoder.feed(data):
            self._frame(kind, payload)
        return True

    def _frame(self, kind, payload):
        if kind in (b'O', b'E'):
            self._pass_on(kind, payload)
        elif kind in (b'N', b'D'):
            self._file(kind, payload)
        elif kind == b'H':
            self.up = True
            limit = self.args.timeout
            self.deadline = time.monotonic() + limit if limit else None
            self._note(f'L1 is up after {time.monotonic() - self.started:.1f} s')
        elif kind == b'S':
            self.status = int(payload)
        elif kind == b'F':
            self.failure = f'setting up L1 failed: {payload.decode(errors="replace")}'

    def _file(self, kind, payload):
        """L1 says which; it must not choose where."""
        if self.args.output is None:
            return
        if kind == b'N':
            self.file = self.args.output / os.path.basename(payload.decode(errors='replace'))
            self.file.write_bytes(b'')
        else:
            with open(self.file, 'ab') as out:
                out.write(payload)

    def _pass_on(self, kind, payload):
        if self.name:
            text = payload.decode(errors='replace').rstrip('\n')
            payload = ''.join(f'{self.name}: {line}\n' for line in text.split('\n')).encode()
        out = sys.stdout if kind == b'O' and not self.name else sys.stderr
        out.buffer.write(payload)
        out.buffer.flush()

    def _timed_out(self):
        if self.console.fatal:
            self.failure = 'L1 kernel died'
        elif not self.up:
            self.failure = f'L1 was not up after {BOOT_LIMIT} s'
        else:
            self.status = EXIT_TIMEOUT
            print(f'lab: timeout: the command ran for more than {self.args.timeout} s '
                  '(--timeout)', file=sys.stderr)
            self._show_console('the console of L1 ends with')

    def _emulator_status(self):
        code = self.machine.process.wait()
        return f' (exit status {code} of the outer emulator)'

    def _verdict(self):
        if self.ending:
            return 0
        # A kernel that died counts even if the command's status got out before.
        if self.console.fatal:
            self.failure = f'L1 kernel died: {self.console.fatal.strip()}'
        if self.failure is None:
            return self.status
        print(f'lab: LAB FAILURE (not a result of the command): {self.failure}',
              file=sys.stderr)
        self._show_console('last lines of its console')
        return EXIT_LAB

    def _show_console(self, title):
        if not self.args.verbose:
            print(f'lab: {title}:\n{self.console.tail()}', file=sys.stderr)

    def _note(self, text):
        if self.args.verbose:
            print(f'lab: {text}', file=sys.stderr, flush=True)
