# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP monitor without a QEMU: answers as a made-up migration would."""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time

from simulated import Migration, Plan

VERSION = {"qemu": {"major": 10, "minor": 0, "micro": 13}, "package": ""}
KNOWN = ("qmp_capabilities", "query-commands", "query-name", "query-uuid",
         "query-version", "query-migrate", "query-dirty-tracking",
         "query-status")


class Fake:
    """`dies`: seconds into the migration when the monitor is closed.
    `mute`: a monitor that someone else uses: it takes connections and says
    nothing.  `earlier`: what query-migrate tells before."""

    def __init__(self, plan=None, dies=None, mute=False, name="web-1",
                 earlier=None):
        self.migration = Migration(plan or Plan())
        self.name = name
        self.earlier = earlier or {}
        self.began = None           # time.monotonic()
        self.dead = False
        self.interject = []         # messages to send before the next answer
        self._dies = dies
        self._mute = mute
        self._clients = []
        self._lock = threading.Lock()
        self.directory = tempfile.mkdtemp(prefix="report-fake-")
        self.path = os.path.join(self.directory, "qmp")
        self.console = os.path.join(self.directory, "console")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._start(self._accept)

    @staticmethod
    def _start(function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

    # --- for the test

    def begin(self):
        """The migration begins now."""
        self.began = time.monotonic()
        self._start(self._send_events)
        if self._dies is not None:
            threading.Timer(self._dies, self.die).start()

    def print_load(self):
        """Write the guest's console, from now on."""
        self._start(self._write_console)

    def die(self):
        self.dead = True
        self._listener.close()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def since(self):
        """Seconds since the beginning; before it, below 0."""
        return -1.0 if self.began is None else time.monotonic() - self.began

    # --- threads

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    self._clients.append(client)
                if not self._mute:
                    self._start(self._serve, client)

    def _serve(self, client):
        with contextlib.suppress(OSError, ValueError):
            self._send(client, {"QMP": {"version": VERSION,
                                        "capabilities": ["oob"]}})
            for line in client.makefile("rb"):
                answer = self._answer(json.loads(line))
                while self.interject:
                    self._send(client, self.interject.pop(0))
                self._send(client, answer)

    def _send(self, client, message):
        with self._lock:
            client.sendall(json.dumps(message).encode() + b"\r\n")

    def _send_events(self):
        for at, name, data in self.migration.events:
            time.sleep(max(0.0, at - self.since()))
            now = time.time()
            event = {"event": name, "timestamp": {
                "seconds": int(now), "microseconds": int(now % 1 * 1e6)}}
            if data:
                event["data"] = data
            for client in list(self._clients):
                with contextlib.suppress(OSError):
                    self._send(client, event)

    def _write_console(self):
        total, began = 0, time.monotonic()
        last = began
        with open(self.console, "wb", buffering=0) as console:
            console.write(b"Linux version 6.12\r\n")
            while not self.dead:
                writes = self.migration.writes(self.since())
                now = time.monotonic()
                if writes:
                    total += round(writes * (now - last))
                    console.write(b"dirtyload t=%d w=%d total=%d\r\n"
                                  % ((now - began) * 1000, writes, total))
                last = now
                time.sleep(0.05)

    # --- commands

    def _answer(self, request):
        command = request["execute"]
        known = [name for name in KNOWN if name != "query-dirty-tracking"
                 or self.migration.plan.supported]
        if command not in known:
            answer = {"error": {
                "class": "CommandNotFound",
                "desc": f"The command {command} has not been found"}}
        else:
            answer = {"return": self._result(command, known)}
        if "id" in request:
            answer["id"] = request["id"]
        return answer

    def _result(self, command, known):
        now = self.since()
        return {
            "qmp_capabilities": dict, "query-version": lambda: VERSION,
            "query-status": lambda: {"status": "running", "running": True},
            "query-name": lambda: {"name": self.name} if self.name else {},
            "query-uuid": lambda: {
                "UUID": "11111111-2222-3333-4444-555555555555"},
            "query-commands": lambda: [{"name": name} for name in known],
            "query-migrate": lambda: self.migration.query_migrate(now)
            if now >= 0 else self.earlier,
            "query-dirty-tracking":
            lambda: self.migration.query_dirty_tracking(now),
        }[command]()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.die()
        for name in ("qmp", "console"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))
        os.rmdir(self.directory)
