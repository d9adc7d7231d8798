# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium without a window, spoken to over its DevTools protocol through a
pipe: nothing listens on a port."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = "chromium"
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--remote-debugging-pipe"]
TIMEOUT = 60


class BrowserError(Exception):
    pass


class Browser:
    def __init__(self):
        self._profile = tempfile.mkdtemp(prefix="report-browser-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._pending = b""
        self._count = 0
        self._events = []
        self._session = None

        def ends():
            # Chromium reads descriptor 3 and writes to 4.  Out of the way
            # first: either may have the other's number.
            high = [os.dup(theirs_in), os.dup(theirs_out)]
            for number, end in zip((3, 4), high):
                os.dup2(end, number, inheritable=True)
        self._log = open(os.path.join(self._profile, "log"), "wb")
        self._process = subprocess.Popen(
            [PROGRAM, *OPTIONS, f"--user-data-dir={self._profile}",
             "about:blank"], close_fds=False, preexec_fn=ends,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")
        self._session = self.call("Target.attachToTarget", flatten=True,
                                  targetId=target["targetId"])["sessionId"]
        self.call("Page.enable")
        self.call("Network.enable")

    # --- the protocol

    def _read(self):
        deadline = time.monotonic() + TIMEOUT
        while b"\0" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise BrowserError(f"{PROGRAM}: no answer in {TIMEOUT} s")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise BrowserError(f"{PROGRAM} has ended: {self._said()}")
            self._pending += data
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)

    def _said(self):
        with open(os.path.join(self._profile, "log"), errors="replace") as log:
            return log.read()[-600:]

    def call(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self._events.append(answer)

    def _wait(self, name):
        while not any(e["method"] == name for e in self._events):
            answer = self._read()
            if "method" in answer:
                self._events.append(answer)

    # --- pages

    def show(self, path, scheme="light", width=1280, height=900):
        """Load a file; returns the addresses it made the browser ask for."""
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=False)
        self._events = []
        self.call("Page.navigate", url=f"file://{os.path.abspath(path)}")
        self._wait("Page.loadEventFired")
        return [e["params"]["request"]["url"] for e in self._events
                if e["method"] == "Network.requestWillBeSent"]

    def run(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script,
                           returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"in the page: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, path):
        """The whole page, also what is below the window."""
        data = self.call("Page.captureScreenshot", format="png",
                         captureBeyondViewport=True)["data"]
        with open(path, "wb") as output:
            output.write(base64.b64decode(data))

    def close(self):
        with contextlib.suppress(BrowserError, OSError):
            self._session = None
            self.call("Browser.close")
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
