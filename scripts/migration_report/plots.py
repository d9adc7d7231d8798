# SPDX-License-Identifier: GPL-2.0-or-later
"""The page's plots.  Each is made for one recording or for two, whose axes are
then the same."""

import dataclasses

from . import svg, text
from .look import estimate
from .plot import Plot, amount, byte_unit, time_unit

HEIGHT = 124
ROW = 34            # of one vCPU
MOST_VCPUS = 16     # shown; those with the fullest rings
APART = 0.07        # of the width, between labels
FAR = 3             # how far forecasts are drawn, in multiples of the outcome


@dataclasses.dataclass
class Panel:
    """`columns`: for each recording the plots, one below the other."""

    key: str
    title: str
    unit: str
    columns: list
    note: str = ""
    lacking: str = "Nothing to show."


class Frame:
    """What all plots of a page share: the span of time."""

    def __init__(self, stories):
        self.stories = stories
        self.span = (min(s.begin for s in stories),
                     max(s.end for s in stories))

    def plot(self, story, values, height, label, axis=True):
        """An empty plot with the pause and the passes in it."""
        plot = Plot(self.span, values, height, f"{story.title}: {label}", axis)
        if story.pause:
            # A short pause would not be seen without its beginning.
            plot.block(*story.pause, "pause")
            plot.upright(story.pause[0], "still")
        for t, _ in story.passes[1:]:
            plot.upright(t, "pass")
        return plot

    def valued(self, story, top, label, unit=1, height=HEIGHT, most=4):
        """A plot from 0 to TOP, with values in UNIT on its left."""
        plot = self.plot(story, (0, top), height, label)
        found = [v * unit for v in svg.ticks(0, top / unit, most)]
        show = amount([v / unit for v in found])
        plot.values(found, lambda v: show(v / unit))
        return plot

    def share(self, t):
        """How far to the right a moment is, 0 to 1."""
        return (t - self.span[0]) / (self.span[1] - self.span[0])


def highest(series):
    """Of all values in several series."""
    return max((v for points in series for _, v in points), default=0)


def named(plot, points, cls, name, typical, unit="/s"):
    """A line's name, at the height where it mostly is."""
    at = typical if typical is not None else points[-1][1]
    plot.name(at, cls, name, f"{text.count(at)}{unit}")


def writes(frame):
    if not any(s.load for s in frame.stories):
        return None
    top = 1.05 * highest([[(t, w) for t, w, _ in s.load]
                          for s in frame.stories])
    columns = []
    for story in frame.stories:
        points = [(t, w) for t, w, _ in story.load
                  if frame.span[0] <= t <= frame.span[1]]
        plot = frame.valued(story, top, "guest writes a second")
        plot.line(points, "line guest")
        if points:
            end = story.pause[0] if story.pause else story.end
            named(plot, points, "guest", "guest writes",
                  story.writes(0.0, end) or 0)
        columns.append([plot])
    return Panel("writes", "Guest writes", "per second", columns)


def rates(frame):
    stories = frame.stories
    top = 1.08 * highest([s.dirty_rate for s in stories]
                         + [s.link_rate for s in stories])
    if not top:
        return None
    columns = []
    for story in stories:
        plot = frame.valued(story, top, "pages dirtied and sent a second")
        for points, cls, name, typical in (
                (story.link_rate, "link", "link carries", story.typical_link),
                (story.dirty_rate, "guest", "guest dirties",
                 story.typical_dirty)):
            plot.line(points, f"line {cls}", step=cls == "link")
            if points:
                named(plot, points, cls, name, typical)
        columns.append([plot])
    what = "average of the last second" if any(
        s.has_tracking for s in stories) else "as of the last pass"
    return Panel("rates", "Pages dirtied and sent", "pages per second",
                 columns, f"Dirtied: {what}. Medians beside the lines.")


def remaining(frame):
    top = 1.1 * max(highest([s.remaining for s in frame.stories]), 1)
    unit, name = byte_unit(top)
    columns = []
    for story in frame.stories:
        plot = frame.valued(story, top, "memory yet to be sent", unit)
        plot.area(story.remaining, "area link")
        plot.line(story.remaining, "line link")
        _label_passes(frame, plot, story)
        _label_pause(frame, plot, story)
        columns.append([plot])
    return Panel("remaining", "Memory yet to be sent", name, columns,
                 "Shaded: the guest stands still for the migration's end."
                 if any(s.pause for s in frame.stories) else "")


def _label_passes(frame, plot, story):
    """Where there is room."""
    last = -1.0
    for t, number in story.passes:
        at = frame.share(max(t, frame.span[0]))
        if at - last >= APART and at < 1 - APART:
            plot.note(max(t, frame.span[0]), 4, f"pass {number}"
                      if last < 0 else str(number))
            last = at


def _label_pause(frame, plot, story):
    if not story.pause:
        return
    since, until = story.pause
    words = text.milliseconds(story.downtime if story.downtime is not None
                              else until - since)
    plot.note(since, plot.height / 2, f"paused {words}", "strong",
              before=frame.share(since) > 0.5)


def syncs(frame):
    stories = frame.stories
    if not any(s.syncs for s in stories):
        return None
    top = 1.12 * max(sync.time for s in stories for sync in s.syncs)
    unit, name = time_unit(top)
    columns = []
    for story in stories:
        plot = frame.valued(story, top, "time of each dirty sync", unit,
                            height=HEIGHT * 2 / 3, most=3)
        for sync in story.syncs:
            plot.upright(sync.t, "bar guest light", sync.time)
            plot.dot(sync.t, sync.time, "dot guest")
            plot.upright(sync.t, "bar stall", sync.locked)
        _name_syncs(plot, story)
        columns.append([plot])
    return Panel("syncs", "Dirty syncs", name, columns,
                 "Height: how long each took, and for how much of that it held "
                 "the big lock, for which monitor and devices wait.")


