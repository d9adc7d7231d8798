# SPDX-License-Identifier: GPL-2.0-or-later
"""A small synchronous QMP client.

QEMU's own python client is not packaged everywhere and built on asyncio, whose
import alone takes more than a second in an emulated host.  Users here want
nothing but "send a command, get its answer, keep the events".
"""

import json
import socket
import time

from .errors import Gone, NoAnswer, Refused


class Qmp:
    """One monitor connection. Events are collected in `events`, in order."""

    # What is raised; users with errors of their own have their own.
    gone = Gone
    late = NoAnswer
    refused = Refused

    def __init__(self, path, timeout=30.0, appears=0.0):
        """`appears`: how many seconds the socket may take to be there."""
        self.events = []
        self.timeout = timeout
        self._pending = b""
        self._commands = None
        self._count = 0
        self._sock = self._connect(path, appears)
        # A monitor serves one client; the next one waits without a word.
        greeting = self._read(time.monotonic() + timeout)
        if greeting is None:
            raise self.late(f"{path}: connected, but no greeting in "
                            f"{timeout:.0f} s: is another client, such as "
                            "libvirt, using this monitor? Give QEMU a second "
                            "one (-qmp unix:PATH,server=on,wait=off)")
        if not isinstance(greeting, dict) or "QMP" not in greeting:
            raise self.gone(f"{path}: not a QMP monitor, it says: {greeting}")
        self.version = greeting["QMP"].get("version", {})
        self.cmd("qmp_capabilities")

    def check(self):
        """Called while waiting; may raise if it knows that QEMU has died."""

    def closed(self):
        """The monitor was closed: raise what tells of it best."""
        raise self.gone("QEMU closed its monitor")

    def _connect(self, path, appears):
        end = time.monotonic() + appears
        while True:
            self.check()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(path)
                return sock
            except (FileNotFoundError, ConnectionRefusedError) as err:
                sock.close()
                if time.monotonic() > end:
                    raise self._unreachable(path, appears, err) from err
                time.sleep(0.02)
            except OSError as err:
                sock.close()
                raise self._unreachable(path, 0, err) from err

    def _unreachable(self, path, appears, err):
        if appears:
            return self.late(f"no monitor at {path} after {appears:.0f} s")
        return self.gone(f"{path}: {err.strerror or err}")

    def _receive(self, seconds):
        """Wait so long for more; False if nothing came."""
        self._sock.settimeout(seconds)
        try:
            data = self._sock.recv(65536)
        except socket.timeout:
            self.check()
            return False
        except OSError:
            data = b""
        if not data:
            self.closed()
        self._pending += data
        return True

    def _read(self, deadline):
        """The next message, or None if there is none before the deadline."""
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._receive(min(left, 0.5))
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            return line.decode(errors="replace").strip()

    def _send(self, command, message):
        try:
            self._sock.settimeout(self.timeout)
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError as err:
            self.check()
            raise self.gone(f"{command}: monitor is gone: {err}") from err

    def cmd(self, command, args=None, timeout=None):
        """Run a command and return its answer; `refused` if QEMU does."""
        self._count += 1
        message = {"execute": command, "id": self._count}
        if args:
            message["arguments"] = args
        self._send(command, message)
        wait = timeout or self.timeout
        deadline = time.monotonic() + wait
        while True:
            answer = self._read(deadline)
            if answer is None:
                raise self.late(f"{command}: no answer in {wait:.0f} s")
            if "event" in answer:
                self.events.append(answer)
            elif answer.get("id", self._count) != self._count:
                continue            # of a command that was given up
            elif "error" in answer:
                raise self.refused(command, answer["error"])
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
            if not self.wait(deadline - time.monotonic()):
                raise self.late(f"no event {name} in {timeout:.0f} s")

    def wait(self, seconds):
        """Wait until there is one more event; False if there was none."""
        message = self._read(time.monotonic() + seconds)
        if message is None:
            return False
        if "event" in message:
            self.events.append(message)
        return True

    def drain_events(self):
        """Read what has already arrived and return it with what was kept."""
        self.cmd("query-status")
        return self.take_events()

    def take_events(self):
        """What was kept."""
        events, self.events = self.events, []
        return events

    def close(self):
        self._sock.close()
