# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording says, in sentences: the first is the page's title."""

from . import text
from .look import dig

# A ring that cost more than this share of the vCPUs' time is too small.
NOTEWORTHY_STALL = 0.01


def _speeds(story):
    """The guest dirtied ... and the link carried ...: ("", False) if nothing
    is known of that; whether it wrote more than was carried."""
    dirty, link = story.typical_dirty, story.typical_link
    if dirty is None or not link:
        return "", False
    return (f"The guest dirtied {text.count(dirty)} pages/s, the link carried "
            f"{text.count(link)}", dirty > link)


def _completed(story):
    speeds, faster = _speeds(story)
    passes = text.plural(story.pass_count, "pass", "passes")
    if story.postcopy is not None:
        end = (f"post-copy took over after "
               f"{text.seconds(story.postcopy)} of pre-copy")
    elif faster:
        end = (f"pre-copy ended all the same after {passes}, with a pause of "
               f"{text.milliseconds(story.downtime)}")
    else:
        end = f"pre-copy converged in {passes}"
    return f"{speeds}: {end}." if speeds else f"{end[0].upper()}{end[1:]}."


def _where(story):
    """At what point something happened."""
    where = f"after {text.seconds(story.total)}"
    return where + (f", in pass {story.pass_count}" if story.passes else "")


def _failed(story):
    why = f": {story.error.rstrip('.')}" if story.error else ""
    return f"The migration failed {_where(story)}{why}."


def _cancelled(story):
    return f"The migration was cancelled {_where(story)}."


def _gone(story):
    return (f"QEMU went away {_where(story)}: how the migration ended was not "
            "seen.")


def _unfinished(story):
    left = story.final_ram("remaining")
    return (f"The recording was ended {_where(story)}"
            + (f", with {text.size(left)} remaining." if left is not None
               else "."))


FIRST = {"completed": _completed, "failed": _failed, "cancelled": _cancelled,
         "gone": _gone, "unfinished": _unfinished}


def _speed_of_unfinished(story):
    speeds, faster = _speeds(story)
    if story.outcome == "completed" or not speeds:
        return None
    return speeds + (", less than it dirtied." if faster else ".")


def _went_on(story):
    """Whether the guest still runs where it was."""
    if story.outcome not in ("failed", "cancelled"):
        return None
    if story.postcopy is not None:
        return ("Post-copy had begun: neither side has all of the guest's "
                "memory.")
    if story.pause and story.pause[1] >= story.end:
        return "The guest had been stopped, and was not seen to go on."
    return "The guest went on where it was."


def _working_set(story):
    _, faster = _speeds(story)
    told = story.forecasts[-1][1] if story.forecasts else None
    if not faster or not told or not told["working-set"]:
        return None
    pages = told["working-set"]
    return (f"What it writes to again and again is {text.count(pages)} pages "
            f"({text.size(pages * story.page_size)}): that much is left "
            "however long one waits.")


def _forecast(story):
    if not story.first_forecast:
        return None
    total = dig(story.first_forecast[1], "total", "likely")
    if story.outcome == "completed" and total is not None:
        return ("The forecast at the end of the first pass was "
                f"{text.milliseconds(total / 1000)} in all; it took "
                f"{text.milliseconds(story.total)}.")
    return _advice(story.forecasts[-1][1])


def _advice(told):
    """What would help a migration that does not converge."""
    if told["verdict"] != "diverges":
        return None
    limit, throttle = (told.get("needed-downtime-limit"),
                       told.get("needed-throttle"))
    ways = []
    if limit is not None:
        ways.append(f"with a downtime limit of {text.count(limit)} ms")
    if throttle is not None:
        ways.append(f"with vCPUs slowed down by {throttle} %")
    end = f"; it would {' or '.join(ways)}" if ways else ""
    return f"By the last forecast pre-copy does not converge{end}."


def _rings(story):
    exits = story.gained("kvm", "ring", "full-exits")
    if not exits:
        return None
    share = story.stalled / (story.total * max(1, len(story.vcpus)))
    advice = ": use larger rings" if share > NOTEWORTHY_STALL else ""
    return (f"Rings were full {text.plural(exits, 'time')}; vCPUs stood still "
            f"{text.seconds(story.stalled)} in all, {text.percent(share)} of "
            f"their time{advice}.")


def _fallback(story):
    if not story.fallbacks:
        return None
    return ("Dirty pages were not tracked as was asked for: "
            + "; ".join(story.fallbacks) + ".")


def _throttled(story):
    if story.throttle is None:
        return None
    return f"vCPUs were slowed down, by up to {story.throttle} %."


def missing(story):
    """What this recording lacks, and why."""
    data = story.recording.data
    found = []
    if not story.has_tracking:
        found.append(
            "This QEMU has no query-dirty-tracking, which QEMU of "
            "qemu-dirtytrack has: dirty rates are those of each pass, and "
            "rings, syncs and the forecast are not to be had.")
    elif story.ring_size is None:
        found.append(f"Dirty pages are tracked by {story.backend}: there are "
                     "no rings to show.")
    if data["load-file"] and not story.load:
        found.append("The guest's console had no lines of its load in it.")
    if data["under-way"]:
        found.append("The migration was under way when the recording began: "
                     "counters count from then on.")
    if data["end"] == "gone" and data["reason"]:
        found.append(f"The recording ends with QEMU: {data['reason']}. "
                     "libvirt ends QEMU as soon as its guest runs elsewhere.")
    if any(sync.count > 1 for sync in story.syncs):
        found.append("Some syncs came so soon after another that only the "
                     "last one's figures were seen.")
    return found


def all_of(story):
    """Sentences, the most important first."""
    found = [FIRST[story.outcome](story)]
    found += [what(story) for what in (
        _went_on, _speed_of_unfinished, _working_set, _forecast, _rings,
        _throttled, _fallback)]
    return [sentence for sentence in found if sentence]
