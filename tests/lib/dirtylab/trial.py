# SPDX-License-Identifier: GPL-2.0-or-later
"""One migration from one process to another, with everything checked."""

import dataclasses
import time

from . import guest, migrate as mig, oracle
from .errors import LabError


@dataclasses.dataclass
class Trial:
    result: mig.Result
    ram: oracle.Comparison
    bar: oracle.Comparison | None = None
    dimms: dict = dataclasses.field(default_factory=dict)
    compare_seconds: float = 0.0
    before: float | None = None     # guest writes a second
    during: float | None = None
    after: float | None = None
    complaints: list = dataclasses.field(default_factory=list)

    @property
    def others(self):
        """Comparisons of what is not RAM from the start, by name."""
        return ({"shared BAR": self.bar} if self.bar else {}) | self.dimms

    @property
    def pages(self):
        return self.ram.pages + sum(c.pages for c in self.others.values())

    @property
    def differing(self):
        return self.ram.differing + sum(c.differing
                                        for c in self.others.values())

    @property
    def good(self):
        return not self.differing and not self.complaints

    def details(self):
        found = [d.describe() for d in self.ram.details]
        for name, compared in self.others.items():
            found += [f"{name}, {d.describe()}" for d in compared.details]
        return found + self.complaints


def goes_on(src, dst, trial, settle):
    """Start the destination and see that the guest continues there, not from
    an earlier moment and with nothing to complain about."""
    last = src.console.poll()
    resumed = time.monotonic()
    dst.qmp.cmd("cont")
    if not last:
        return
    try:
        dst.wait_load(timeout=60, lines=3)
    except LabError as err:
        trial.complaints.append(f"the guest did not go on: {err}")
        return
    dst.run_for(settle)
    first = dst.console.samples[0]
    if first.total < last.total or first.t < last.t:
        trial.complaints.append(
            f"the guest went back in time: {last.total} writes at "
            f"{last.t:.1f} s on the source, then {first.total} at "
            f"{first.t:.1f} s")
    trial.complaints += dst.console.corrupt[:8]
    trial.complaints += dst.console.panics[:8]
    # From the second half: at first every page is touched for the first time.
    trial.after = guest.rate(dst.console.samples[2:],
                             since=(resumed + time.monotonic()) / 2)


def run(src, dst, options, progress=None, during=None, settle=0.5, warm=0.0):
    """Migrate `src` to `dst`, compare, continue there. Both keep running or
    stopped as they are at the end; the caller disposes of the source."""
    src.run_for(warm)
    began = time.monotonic()
    before = guest.rate(src.console.samples, since=began - max(warm, 2.0))
    result = mig.migrate(src, dst, options, progress, during)
    started = time.monotonic()
    trial = Trial(result, oracle.compare(src.ram, dst.ram))
    if src.bar:
        trial.bar = oracle.compare(src.bar, dst.bar)
    for name in src.dimms:
        trial.dimms[name] = oracle.compare(src.dimm(name), dst.dimm(name))
    trial.compare_seconds = time.monotonic() - started
    trial.before = before
    trial.during = guest.rate(src.console.samples, since=result.began,
                              until=result.ended)
    if not trial.differing:
        goes_on(src, dst, trial, settle)
    return trial
