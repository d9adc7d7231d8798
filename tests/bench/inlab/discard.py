# SPDX-License-Identifier: GPL-2.0-or-later
"""The far end of a migration that arrives nowhere."""

import os
import socket
import threading

CHUNK = 1 << 20


class Discard:
    """Accepts one stream on a unix socket, reads and forgets it. It never
    answers, so that a source that wants an acknowledgment before it switches
    over goes round until it is cancelled."""

    def __init__(self, path):
        if os.path.exists(path):
            os.unlink(path)
        self.uri = f"unix:{path}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        buffer = bytearray(CHUNK)
        try:
            connection, _ = self._listener.accept()
            with connection:
                while connection.recv_into(buffer):
                    pass
        except OSError:
            pass                # closed, or the source has ended

    def close(self):
        # Closing alone would not wake up a thread that still waits.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(5)
