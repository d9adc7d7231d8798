# SPDX-License-Identifier: GPL-2.0-or-later
"""Elements of a drawing that is as wide as there is room, with text that is
not stretched.

A plot is three drawings side by side: values on the left, names of lines on
the right, both of a fixed width, and the data between.  There, along the time
axis, all places are given in per cent; outlines are in a box of their own
that is stretched.
"""

import math
import xml.etree.ElementTree as ET

WIDE = 1000         # units across the stretched box


def element(kind, cls=None, parent=None, text=None, **attributes):
    """<kind class=cls ...>; x1 stays x1, viewBox stays, a_b becomes a-b."""
    found = ET.Element(kind)
    if cls:
        found.set("class", cls)
    for name, value in attributes.items():
        found.set(name.replace("_", "-"), number(value))
    found.text = text
    if parent is not None:
        parent.append(found)
    return found


def number(value):
    """Short, and the same on every machine."""
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


class Scale:
    """From values to places, both from and to."""

    def __init__(self, values, places):
        self.low, self.high = values
        self.first, self.last = places
        if self.high <= self.low:
            self.high = self.low + 1

    def __call__(self, value):
        part = (value - self.low) / (self.high - self.low)
        part = min(max(part, -1), 2)        # what is far outside stays near
        return self.first + part * (self.last - self.first)


STEPS = (1, 2, 2.5, 5, 10)


def ticks(low, high, most=5, whole=False):
    """Round values from low to high, at most so many."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** -15
    while power * 10 <= span:
        power *= 10
    for factor in (power / 10, power, power * 10):
        for step in STEPS:
            step *= factor
            if whole and step != int(step):
                continue
            first = math.ceil(low / step - 1e-9)
            count = int((high * (1 + 1e-9)) // step) - first + 1
            if count <= most:
                return [(first + i) * step for i in range(count)]
    return [low, high]


def decimals(values):
    """As few as tell the ticks apart."""
    for places in range(4):
        if all(abs(round(v, places) - v) < 1e-9 for v in values):
            return places
    return 4


def decimate(points, low, high, buckets=500):
    """At most two points for each bucket of the width: its least and its
    greatest, in order, so that no peak is lost."""
    if len(points) <= 2 * buckets:
        return points
    found = {}
    for point in points:
        at = int((point[0] - low) / (high - low) * buckets)
        found.setdefault(at, []).append(point)
    kept = []
    for group in found.values():
        ends = {min(group, key=lambda p: p[1]), max(group, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def path(points, step=False):
    """A line through places; step: each value holds until the next."""
    parts = []
    for i, (x, y) in enumerate(points):
        if step and i:
            parts.append(f"H{number(x)}V{number(y)}")
        else:
            parts.append(f"{'L' if i else 'M'}{number(x)} {number(y)}")
    return "".join(parts)


def closed(upper, lower):
    """What lies between two lines."""
    return path(upper) + path(list(reversed(lower))).replace("M", "L", 1) + "Z"


def markup(tree):
    return ET.tostring(tree, encoding="unicode")
