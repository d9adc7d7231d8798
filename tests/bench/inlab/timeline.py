# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of the guest's load, by this host's clock."""


def offset(samples):
    """What the host's clock is ahead of the guest's, in seconds. A line is
    seen some time after it was written; some line was seen at once."""
    return min(s.seen - s.t for s in samples)


def written(samples, since, until=None, before=0):
    """Samples the guest wrote in a span of the host's clock, and so many of
    those `before` it."""
    ahead = offset(samples)
    chosen = [i for i, s in enumerate(samples) if s.t + ahead >= since
              and (until is None or s.t + ahead <= until)]
    if not chosen:
        return []
    return samples[max(0, chosen[0] - before):chosen[-1] + 1]


def rate(samples):
    """Writes a second, by the guest's clock; None if there is no span."""
    if len(samples) < 2 or samples[-1].t <= samples[0].t:
        return None
    return ((samples[-1].total - samples[0].total)
            / (samples[-1].t - samples[0].t))


def rate_since(samples, since):
    """Writes/s from that time of the host's clock to the last line, as rate();
    None if no line is before, or none between. What was written between two
    lines was at an even rate: when the log starts, that is more than in all of
    a second later."""
    since -= offset(samples)
    last = samples[-1]
    for a, b in zip(samples, samples[1:]):
        if a.t <= since < b.t < last.t:
            had = a.total + (since - a.t) * rate([a, b])
            return (last.total - had) / (last.t - since)
    return None


def pause(samples):
    """Milliseconds of the longest pause, or None if there is nothing to see.

    A pause is the time, by the guest's clock, from one line of the load to
    the next by which it has written something: lines that come late and lines
    without progress both count. So the answer is too long by up to one
    interval between lines, and it is never less than one.
    """
    if len(samples) < 2:
        return None
    worst = 0.0
    last = samples[0]
    for sample in samples[1:]:
        if sample.total > last.total:
            worst = max(worst, sample.t - last.t)
            last = sample
    # Lines without progress at the end are a pause as well.
    return round(max(worst, samples[-1].t - last.t) * 1000, 3)


def series(samples, every=0.1):
    """"ms:writes ..." since the first of them, for whoever wants to see how
    it went: at most so many points as there are seconds / `every`."""
    found = []
    for sample in samples:
        if not found or sample.t - found[-1].t >= every - 1e-6:
            found.append(sample)
    return " ".join(f"{(s.t - found[0].t) * 1000:.0f}:"
                    f"{s.total - found[0].total}" for s in found)
