# SPDX-License-Identifier: GPL-2.0-or-later
"""A small synchronous QMP client.

QEMU's own python client is built on asyncio, whose import alone takes more
than a second in an emulated host, and the drivers here want nothing but "send
a command, get its answer, keep the events".
"""

import json
import socket
import time

from .errors import LabError, Timeout


class QmpError(LabError):
    """QEMU refused a command."""

    def __init__(self, command, error):
        self.command = command
        self.error_class = error.get("class", "")
        self.desc = error.get("desc", str(error))
        super().__init__(f"{command}: {self.desc}")


class Qmp:
    """One monitor connection. Events are collected in `events`, in order."""

    def __init__(self, path, alive, timeout=30.0):
        """`alive` is called while waiting; it raises when QEMU has died."""
        self.events = []
        self.timeout = timeout
        self._alive = alive
        self._pending = b""
        self._commands = None
        self._sock = self._connect(path)
        greeting = self._read(time.monotonic() + timeout)
        if not greeting or "QMP" not in greeting:
            raise LabError(f"{path}: not a QMP greeting: {greeting}")
        self.cmd("qmp_capabilities")

    def _connect(self, path):
        end = time.monotonic() + self.timeout
        while True:
            self._alive()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(path)
                return sock
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                if time.monotonic() > end:
                    raise Timeout(f"no monitor at {path} after "
                                  f"{self.timeout:.0f} s")
                time.sleep(0.02)

    def _read(self, deadline):
        """The next message, or None if there is none before the deadline."""
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._sock.settimeout(min(left, 0.5))
            try:
                data = self._sock.recv(65536)
            except socket.timeout:
                self._alive()
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                # The process may take a moment to become a zombie.
                for _ in range(50):
                    self._alive()
                    time.sleep(0.02)
                raise LabError("QEMU closed its monitor")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def cmd(self, command, args=None, timeout=None):
        """Run a command and return its answer; QmpError if it is refused."""
        message = {"execute": command}
        if args:
            message["arguments"] = args
        try:
            self._sock.settimeout(self.timeout)
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError as err:
            self._alive()
            raise LabError(f"{command}: monitor is gone: {err}") from err
        wait = timeout or self.timeout
        deadline = time.monotonic() + wait
        while True:
            answer = self._read(deadline)
            if answer is None:
                raise Timeout(f"{command}: no answer in {wait:.0f} s")
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(command, answer["error"])
            else:
                return answer["return"]

    def has(self, command):
        """Whether this QEMU knows a command."""
        if self._commands is None:
            self._commands = {c["name"] for c in self.cmd("query-commands")}
        return command in self._commands

    def wait_event(self, name, timeout, match=None):
        """Take the first event of that name, waiting for it if need be."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for i in range(seen, len(self.events)):
                event = self.events[i]
                if event["event"] == name and (not match or match(event)):
                    return self.events.pop(i)
            seen = len(self.events)
            message = self._read(deadline)
            if message is None:
                raise Timeout(f"no event {name} in {timeout:.0f} s")
            if "event" in message:
                self.events.append(message)

    def drain_events(self):
        """Read what has already arrived and return it with what was kept."""
        self.cmd("query-status")
        events, self.events = self.events, []
        return events

    def close(self):
        self._sock.close()
