# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration on the terminal, while it happens."""

import os
import shutil

from . import text
from .look import MILLI, Look, dig

EVERY = 1.0         # seconds between plain lines
MOST_VCPUS = 8
LABEL = 10


def bar(share, width, letters):
    full, empty = letters
    filled = round(min(max(share, 0), 1) * width)
    return full * filled + empty * (width - filled)


class View:
    """`recorder` tells what is new; `out` is where to write."""

    def __init__(self, out, live=None):
        self.out = out
        self.live = live if live is not None else (
            out.isatty() and os.environ.get("TERM", "dumb") != "dumb")
        encoding = (getattr(out, "encoding", None) or "ascii").lower()
        self.letters = "█░" if encoding.startswith("utf") else "#-"
        self._drawn = 0
        self._plain = None      # (when, what) the last plain line was
        self._exits = {}        # of each vCPU, when the recording began

    def say(self, words):
        """A line that stays."""
        self._erase()
        self.out.write(words + "\n")
        self.out.flush()

    def update(self, recorder):
        sample = recorder.recording.samples[-1]
        look = Look(sample["t"], sample["migrate"], sample["tracking"])
        self._note_exits(look)
        if not recorder.began:
            if self.live:
                self._draw([f"Waiting for a migration to begin "
                            f"({look.t:.0f} s; Ctrl-C ends it)"])
            return
        writes = recorder.recording.load[-1][1] if recorder.recording.load \
            else None
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self._draw([line[:width] for line in
                        screen(look, writes, self._exits, min(width, 100),
                               self.letters)])
        elif self._due(look):
            self._plain = look.t, look.status, look.passes
            self.say(line(look, writes))

    def _due(self, look):
        """Every second, and when something begins or ends."""
        return (self._plain is None or look.t - self._plain[0] >= EVERY
                or self._plain[1:] != (look.status, look.passes))

    def _note_exits(self, look):
        """Counters may be those of an earlier migration, in part."""
        for vcpu in look.told("kvm", "ring", "vcpus") or ():
            self._exits.setdefault(vcpu["cpu-index"], vcpu["full-exits"])

    def _draw(self, lines):
        self._erase()
        self.out.write("\n".join(lines) + "\n")
        self._drawn = len(lines)
        self.out.flush()

    def _erase(self):
        if self._drawn:
            self.out.write(f"\x1b[{self._drawn}A\x1b[J")
        self._drawn = 0

    def done(self):
        """Leave the last state on the screen."""
        self._drawn = 0


def elapsed(look):
    return look.migrate.get("total-time", 0) * MILLI


def pages_sent(look):
    size = look.ram("page-size")
    return (look.ram("mbps") or 0) * 1e6 / 8 / size if size else None


def share_done(look):
    total = look.ram("total")
    return 1 - look.ram("remaining") / total if total else 0.0


def dirty(look):
    """Pages a second."""
    told = look.told("rate", "pages-1s")
    return look.ram("dirty-pages-rate") if told is None else told


def forecast(look):
    """In words, or None."""
    told = look.told("forecast")
    if not told or told["verdict"] == "unknown":
        return None
    likely = dig(told, "total", "likely")
    words = told["verdict"]
    if likely is not None:
        words += f", {text.milliseconds(likely * MILLI)} in all"
        most = dig(told, "total", "most")
        words += f", at most {text.milliseconds(most * MILLI)}" \
            if most is not None else ""
    down = dig(told, "downtime", "likely")
    if down is not None:
        words += f"; downtime {text.milliseconds(down * MILLI)}"
    return words


def line(look, writes):
    """All that fits in one."""
    parts = [f"{elapsed(look):7.1f} s  {look.status}"]
    if look.ram("total"):
        parts += [f"pass {look.passes}",
                  f"remaining {text.size(look.ram('remaining'))} "
                  f"({share_done(look) * 100:.0f} % done)",
                  f"dirtied {text.count(dirty(look))} pages/s",
                  f"sent {text.count(pages_sent(look))} pages/s"]
    if writes is not None:
        parts.append(f"guest {text.count(writes)} writes/s")
    ahead = forecast(look)
    return "  ".join(parts + ([ahead] if ahead else []))


def labelled(label, words):
    return f"{label:<{LABEL}}{words}"


def screen(look, writes, exits, width, letters):
    """The lines of the live view."""
    lines = [f"{elapsed(look):.1f} s   {look.status}"
             + (f"   pass {look.passes}" if look.passes else "")]
    wide = max(10, width - LABEL - 36)
    if look.ram("total"):
        lines += [
            labelled("sent", f"{bar(share_done(look), wide, letters)} "
                     f"{share_done(look) * 100:3.0f} %   "
                     f"{text.size(look.ram('remaining'))} remaining"),
            labelled("pages/s", f"dirtied {text.count(dirty(look)):>9}   "
                     f"sent {text.count(pages_sent(look)):>9}"
                     + (f"   guest writes {text.count(writes)}"
                        if writes is not None else ""))]
    lines += rings(look, exits, wide, letters)
    ahead = forecast(look)
    if ahead:
        lines.append(labelled("forecast", ahead))
    return lines


def full(vcpu, exits):
    """How often the ring was full, if it was."""
    n = vcpu["full-exits"] - exits.get(vcpu["cpu-index"], 0)
    return f", {text.plural(n, 'full exit')}" if n else ""


def rings(look, exits, wide, letters):
    size = look.told("kvm", "ring", "size")
    if not size:
        return []
    vcpus = look.told("kvm", "ring", "vcpus")
    lines = [labelled(f"vCPU {v['cpu-index']}",
                      f"{bar(v['occupancy'] / size, wide, letters)} "
                      f"{text.count(v['occupancy']):>7} of {text.count(size)}"
                      + full(v, exits))
             for v in vcpus[:MOST_VCPUS]]
    if len(vcpus) > MOST_VCPUS:
        lines.append(labelled("", f"and {len(vcpus) - MOST_VCPUS} more vCPUs"))
    return lines
