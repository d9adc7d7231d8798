# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches a QEMU in a thread of its own and records its next migration.

    recorder = Recorder("/run/vm.qmp", load="/run/vm.console")
    recorder.start()                # ReportError if there is no such monitor
    ...
    recording = recorder.stop()     # or recorder.wait() for its end first
"""

import threading
import time

from . import load as guestload
from . import model
from .errors import Gone, NoAnswer, Refused
from .qmp import Qmp

COMMAND = "query-dirty-tracking"
LEAD = 2.0          # seconds kept from before the migration
MOST = 3000         # samples; then half of them go and the pace is halved
GREETING = 5.0      # seconds


def version(monitor):
    """QEMU's version, as text."""
    found = monitor.version.get("qemu", {})
    parts = [str(found.get(k, "?")) for k in ("major", "minor", "micro")]
    return ".".join(parts) if found else None


def guest_name(monitor):
    """The guest's name, or its UUID if it has none."""
    return (monitor.cmd("query-name").get("name")
            or monitor.cmd("query-uuid")["UUID"])


class Recorder:
    """`monitor`: a QMP socket's path, or something like qmp.Qmp.  `on_sample`
    is called in the thread, with this recorder, after each look."""

    def __init__(self, monitor, interval=0.1, load=None, title=None,
                 on_sample=None):
        self.interval = interval
        self.title = title
        self.began = False          # a migration is or was under way
        self.on_sample = on_sample
        self._monitor = monitor
        self._load = guestload.Follower(load) if load else None
        self._data = None
        self._first = None          # query-migrate's answer at the beginning
        self._last_look = 0.0
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True,
                                        name="migration-recorder")

    # --- for the user

    def start(self):
        if isinstance(self._monitor, str):
            self._monitor = Qmp(self._monitor, timeout=GREETING)
        self._monitor.timeout = 60.0
        self._monitor.check = self._check
        self._zero = time.monotonic()
        self._wall = time.time()
        self._data = self._introduce()
        if self._load:
            self._load.skip()
        self._first = self._monitor.cmd("query-migrate")
        self.began = self._first.get("status") not in model.IDLE
        self._data["under-way"] = self.began
        self._thread.start()

    def wait(self, timeout=None):
        """Whether the recording has ended."""
        return self._done.wait(timeout)

    def stop(self):
        """End it, if it has not ended; returns the Recording."""
        self._stopping.set()
        self._thread.join()
        return self.recording

    @property
    def recording(self):
        return model.Recording(self._data)

    # --- in the thread

    def _introduce(self):
        monitor = self._monitor
        return model.new(
            title=self.title, guest=guest_name(monitor),
            qemu=version(monitor), interval=self.interval,
            made=time.strftime("%Y-%m-%dT%H:%M:%S%z",
                               time.localtime(self._wall)),
            supported=monitor.has(COMMAND), **{"load-file": bool(self._load)})

    def _now(self):
        return time.monotonic() - self._zero

    def _run(self):
        try:
            while not self._stopping.is_set():
                if self._look():
                    self._data["end"] = "over"
                    break
                self._pause()
        except (Gone, NoAnswer) as err:
            if not self._stopping.is_set():
                self._data["end"] = "gone"
                self._data["reason"] = str(err)
            self._keep_events()
        finally:
            self._follow_load()
            self._monitor.close()
            self._done.set()

    def _check(self):
        """While QEMU does not answer: whoever wants to stop need not wait."""
        if self._stopping.is_set():
            raise NoAnswer("stopped")

    def _pause(self):
        """Until the next look is due or something happens: changes of state
        are worth a look of their own."""
        end = self._last_look + self.interval
        while not self._stopping.is_set():
            left = end - self._now()
            if left <= 0 or self._monitor.wait(min(left, 0.5)):
                return

    def _look(self):
        """Take one sample; True if the migration is over."""
        migrate = self._monitor.cmd("query-migrate")
        self._last_look = t = self._now()
        sample = {"t": round(t, 4), "migrate": migrate,
                  "tracking": self._tracking()}
        self._data["samples"].append(sample)
        self._keep_events()
        self._follow_load()
        self._note_begin(migrate)
        if self.began:
            self._thin()
        else:
            self._forget(t - LEAD)
        if self.on_sample:
            self.on_sample(self)
        return self.began and migrate.get("status") in model.OVER

    def _note_begin(self, migrate):
        """An earlier migration's result is not news."""
        status = migrate.get("status")
        if status not in model.IDLE or (
                status in model.OVER and migrate != self._first):
            self.began = True

    def _tracking(self):
        if not self._data["supported"]:
            return None
        try:
            return model.compact(self._monitor.cmd(COMMAND))
        except Refused as err:
            self._data["supported"] = False
            self._data["reason"] = str(err)
            return None

    def _keep_events(self):
        """By QEMU's clock, which is this machine's, within what is possible."""
        now = self._now()
        for event in self._monitor.take_events():
            at = event["timestamp"]
            told = at["seconds"] + at["microseconds"] / 1e6 - self._wall
            self._data["events"].append(
                {"t": round(min(max(told, 0), now), 4),
                 "event": event["event"], "data": event.get("data", {})})

    def _follow_load(self):
        if self._load:
            for line in self._load.lines():
                found = guestload.sample(line)
                if found:
                    self._data["load"].append(
                        [round(found.seen - self._zero, 4), found.wps,
                         found.total])

    def _forget(self, before):
        """Keep what may be shown of the time before the migration."""
        data = self._data
        data["samples"] = [s for s in data["samples"] if s["t"] >= before]
        data["events"] = [e for e in data["events"] if e["t"] >= before]
        data["load"] = [s for s in data["load"] if s[0] >= before]

    def _thin(self):
        if len(self._data["samples"]) > MOST:
            self._data["samples"] = model.thin(self._data["samples"])
            self.interval *= 2
