# SPDX-License-Identifier: GPL-2.0-or-later
"""What follows from a recording.  Times are seconds from the migration's
beginning; sizes are bytes."""

import functools
import statistics

from . import model, tracking
from .look import MILLI, Look, dig

POSTCOPY = "postcopy"


def middle(values):
    return statistics.median(values) if values else None


class Story:
    """A recording, reckoned."""

    def __init__(self, recording):
        self.recording = recording
        self.title = recording.title
        origin = self._origin()
        self.looks = [Look(s["t"] - origin, s["migrate"], s["tracking"])
                      for s in recording.samples]
        self.events = [dict(e, t=e["t"] - origin) for e in recording.events]
        self.load = [(t - origin, w, total) for t, w, total in recording.load]

    def _origin(self):
        """When the migration began, on the recorder's clock.  QEMU tells how
        long ago that was; the least late answer is the best."""
        begins = [s["t"] - s["migrate"]["total-time"] * MILLI
                  for s in self.recording.samples
                  if s["migrate"].get("status") not in model.IDLE
                  and "total-time" in s["migrate"]]
        if begins:
            return min(begins)
        for s in self.recording.samples:
            if s["migrate"].get("status") not in model.IDLE:
                return s["t"]
        return self.recording.samples[-1]["t"]

    # --- the migration

    @functools.cached_property
    def during(self):
        """Looks at the migration under way."""
        return [look for look in self.looks if look.under_way]

    @functools.cached_property
    def active(self):
        """Those while memory was being sent and the guest ran on the source."""
        pause = self.pause
        return [look for look in self.during if look.status == "active"
                and not (pause and pause[0] <= look.t <= pause[1])]

    @functools.cached_property
    def last(self):
        return self.looks[-1]

    @functools.cached_property
    def outcome(self):
        """completed, failed, cancelled; gone: QEMU went away before it was
        over; unfinished: someone ended the recording."""
        if self.recording.data["end"] == "over":
            return self.last.status
        for event in reversed(self.events):
            status = dig(event, "data", "status")
            if event["event"] == "MIGRATION" and status in model.OVER:
                return status
        return "gone" if self.recording.data["end"] == "gone" else "unfinished"

    @functools.cached_property
    def postcopy(self):
        """When post-copy began, or None."""
        told = [e["t"] for e in self.events if e["event"] == "MIGRATION"
                and e["data"]["status"].startswith(POSTCOPY)]
        seen = [look.t for look in self.looks
                if look.status.startswith(POSTCOPY)]
        return min(told + seen, default=None)

    @functools.cached_property
    def total(self):
        """How long the migration took, or has taken so far."""
        told = self.last.migrate.get("total-time")
        if told is not None and self.last.status in model.OVER:
            return told * MILLI
        for event in self.events:
            if (event["event"] == "MIGRATION"
                    and dig(event, "data", "status") in model.OVER):
                return event["t"]
        return self.last.t

    @property
    def downtime(self):
        told = self.last.migrate.get("downtime")
        return None if told is None else told * MILLI

    @functools.cached_property
    def pause(self):
        """(from, to): when the guest stood still for the migration's end."""
        stop = self._event("STOP", -0.1)
        if self.outcome == "completed" and self.downtime is not None:
            if self.postcopy is None:
                return self.total - self.downtime, self.total
            begin = self.postcopy - self.downtime if stop is None else stop
            return begin, begin + self.downtime
        if stop is None:
            return None
        resume = self._event("RESUME", stop)
        return stop, self.end if resume is None else resume

    def _event(self, name, since):
        """When the first such event was, not before `since`."""
        return next((e["t"] for e in self.events
                     if e["event"] == name and e["t"] >= since), None)

    @functools.cached_property
    def begin(self):
        """Where a picture begins: some of the time before is of interest."""
        first = self.looks[0].t
        if self.recording.data["under-way"]:
            return first
        return min(0.0, max(first, -0.25 * self.end))

    @functools.cached_property
    def end(self):
        return max(self.total, self.last.t if self.outcome in (
            "gone", "unfinished") else 0.0, 1e-3)

    @functools.cached_property
    def passes(self):
        """[(when it began, its number)]."""
        found = []
        for look in self.looks:
            last = look is self.last
            if (look.under_way or last) and look.passes > (
                    found[-1][1] if found else 0):
                # The last pass, of a stopped guest, may only be seen later.
                late = last and self.pause
                found.append((self.pause[0] if late else look.t, look.passes))
        if found and not self.recording.data["under-way"]:
            found[0] = (0.0, found[0][1])
        return found

    @property
    def pass_count(self):
        return self.passes[-1][1] if self.passes else 0

    def final_ram(self, key):
        """The last that was told: a failed migration tells no more."""
        return next((look.ram(key) for look in reversed(self.looks)
                     if look.ram(key) is not None
                     and (look.under_way or look is self.last)), None)

    @property
    def error(self):
        return self.last.migrate.get("error-desc")

    @property
    def throttle(self):
        """The most that vCPUs were slowed down, in per cent, or None."""
        return max((look.migrate["cpu-throttle-percentage"]
                    for look in self.during
                    if "cpu-throttle-percentage" in look.migrate), default=None)

    # --- what varies

    def series(self, get, looks=None):
        """[(t, get(look))] where there is such a thing."""
        found = [(look.t, get(look)) for look in
                 (self.looks if looks is None else looks)]
        return [(t, value) for t, value in found if value is not None]

    @functools.cached_property
    def page_size(self):
        return (self.final_ram("page-size")
                or self.last.told("page-size") or 4096)

    @functools.cached_property
    def dirty_rate(self):
        """[(t, pages a second)]; without query-dirty-tracking QEMU's own
        figure, which changes once a pass."""
        if self.has_tracking:
            return self.series(lambda k: k.told("rate", "pages-1s"))
        return self.series(lambda k: k.ram("dirty-pages-rate"),
                           [k for k in self.during if k.passes > 1])

    @functools.cached_property
    def link_rate(self):
        """[(t, pages a second)] that are sent.  QEMU measures it ten times a
        second; until then it says 0."""
        found = self.series(lambda k: k.ram("mbps"), self.during)
        first = next((i for i, (_, mbps) in enumerate(found) if mbps), 0)
        return [(t, mbps * 1e6 / 8 / self.page_size)
                for t, mbps in found[first:]]

    @functools.cached_property
    def remaining(self):
        found = self.series(lambda k: k.ram("remaining"), self.during)
        if self.outcome == "completed" and found:
            found.append((self.total, 0))
        return found

    def _later(self, points):
        """Of those while the guest ran, the ones after the first pass, if
        there are any: in that one not all writes are logged."""
        running = {look.t for look in self.active}
        second = self.passes[1][0] if len(self.passes) > 1 else 0.0
        chosen = [v for t, v in points if t in running]
        later = [v for t, v in points if t in running and t >= second]
        return later if any(later) else chosen

    @functools.cached_property
    def typical_dirty(self):
        """Pages a second that became dirty while the guest ran."""
        return middle(self._later(self.dirty_rate))

    @functools.cached_property
    def typical_link(self):
        """Pages a second that are sent.  QEMU's own estimate leaves out the
        times when it found zero pages, of which hardly anything is sent."""
        told = [v for _, v in
                self.series(lambda k: k.told("forecast", "throughput")) if v]
        if told:
            return told[-1] / self.page_size
        running = {look.t for look in self.active}
        return middle([v for t, v in self.link_rate if t in running and v])

    def writes(self, since, until):
        """The guest's writes a second in that time, by its own count."""
        chosen = [s for s in self.load if since <= s[0] <= until]
        if len(chosen) < 2:
            return None
        return (chosen[-1][2] - chosen[0][2]) / (chosen[-1][0] - chosen[0][0])

    # --- tracking

    @functools.cached_property
    def has_tracking(self):
        return any(look.tracking for look in self.looks)

    @functools.cached_property
    def told(self):
        """The last answer to query-dirty-tracking."""
        return next((look.tracking for look in reversed(self.looks)
                     if look.tracking), {})

    @functools.cached_property
    def before(self):
        """The last one before the migration began, to count from."""
        idle = [look.tracking for look in self.looks
                if look.t <= 0 and look.tracking]
        return idle[-1] if idle else next(
            (look.tracking for look in self.looks if look.tracking), {})

    def gained(self, *keys):
        """By how much a counter grew."""
        now = dig(self.told, *keys)
        return None if now is None else now - (dig(self.before, *keys) or 0)

    @property
    def backend(self):
        return dig(self.told, "kvm", "backend") or self.told.get("accelerator")

    @property
    def ring_size(self):
        return dig(self.told, "kvm", "ring", "size")

    @functools.cached_property
    def syncs(self):
        return tracking.syncs(self.looks)

    @property
    def longest_lock(self):
        """By a sync of this migration that was seen."""
        return max((sync.locked for sync in self.syncs), default=None)

    @functools.cached_property
    def vcpus(self):
        """The rings, by vCPU."""
        return tracking.vcpus(self.looks)

    @functools.cached_property
    def stalled(self):
        """Seconds vCPUs stood still, all together; None without rings."""
        return sum(v.full_time for v in self.vcpus) if self.vcpus else None

    @functools.cached_property
    def fallbacks(self):
        """Reasons why dirty pages are not tracked as was asked for."""
        found = [dig(e, "data", "reason") for e in self.events
                 if e["event"] == "DIRTY_TRACKING_FALLBACK"]
        if dig(self.told, "kvm", "fallback"):
            found.append(dig(self.told, "kvm", "reason"))
        return list(dict.fromkeys(r for r in found if r))

    # --- the forecast

    @functools.cached_property
    def forecasts(self):
        """[(t, forecast)] that have something to say."""
        found = self.series(lambda k: k.told("forecast"))
        return [(t, f) for t, f in found if f["verdict"] != "unknown"]

    @property
    def first_forecast(self):
        """The one at the end of the first pass: (t, forecast) or None."""
        return self.forecasts[0] if self.forecasts else None
