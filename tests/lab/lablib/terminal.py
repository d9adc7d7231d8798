# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's terminal, in raw mode while a shell runs in L1."""

import os
import signal
import termios
import tty

from . import frames


class Terminal:
    def __init__(self, port):
        self.port = port

    def __enter__(self):
        self.saved = termios.tcgetattr(0)
        tty.setraw(0)
        signal.signal(signal.SIGWINCH, lambda *_: self._send_size())
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(0, termios.TCSADRAIN, self.saved)

    def forward(self):
        data = os.read(0, 1024)
        if data:
            self.port.sendall(frames.encode(b'I', data))

    def _send_size(self):
        size = os.get_terminal_size()
        self.port.sendall(frames.encode(b'W', f'{size.lines} {size.columns}'.encode()))
