# SPDX-License-Identifier: GPL-2.0-or-later
"""What soak.py does, as data: all of it follows from the seed, and from what
the host can do."""

import dataclasses
import random

RINGS = (1024, 4096, 65536)
PATTERNS = ("random", "sequential", "hotset", "onepage")
RATES = (0, 500, 5000, 20000)           # pages a second; 0: flat out
BANDWIDTHS = (50, 100, 200, 400)        # MB/s
MODES = ("plain", "plain", "multifd", "xbzrle", "auto-converge", "postcopy")

# What is done to a migration so that it does not succeed.
BREAKS = ("cancel", "kill", "cut", "lose")
# Before a migration and while it runs.
BEFORE = ("measure", "limit", "vcpu", "dimm", "slots", "vga")
DURING = ("measure", "vga", "stop", "pause", "stall", "signals")
# What a whole soak must have had; in single steps, it depends.
EVERYTHING = {*MODES, "dirty-limit", *BREAKS, *BEFORE, *DURING, "refuse",
              "load", "hop"}


@dataclasses.dataclass(frozen=True)
class Tracker:
    """How a QEMU is to track, and the number of the request to log a memslot
    that KVM refuses to it."""

    backend: str
    size: int = 0
    refuse: int = 0             # 0: none

    def __str__(self):
        return (f"{self.backend} {self.size or ''}".strip()
                + (f" (request {self.refuse} refused)" if self.refuse else ""))


@dataclasses.dataclass(frozen=True)
class Start:
    """The machine; it stays the same to the end."""

    tracker: Tracker
    vcpus: int
    mem: int
    load: str


@dataclasses.dataclass(frozen=True)
class Step:
    """One migration that must succeed, and what happens around it."""

    number: int
    source: Tracker
    target: Tracker
    load: str                   # "": the old one goes on
    before: tuple               # (what, how)
    breaks: tuple               # (how, in which pass) it is kept from success
    mode: str
    during: tuple               # (what, how)
    at: int                     # in which pass that is
    bandwidth: int
    downtime: int
    passes: int

    def words(self):
        """Each thing that happens, in a word."""
        found = {what for what, _ in (*self.before, *self.breaks,
                                      *self.during)}
        found.add(self.mode)
        if self.source.refuse:
            found.add("refuse")
        if self.load:
            found.add("load")
        if self.source != self.target:
            found.add("hop")
        return found

    def describe(self):
        def listed(things):
            return ", ".join(f"{what} {how}".strip() for what, how in things)
        text = [f"{self.source} to {self.target}", self.mode]
        if self.load:
            text.append(f"load {self.load}")
        text += [f"{when}: {listed(things)}" for when, things in
                 (("before", self.before), ("broken", self.breaks),
                  (f"in pass {self.at}", self.during)) if things]
        return "; ".join(text)


class Planner:
    def __init__(self, seed, abilities):
        self.rng = random.Random(f"soak {seed}")
        self.abilities = abilities
        self.plugged = set()
        self.pattern = None

    def chance(self, probability):
        return self.rng.random() < probability

    def some(self, things, most):
        """Up to so many of them, often none."""
        count = min(self.rng.choice((0, 1, 1, 2)), most)
        return self.rng.sample(things, count)

    def tracker(self):
        backends = ["ring", "ring", "log"]
        if "wp-all" in self.abilities:
            backends += ["wp-all"]
        backend = self.rng.choice(backends)
        size = self.rng.choice(RINGS) if backend == "ring" else 0
        refuse = 0
        if "refuse" in self.abilities and self.chance(0.15):
            # With the dirty log all memory is few slots.
            refuse = self.rng.randint(1, 12 if backend == "ring" else 4)
        return Tracker(backend, size, refuse)

    def load(self, vcpus):
        threads = self.rng.choice((1, vcpus))
        self.pattern = self.rng.choice(PATTERNS)
        mib = self.rng.choice((16, 48, 80)) // threads
        return (f"threads={threads},mib={mib},rate={self.rng.choice(RATES)},"
                f"pattern={self.pattern},seed={self.rng.randrange(1000)}")

    def plug(self, what):
        """In if it is out, and the other way round."""
        self.plugged ^= {what}
        how = "plug" if what in self.plugged else "unplug"
        return f"{how} while logged" if self.chance(0.7) else how

    def how(self, what, tracker):
        """The details, as a text."""
        if what in ("vcpu", "dimm"):
            return self.plug(what)
        if what == "measure":
            mode = "dirty-ring" if tracker.backend == "ring" \
                else "dirty-bitmap"
            return self.rng.choice((mode, mode, "page-sampling"))
        if what == "limit":
            limit = self.rng.choice((8, 64, 500))
            return f"{limit} for a while" if self.chance(0.5) else str(limit)
        if what == "vga":
            return self.rng.choice(("640x480x8", "640x480x8", "800x600x8",
                                    "1024x768x32"))
        return ""

    def before(self, start, tracker):
        possible = [what for what in BEFORE
                    if not (what == "limit" and tracker.backend != "ring")
                    and not (what == "vcpu" and start.vcpus > 1)]
        return tuple((what, self.how(what, tracker))
                     for what in self.some(possible, 2))

    def breaks(self):
        """How, and in which pass; a destination is lost in the last one. A
        guest that writes a single page may be done in its first."""
        most = 1 if self.pattern == "onepage" else 2
        return tuple((how, "" if how == "lose" else self.rng.randint(1, most))
                     for how in self.some(BREAKS, 2))

    def mode(self, tracker, before):
        modes = list(MODES)
        if tracker.backend == "ring" and "limit" not in dict(before):
            modes.append("dirty-limit")
        return self.rng.choice(modes)

    def step(self, number, start, source):
        load = self.load(start.vcpus) if self.chance(0.4) else ""
        before = self.before(start, source)
        # A paused guest does nothing more, so that comes last.
        during = tuple((what, self.how(what, source)) for what in
                       sorted(self.some(DURING, 2), key="pause".__eq__))
        return Step(
            number=number, source=source,
            target=self.tracker() if self.chance(0.6) else source,
            load=load, before=before, breaks=self.breaks(),
            mode=self.mode(source, before), during=during,
            at=1 if self.pattern == "onepage" else self.rng.randint(1, 2),
            bandwidth=self.rng.choice(BANDWIDTHS),
            downtime=self.rng.choice((1, 50, 300)),
            passes=self.rng.randint(2, 8))


def plan(seed, count, abilities):
    """(Start, [Step, ...]): the same for the same arguments."""
    planner = Planner(seed, frozenset(abilities))
    vcpus = planner.rng.choice((1, 1, 2))
    if "smp" not in planner.abilities:
        # Two that take turns wait for each other most of the time.
        vcpus = 1
    start = Start(planner.tracker(), vcpus, planner.rng.choice((256, 320)),
                  planner.load(vcpus))
    steps = []
    source = start.tracker
    for number in range(1, count + 1):
        steps.append(planner.step(number, start, source))
        source = steps[-1].target
    return start, steps
