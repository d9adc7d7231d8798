# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that ask a QEMU for its dirty tracking ten times a second.

Each is a process of its own that does not look into the answers: what is to be
measured is what the questions cost QEMU and its guest, not what this program
makes of the answers on the one slow CPU that they share.
"""

import json
import multiprocessing
import os
import socket
import tempfile

from dirtylab import stats
from dirtylab.errors import LabError

CLIENTS = 2
PERIOD = 0.1

PROCESSES = multiprocessing.get_context("fork")


def order(command):
    return json.dumps({"execute": command}).encode() + b"\n"


def is_answered(lines):
    """Skips events, that may come first."""
    for line in lines:
        if line.startswith((b'{"return"', b'{"error"')):
            return line.startswith(b'{"return"')
    return False


def ask(path, asked, end):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        with sock.makefile("rb") as answers:
            answers.readline()
            sock.sendall(order("qmp_capabilities"))
            answers.readline()
            question = order(stats.COMMAND)
            while not end.wait(PERIOD):
                sock.sendall(question)
                if not is_answered(answers):
                    return
                with asked.get_lock():
                    asked.value += 1


class Watchers:
    """Sockets for the command line; while it is entered, they are used."""

    def __init__(self, number=CLIENTS):
        self.dir = tempfile.TemporaryDirectory(prefix="watch-")
        self.paths = [os.path.join(self.dir.name, str(i))
                      for i in range(number)]
        self.end = PROCESSES.Event()
        self.answers = PROCESSES.Value("L", 0)
        self.processes = [PROCESSES.Process(target=ask, daemon=True,
                                            args=(path, self.answers, self.end))
                          for path in self.paths]

    def asked(self, seconds):
        """How often, which in that time has to be half of what was meant."""
        least = len(self.paths) * seconds / PERIOD / 2
        if self.answers.value < least:
            raise LabError(f"only {self.answers.value} questions were answered "
                           f"in {seconds:.1f} s")
        return self.answers.value

    def options(self):
        return tuple(word for path in self.paths for word in
                     ("-qmp", f"unix:{path},server=on,wait=off"))

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        for process in self.processes:
            process.join()
        self.dir.cleanup()
