# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration in figures: what the page tells, and in which order."""

import dataclasses

from . import text
from .look import dig, estimate


@dataclasses.dataclass
class Fact:
    name: str
    value: str
    note: str = ""


def between(found, show):
    """An estimate: 6,300 ms (5,900 to 7,400)."""
    told = ["no end" if value is None else show(value)
            for value in (found.likely, found.least, found.most)]
    likely, least, most = told
    if found.likely is None and found.most is None:
        return f"no end (at least {least})" if found.least is not None \
            else "no end"
    units = {words.split()[-1] for words in told}
    if len(units) == 1 and None not in (found.least, found.most):
        least, most = least.split()[0], most.split()[0]
    return f"{likely} ({least} to {most})"


def _foretold(story, key):
    """What the forecast at the end of the first pass said of it."""
    if not story.first_forecast:
        return ""
    return "forecast " + between(estimate(story.first_forecast[1][key]),
                                 text.milliseconds)


def _total(story):
    ended = story.outcome == "completed"
    state = story.outcome if story.outcome in ("failed", "cancelled") \
        else "so far"
    return Fact("Total", text.milliseconds(story.total),
                _foretold(story, "total") if ended else state)


def _sent(story):
    memory = story.final_ram("total")
    return Fact("Sent", text.size(story.final_ram("transferred")),
                f"the guest has {text.size(memory)}" if memory else "")


def result(story):
    """What matters of any migration."""
    last = "the last with the guest stopped" \
        if story.outcome == "completed" and story.postcopy is None else ""
    return [
        _total(story),
        Fact("Downtime", text.milliseconds(story.downtime),
             _foretold(story, "downtime") if story.downtime is not None
             else "none is told"),
        Fact("Passes", text.count(story.pass_count), last),
        _sent(story),
    ]


VERDICTS = {"converges": "converges", "diverges": "no convergence",
            "uncertain": "uncertain"}


def _forecast(story):
    found = story.first_forecast
    name = "Forecast after pass 1"
    if not found:
        return Fact(name, "none", "the first pass was not over"
                    if story.pass_count < 2 else
                    "the guest was stopped right after that pass")
    return Fact(name, VERDICTS[found[1]["verdict"]],
                f"made at {text.seconds(found[0])}; it {_came(story)}")


def _came(story):
    """How it went, to be compared with a forecast."""
    return {"completed": "went to post-copy" if story.postcopy is not None
            else "completed", "failed": "failed",
            "cancelled": "was cancelled"}.get(story.outcome,
                                              "was not seen to end")


def _full_exits(story):
    exits = story.gained("kvm", "ring", "full-exits")
    return Fact("Ring-full exits", text.count(exits),
                f"vCPUs stood still {text.seconds(story.stalled)} in all"
                if exits else "no rings" if exits is None else "")


def _backend(story):
    fallbacks = f"fallbacks: {len(story.fallbacks) or 'none'}"
    return Fact("Tracked by", story.backend, "; ".join(
        filter(None, [dig(story.told, "kvm", "reason"), fallbacks])))


def headline(story):
    """What the page begins with."""
    found = result(story)
    if story.has_tracking:
        found += [_full_exits(story),
                  Fact("Longest lock hold", text.seconds(story.longest_lock),
                       "of the big lock, by a sync"),
                  _backend(story), _forecast(story)]
    return found


def _rings(story):
    if story.ring_size is None:
        return []
    facts = [
        Fact("Rings", f"{text.count(story.ring_size)} entries for each of "
             f"{text.plural(len(story.vcpus), 'vCPU')}"),
        Fact("Pages harvested",
             text.count(story.gained("kvm", "ring", "harvested-pages"))),
    ]
    overflowed = story.gained("kvm", "ring", "overflowed-pages")
    if overflowed:
        facts.append(Fact("Pages that overflowed to bitmaps",
                          text.count(overflowed)))
    return facts


def _tracking(story):
    if not story.has_tracking:
        return []
    return _rings(story) + [
        Fact("Syncs", text.count(story.gained("sync", "count"))),
        Fact("Longest sync", text.seconds(max(
            (sync.time for sync in story.syncs), default=None))),
        Fact("Fallbacks", str(len(story.fallbacks) or "none"),
             "; ".join(story.fallbacks)),
    ]


def _guest(story):
    if not story.load:
        return []
    pause = story.pause
    end = pause[0] if pause else story.end
    before = story.writes(story.begin, 0.0)
    during = story.writes(0.0, end)
    share = f"{text.percent(during / before)} of that before" \
        if before and during is not None else ""
    return [Fact("Guest writes/s before", text.count(before)),
            Fact("Guest writes/s during", text.count(during), share)]


def _rates(story):
    size = story.page_size

    def rate(pages):
        return "" if pages is None else f"{text.size(pages * size)}/s"
    dirty, link = story.typical_dirty, story.typical_link
    return [
        Fact("Dirtied, median",
             text.count(dirty) + " pages/s" if dirty is not None
             else text.UNKNOWN, rate(dirty)),
        Fact("Sent, median",
             text.count(link) + " pages/s" if link is not None
             else text.UNKNOWN, rate(link)),
    ]


def _mode(story):
    facts = [Fact("Result", story.outcome, story.error or "")]
    if story.postcopy is not None:
        facts.append(Fact("Post-copy", f"from {text.seconds(story.postcopy)}"))
    if story.throttle is not None:
        facts.append(Fact("vCPUs throttled by at most", f"{story.throttle} %"))
    return facts


def table(story):
    """The rest, for those who want it exactly."""
    return (_mode(story) + _rates(story) + _guest(story) + _tracking(story))
