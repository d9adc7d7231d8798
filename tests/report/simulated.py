# SPDX-License-Identifier: GPL-2.0-or-later
"""A made-up migration: what a QEMU would answer at any moment of it.

Figures follow from a few that are given, so that tests know what must come out
of a recording of it.
"""

import bisect
import dataclasses
import math

from migration_report import model

PAGE = 4096
STEP = 0.01
LONGEST = 100.0


@dataclasses.dataclass
class Plan:
    """Rates are in pages a second, amounts in pages, times in seconds."""

    pages: int = 32768
    link: int = 24000
    dirty: int = 7000
    working_set: int = 16384
    vcpus: int = 2
    ring: int | None = 4096     # None: the bitmap
    limit: float = 0.1          # of the downtime
    outcome: str = "completed"
    ends: float | None = None   # when it fails or is cancelled, or goes postcopy
    postcopy: bool = False
    stall: float = 0.0          # share of the time vCPU 0 stands still
    fallback: str | None = None
    supported: bool = True
    accelerator: str = "kvm"
    reason: str = "asked for by dirty-ring-size"
    # Counters of an earlier migration, which are not this one's.
    earlier: int = 1000


@dataclasses.dataclass
class State:
    t: float
    status: str
    passes: int
    remaining: float
    sent: float
    stopped: bool
    syncs: int
    dirtied: float
    found: float = 0.0      # by the last sync


def least_limit(plan):
    return math.ceil(plan.working_set * 1000 / plan.link)