def _name_syncs(plot, story):
    if story.syncs:
        longest = max(sync.time for sync in story.syncs)
        plot.name(longest, "guest", "longest sync", text.seconds(longest))
        plot.name(story.longest_lock, "stall", "longest hold",
                  text.seconds(story.longest_lock))


def forecast(frame):
    stories = frame.stories
    if not any(s.forecasts for s in stories):
        return None
    top = _forecast_top(stories)
    columns = []
    for story in stories:
        plot = frame.valued(story, top,
                            "forecast of the migration's total time")
        _forecast_lines(plot, story, top)
        if story.outcome == "completed":
            plot.across(story.total, "ended")
            plot.name(story.total, "ink", "it took",
                      text.milliseconds(story.total))
        columns.append([plot])
    return Panel("forecast", "Forecast of the total time", "seconds", columns,
                 "As it was told at each moment: from least to most, and what "
                 "was likely. A band that is open above: there may be no end.")


def _forecast_top(stories):
    told = [value for s in stories for _, f in s.forecasts
            for value in dataclasses.astuple(estimate(f["total"]))
            if value is not None]
    far = FAR * max(s.total for s in stories)
    return 1.15 * max([s.total for s in stories]
                      + [value for value in told if value <= far])


def _forecast_lines(plot, story, top):
    never = 2 * top
    found = [(t, estimate(f["total"])) for t, f in story.forecasts]

    def line(key):
        return [(t, never if getattr(e, key) is None else getattr(e, key))
                for t, e in found]
    plot.area(line("most"), "area ahead", base=line("least"))
    plot.line(line("most"), "thin ahead")
    plot.line(line("least"), "thin ahead")
    plot.line(line("likely"), "line ahead")
    if found:
        last = found[-1][1]
        words = ("likely", "least to most") if last.likely is not None \
            else ("at least", "no end in sight")
        plot.name(min(line("likely" if last.likely is not None
                           else "least")[-1][1], top), "ahead", *words)


def _shown(story):
    """vCPUs with the fullest rings, in order."""
    fullest = sorted(story.vcpus, key=lambda v: (-v.full_time, -v.highest))
    return sorted(fullest[:MOST_VCPUS], key=lambda v: v.index)


def _left_out(stories):
    most = max(len(s.vcpus) for s in stories)
    return (f" Shown are the {MOST_VCPUS} vCPUs with the fullest rings, of "
            f"{most}." if most > MOST_VCPUS else "")


def _rows(frame, label, top, draw, wanted=lambda vcpu: True):
    """A column for each recording with a low plot for each vCPU."""
    columns = []
    for story in frame.stories:
        column, shown = [], [v for v in _shown(story) if wanted(v)]
        for vcpu in shown:
            plot = frame.plot(story, (0, top(story)), ROW,
                              f"{label} of vCPU {vcpu.index}",
                              axis=vcpu is shown[-1])
            plot.values([top(story)])
            plot.row(f"vCPU {vcpu.index}")
            draw(plot, story, vcpu)
            column.append(plot)
        columns.append(column)
    return columns


def rings(frame):
    stories = frame.stories
    if not any(s.vcpus for s in stories):
        return None

    def draw(plot, story, vcpu):
        plot.area(vcpu.occupancy, "area ring")
        plot.line(vcpu.occupancy, "thin ring")
        plot.line(vcpu.high_water, "dashed ring", step=True)
        plot.name(plot.y.high / 2, "ring", f"at most {text.count(vcpu.highest)}",
                  text.percent(vcpu.highest / story.ring_size) + " full")
    sizes = sorted({s.ring_size for s in stories if s.ring_size})
    note = ("Entries that wait in each vCPU's ring; the rule above is the "
            "ring's size, the dashed line the most that were seen.")
    if not any(v.full_exits for s in stories for v in s.vcpus):
        note += " No ring was ever full: no vCPU stood still for it."
    return Panel("rings", "Ring occupancy",
                 "entries of " + " and ".join(map(text.count, sizes)),
                 _rows(frame, "ring occupancy",
                       lambda s: s.ring_size or 1, draw),
                 note + _left_out(stories), "There are no rings.")


def stalls(frame):
    shares = [share for s in frame.stories for v in s.vcpus
              for _, _, share in v.stalls]
    if not shares:
        return None
    # The least round share that none is above.
    top = next(round_one for round_one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
               if max(shares) <= round_one)

    def draw(plot, _, vcpu):
        for since, until, share in vcpu.stalls:
            plot.block(since, until, "block stall", share / top)
        plot.name(top / 2, "stall", text.seconds(vcpu.full_time),
                  text.plural(vcpu.full_exits, "exit"))
    return Panel("stalls", "Ring-full stalls", "share of time", _rows(
        frame, "ring-full stalls", lambda s: top, draw,
        lambda vcpu: vcpu.stalls),
        "How much of the time a vCPU stood still because its ring was full; "
        f"the rule above is {text.percent(top)}. vCPUs that did not are left "
        "out." + _left_out(frame.stories), "No vCPU stood still.")


ALL = {"writes": writes, "rates": rates, "remaining": remaining,
       "forecast": forecast, "rings": rings, "stalls": stalls, "syncs": syncs}
# Those of a single picture.
MAIN = ("writes", "rates", "remaining", "forecast")


def panels(stories, keys=tuple(ALL)):
    """Those that there is something to show in."""
    frame = Frame(stories)
    found = [ALL[key](frame) for key in keys]
    return [panel for panel in found if panel]
