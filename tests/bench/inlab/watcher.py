# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that asks a QEMU the same question ten times a second.

It is a process of its own that does not look into the answers: what is to be
measured is what the questions cost QEMU and its guest, not what this program
makes of the answers on the slow CPU that they share.
"""

import contextlib
import json
import multiprocessing
import os
import socket
import tempfile
import time

from dirtylab.errors import LabError

PERIOD = 0.1
NOTHING = -1

PROCESSES = multiprocessing.get_context("fork")


def order(command):
    return json.dumps({"execute": command}).encode() + b"\n"


def is_answered(lines):
    """Skips events, that may come first."""
    for line in lines:
        if line.startswith((b'{"return"', b'{"error"')):
            return line.startswith(b'{"return"')
    return False


class Watcher:
    """A socket for the command line, and who uses it when told to: for one of
    these commands."""

    def __init__(self, *commands):
        self.commands = commands
        self.dir = tempfile.TemporaryDirectory(prefix="watch-")
        self.path = os.path.join(self.dir.name, "qmp")
        self.chosen = PROCESSES.Value("i", NOTHING)
        self.end = PROCESSES.Event()
        self.answers = PROCESSES.Value("L", 0)
        self.process = PROCESSES.Process(target=self._run, daemon=True)

    def options(self):
        return "-qmp", f"unix:{self.path},server=on,wait=off"

    def start(self):
        self.process.start()

    def stop(self):
        self.end.set()
        if self.process.pid:
            self.process.join()
        self.dir.cleanup()

    def answered(self):
        """How often, so far."""
        return self.answers.value

    @contextlib.contextmanager
    def asking(self, command):
        """It asks, or with None does not. A question every PERIOD is what is
        meant; half as many are an error."""
        if command is None:
            yield
            return
        have, began = self.answered(), time.monotonic()
        self.chosen.value = self.commands.index(command)
        yield
        self.chosen.value = NOTHING
        seconds = time.monotonic() - began
        found = self.answered() - have
        if found < seconds / PERIOD / 2 - 1:
            raise LabError(f"only {found} questions were answered in "
                           f"{seconds:.1f} s")

    def _run(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            with sock.makefile("rb") as answers:
                answers.readline()
                sock.sendall(order("qmp_capabilities"))
                answers.readline()
                self._ask(sock, answers)

    def _ask(self, sock, answers):
        questions = [order(command) for command in self.commands]
        due = time.monotonic()
        while not self.end.wait(max(0, due - time.monotonic())):
            due += PERIOD
            chosen = self.chosen.value
            if chosen == NOTHING:
                continue
            sock.sendall(questions[chosen])
            if not is_answered(answers):
                return
            self.answers.value += 1     # by nobody else