class Migration:
    def __init__(self, plan):
        self.plan = plan
        self.states = list(self._run())
        self.times = [state.t for state in self.states]
        last = self.states[-1]
        self.total = last.t
        self.passes = last.passes
        self.sent = round(last.sent) * PAGE
        stops = [s.t for s in self.states if s.stopped]
        self.stopped = stops[0] if stops else None
        self.downtime = (self.total - self.stopped
                         if self.stopped is not None else None)
        if plan.postcopy:
            self.downtime = 0.05
        self.events = list(self._events())

    def _run(self):
        """States, a step apart."""
        p = self.plan
        t, remaining, sent, dirty, dirtied = 0.0, p.pages, 0.0, 0.0, 0.0
        passes, syncs, found, status, stopped = 1, 1, 0.0, "active", False
        yield State(0.0, "setup", 0, p.pages, 0, False, 0, 0)
        while True:
            t += STEP
            if t > LONGEST:
                raise ValueError("this plan never ends: it needs `ends`")
            part = min(p.link * STEP, remaining)
            sent += part
            remaining -= part
            if not stopped and status == "active":
                grown = p.dirty * STEP * (1 - dirty / p.working_set)
                dirty += grown
                dirtied += p.dirty * STEP
            if p.ends is not None and t >= p.ends:
                if not p.postcopy:
                    yield State(t, p.outcome, passes, remaining, sent, stopped,
                                syncs, dirtied, found)
                    return
                if status == "active":
                    status, stopped = "postcopy-active", True
                    remaining += dirty
                    dirty = 0.0
            if remaining <= 0:
                if stopped:
                    yield State(t, "completed", passes, 0, sent, True, syncs,
                                dirtied, found)
                    return
                passes, syncs = passes + 1, syncs + 1
                found, remaining, dirty = dirty, dirty, 0.0
                stopped = remaining <= p.limit * p.link
                status = "device" if stopped else "active"
            yield State(t, status, passes, remaining, sent, stopped, syncs,
                        dirtied, found)

    def _events(self):
        before = None
        for state in self.states:
            if state.status != (before.status if before else None):
                yield state.t, "MIGRATION", {"status": state.status}
            if state.stopped and not before.stopped:
                yield state.t, "STOP", {}
            before = state
        if self.plan.fallback:
            yield 0.005, "DIRTY_TRACKING_FALLBACK", {
                "backend": "log", "reason": self.plan.fallback}
        if before.stopped and before.status in ("failed", "cancelled"):
            yield before.t, "RESUME", {}

    def at(self, t):
        """The state at a moment; None before the beginning."""
        found = bisect.bisect_right(self.times, t) - 1
        return self.states[found] if found >= 0 else None

    # --- answers

    def query_migrate(self, t):
        state = self.at(t)
        if state is None:
            return {}
        answer = {"status": state.status}
        if state.status == "failed":
            answer["error-desc"] = "Unable to write to socket: Broken pipe"
        if state.status in ("failed", "cancelled"):
            return answer
        over = state.status == "completed"
        answer["total-time"] = round((self.total if over else t) * 1000)
        answer["setup-time"] = 2
        if over:
            answer["downtime"] = round(self.downtime * 1000)
        if state.status != "setup":
            answer["ram"] = self._ram(state)
        return answer

    def _ram(self, state):
        return {
            "transferred": round(state.sent) * PAGE,
            "remaining": round(state.remaining) * PAGE,
            "total": self.plan.pages * PAGE, "duplicate": 0,
            "normal": round(state.sent), "normal-bytes": round(state.sent) * PAGE,
            "dirty-pages-rate": self.plan.dirty if state.passes > 1 else 0,
            "mbps": self.plan.link * PAGE * 8 / 1e6, "page-size": PAGE,
            "dirty-sync-count": state.passes, "postcopy-requests": 0,
            "pages-per-second": self.plan.link,
            "precopy-bytes": round(state.sent) * PAGE}

    def query_dirty_tracking(self, t):
        p = self.plan
        state = self.at(t) or State(t, "none", 0, 0, 0, False, 0, 0)
        under_way = state.status not in model.IDLE and not state.stopped
        rate = self._rate(p.dirty if under_way and t > 0 else 0)
        answer = {
            "accelerator": p.accelerator,
            "logging": ["migration"] if under_way else [],
            "page-size": PAGE, "rate": rate, "sync": self._sync(state),
            "kvm": self._kvm(state, rate)}
        if p.accelerator != "kvm":
            del answer["kvm"]
        if under_way and state.status == "active":
            answer["forecast"] = self._forecast(state)
        return answer

    @staticmethod
    def _rate(pages):
        return {"pages-1s": pages, "pages-10s": pages,
                "bytes-1s": pages * PAGE, "bytes-10s": pages * PAGE}

    def _sync(self, state):
        n = state.syncs
        return {"count": self.plan.earlier + n, "time-last": 700 + 300 * n,
                "time-mean": 1000, "time-max": 900000,
                "locked-last": 200 + 40 * n, "locked-mean": 250,
                "locked-max": 90000, "pages-last": round(state.found)}

    def _kvm(self, state, rate):
        p = self.plan
        none = {"count": 0, "time": 0}
        answer = {
            "mode": "auto", "backend": "ring" if p.ring else "log",
            "reason": p.fallback or p.reason, "fallback": bool(p.fallback),
            "syncs": p.earlier + state.syncs,
            "published-pages": p.earlier + round(state.dirtied),
            "offered": [], "features": [],
            "ioctls": {"get-dirty-log": none, "clear-dirty-log": none,
                       "reset-dirty-rings": {"count": 61, "time": 23110},
                       "write-protect-all": none},
            "slot-size": 16777216, "late-slots": 0}
        if p.ring:
            answer["ring"] = self._ring(state, rate)
        return answer

    def _ring(self, state, rate):
        p = self.plan
        vcpus = [self._vcpu(state, rate, i) for i in range(p.vcpus)]
        return {
            "size": p.ring,
            "harvested-pages": p.earlier + round(state.dirtied),
            "full-exits": sum(v["full-exits"] for v in vcpus),
            "full-time": sum(v["full-time"] for v in vcpus),
            "harvest-time": 8123, "overflowed-pages": 0, "overflow-fetches": 0,
            "resets": 61, "short-resets": 0, "reprotections": 0,
            "stray-entries": 0,
            "reaper": {"wakeups": 530, "early-wakeups": 420, "harvests": 43,
                       "misses": 0, "calls": 18, "delays": 0,
                       "lead-mean": 9120, "lead-min": 2216, "fill-mean": 861,
                       "lateness-mean": 190, "lateness-max": 3804,
                       "cpu-share": 35, "cpu-share-mean": 37, "cpu-cap": 500},
            "vcpus": vcpus}

    def _vcpu(self, state, rate, index):
        """A ring that fills and is emptied when it is nearly full."""
        p = self.plan
        full = round(p.ring * (0.9 if index == 0 else 0.6 / (1 + index % 7)))
        filled = round(state.dirtied / p.vcpus) % (full + 1)
        t = 0 if state.status == "none" else state.t
        stall = p.stall * t if index == 0 else 0.0
        return {
            "cpu-index": index, "occupancy": 0 if state.stopped else filled,
            "high-water": 0 if state.status == "none"
            else min(full, round(state.dirtied / p.vcpus)),
            "harvested-pages": round(state.dirtied / p.vcpus),
            "full-exits": p.earlier + round(stall * 400),
            "full-time": p.earlier + round(stall * 1e6), "rate": rate}

    def _forecast(self, state):
        p = self.plan
        diverges = p.dirty > p.link and p.working_set > p.limit * p.link
        known = state.passes > 1
        answer = {
            "verdict": "unknown" if not known else
            "diverges" if diverges else "converges",
            "total": {}, "downtime": {}, "write-rate": p.dirty,
            "working-set": p.working_set, "throughput": p.link * PAGE,
            "passes": state.passes - 1}
        if known:
            likely = round(self.total * 1000)
            off = 1 / state.passes
            answer["total"] = {"least": round(likely * (1 - 0.2 * off))}
            answer["downtime"] = {"least": 40}
            if not diverges:
                answer["total"].update(likely=likely,
                                       most=round(likely * (1 + 0.4 * off)))
                answer["downtime"].update(likely=80, most=120)
            else:
                answer["needed-downtime-limit"] = least_limit(p)
                answer["needed-throttle"] = 60
        return answer

    def writes(self, t):
        """The guest's writes a second."""
        state = self.at(t)
        if state is None:
            return 40000
        if state.stopped or state.status in model.OVER:
            return 0
        return 3 * self.plan.dirty

    def recording(self, interval=0.1, lead=0.5, end="over", until=None,
                  **facts):
        """As the recorder would have made it, looking this often."""
        data = model.new(guest="web-1", qemu="10.0.13", interval=interval,
                         made="2026-11-21T13:08:00+0000", end=end,
                         supported=self.plan.supported)
        data.update(facts)
        last = self.total if until is None else until
        count = math.ceil((last + lead) / interval)
        times = [min(i * interval - lead, last) for i in range(count + 1)]
        total = 0
        for t in times:
            tracking = model.compact(self.query_dirty_tracking(t)) \
                if self.plan.supported else None
            data["samples"].append({"t": t + lead, "tracking": tracking,
                                    "migrate": self.query_migrate(t)})
            if not (self.at(t) or self.states[0]).stopped:
                total += round(self.writes(t) * interval)
                data["load"].append([t + lead, self.writes(t), total])
        data["events"] = [{"t": t + lead, "event": name, "data": told}
                          for t, name, told in self.events if t <= last]
        return model.Recording(data)
