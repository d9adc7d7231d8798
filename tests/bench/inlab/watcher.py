# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that ask a QEMU for its dirty tracking ten times a second."""

import itertools
import os
import tempfile
import threading

from dirtylab import stats
from dirtylab.qmp import Qmp

CLIENTS = 2
PERIOD = 0.1


class Watchers:
    """Sockets for the command line; while it is entered, they are used."""

    def __init__(self, number=CLIENTS):
        self.dir = tempfile.TemporaryDirectory(prefix="watch-")
        self.paths = [os.path.join(self.dir.name, str(i))
                      for i in range(number)]
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(path,))
                        for path in self.paths]
        self.asked = itertools.count()

    def options(self):
        return tuple(word for path in self.paths for word in
                     ("-qmp", f"unix:{path},server=on,wait=off"))

    def ask(self, path):
        client = Qmp(path, lambda: None)
        try:
            while not self.end.wait(PERIOD):
                client.cmd(stats.COMMAND)
                next(self.asked)
        finally:
            client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        for thread in self.threads:
            thread.join()
        self.dir.cleanup()
