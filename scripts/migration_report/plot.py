# SPDX-License-Identifier: GPL-2.0-or-later
"""One plot over time: axes, lines, areas, marks, names beside lines."""

from . import svg, text

TOP = 10            # above the highest value
AXIS = 22           # below the lowest: the time axis
LINE = 14           # height of a line of text


class Plot:
    """`span`: (first, last) seconds; `values`: (lowest, highest)."""

    def __init__(self, span, values, height, label, axis=True):
        self.height = height
        self.full = TOP + height + (AXIS if axis else 2)
        self.x = svg.Scale(span, (0, svg.WIDE))
        self.y = svg.Scale(values, (TOP + height, TOP))
        self.span = span
        self._names = []
        self.left = self._drawing()
        self.right = self._drawing()
        self.middle = self._drawing()
        self.middle.set("role", "img")
        self.middle.set("aria-label", label)
        self.back = svg.element("g", parent=self.middle)
        # Its height stays and its width is stretched.
        self.box = svg.element(
            "svg", parent=self.middle, x=0, y=TOP - 4, width="100%",
            height=height + 4, preserveAspectRatio="none", overflow="hidden",
            viewBox=f"0 {TOP - 4} {svg.WIDE} {height + 4}")
        self.front = svg.element("g", parent=self.middle)
        if axis:
            self._time_axis()

    def _drawing(self):
        return svg.element("svg", width="100%", height=self.full)

    def percent(self, t):
        return f"{svg.number(self.x(t) / svg.WIDE * 100)}%"

    # --- axes

    def _time_axis(self):
        bottom = TOP + self.height
        svg.element("line", "axis", self.back, x1="0", x2="100%", y1=bottom,
                    y2=bottom)
        found = svg.ticks(*self.span, most=6)
        places = svg.decimals(found)
        for t in found:
            x = self.percent(t)
            part = self.x(t) / svg.WIDE
            svg.element("line", "axis", self.back, x1=x, x2=x, y1=bottom,
                        y2=bottom + 4)
            unit = " s" if t == found[-1] else ""
            svg.element("text", None, self.back, f"{t:,.{places}f}{unit}", x=x,
                        y=bottom + 17, text_anchor="start" if part < 0.03
                        else "end" if part > 0.97 else "middle")

    def values(self, found, show=None):
        """Lines across at these values, and what they are."""
        for value in found:
            y = self.y(value)
            if value != self.y.low:
                svg.element("line", "grid", self.back, x1="0", x2="100%", y1=y,
                            y2=y)
            if show:
                svg.element("text", None, self.left, show(value), x="100%",
                            dx="-8", y=y + 4, text_anchor="end")

    def row(self, words):
        """What a plot without values on its left is called."""
        svg.element("text", "strong", self.left, words, x="100%", dx="-8",
                    y=TOP + self.height / 2 + 4, text_anchor="end")

    # --- data

    def _places(self, points):
        thin = svg.decimate(points, *self.span)
        return [(self.x(t), self.y(v)) for t, v in thin]

    def line(self, points, cls, step=False):
        if len(points) > 1:
            svg.element("path", cls, self.box,
                        d=svg.path(self._places(points), step),
                        vector_effect="non-scaling-stroke")

    def area(self, points, cls, base=None):
        """From `base`, or the bottom, up to the points."""
        if len(points) < 2:
            return
        base = base or [(t, self.y.low) for t, _ in points]
        svg.element("path", cls, self.box,
                    d=svg.closed(self._places(points), self._places(base)))

    def block(self, since, until, cls, share=1.0):
        """From the bottom up to that share of the height."""
        high = self.height * share
        since = max(since, self.span[0])
        width = (self.x(until) - self.x(since)) / svg.WIDE * 100
        svg.element("rect", cls, self.back, x=self.percent(since),
                    width=f"{svg.number(width)}%",
                    y=TOP + self.height - high, height=high)

    def upright(self, t, cls, value=None, low=None):
        """A line upwards at a moment."""
        x = self.percent(t)
        top = TOP if value is None else self.y(value)
        svg.element("line", cls, self.front, x1=x, x2=x, y1=top,
                    y2=self.y(self.y.low if low is None else low))

    def dot(self, t, value, cls):
        svg.element("circle", cls, self.front, cx=self.percent(t),
                    cy=self.y(value), r=3.5)

    def across(self, value, cls):
        y = self.y(value)
        svg.element("line", cls, self.front, x1="0", x2="100%", y1=y, y2=y)

    def note(self, t, y, words, cls=None, before=False, gap=5):
        """Text in the plot, `y` units from its top, beside a moment."""
        svg.element("text", cls, self.front, words, x=self.percent(t),
                    dx=str(-gap if before else gap), y=TOP + y,
                    text_anchor="end" if before else "start")

    # --- names

    def name(self, value, cls, *lines):
        """Words to the right of where a line ends."""
        self._names.append((self.y(value), cls, lines))

    def _place_names(self):
        """Beside their lines, but not over each other."""
        wanted = sorted(self._names, key=lambda n: n[0])
        tops, end = [], 0
        for y, _, lines in wanted:
            tops.append(max(end, y - LINE * len(lines) / 2))
            end = tops[-1] + LINE * len(lines) + 4
        end = self.full
        for i in reversed(range(len(tops))):
            tops[i] = min(tops[i], end - LINE * len(wanted[i][2]))
            end = tops[i] - 4
        for top, (_, cls, lines) in zip(tops, wanted):
            for i, words in enumerate(lines):
                svg.element("text", f"name {cls}" if not i else None,
                            self.right, words, x="0", dx="8",
                            y=top + LINE * (i + 1) - 3)
        self._names = []

    def drawings(self):
        """What stands on the left, in the middle, and on the right."""
        self._place_names()
        return self.left, self.middle, self.right


def amount(values, scale=1.0):
    """How ticks are written: 5,000, or 2.5 M for large ones."""
    top = max(values, default=0) * scale
    for limit, unit in ((1e9, " G"), (1e6, " M")):
        if top >= limit:
            scale, suffix = scale / limit, unit
            break
    else:
        suffix = ""
    places = svg.decimals([v * scale for v in values])
    return lambda v: f"{v * scale:,.{places}f}{suffix if v else ''}"


def byte_unit(most):
    """(bytes, name) of the unit for an axis."""
    return next(((limit, unit) for limit, unit in text.BINARY
                 if most >= limit), (1, "bytes"))


def time_unit(most):
    return next((pair for pair in ((1.0, "s"), (1e-3, "ms"))
                 if most >= pair[0]), (1e-6, "µs"))
