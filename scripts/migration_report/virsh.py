# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor of a libvirt domain, through virsh.

libvirt keeps QEMU's own monitor for itself and lets others speak through it,
one command at a time.  Events are not to be had that way.
"""

import json
import subprocess
import time

from .errors import Gone, NoAnswer, Refused


class Virsh:
    """As much of qmp.Qmp as the recorder needs."""

    def __init__(self, domain, connect=None):
        self.timeout = 30.0
        self._argv = ["virsh"] + (["-c", connect] if connect else [])
        self._argv += ["qemu-monitor-command", domain]
        self._commands = None
        self.version = {"qemu": self.cmd("query-version")["qemu"]}

    def cmd(self, command, args=None):
        message = {"execute": command}
        if args:
            message["arguments"] = args
        try:
            done = subprocess.run(self._argv + [json.dumps(message)],
                                  stdin=subprocess.DEVNULL, check=False,
                                  capture_output=True, text=True,
                                  timeout=self.timeout)
        except FileNotFoundError as err:
            raise Gone("virsh is not installed (Debian package "
                       "libvirt-clients)") from err
        except subprocess.TimeoutExpired as err:
            raise NoAnswer(f"{command}: virsh took more than "
                           f"{self.timeout:.0f} s") from err
        if done.returncode:
            raise Gone(" ".join(done.stderr.split())
                       or f"virsh: status {done.returncode}")
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise Refused(command, answer["error"])
        return answer["return"]

    def has(self, command):
        if self._commands is None:
            self._commands = {c["name"] for c in self.cmd("query-commands")}
        return command in self._commands

    def wait(self, seconds):
        time.sleep(seconds)
        return False

    def take_events(self):
        return []

    def close(self):
        pass
