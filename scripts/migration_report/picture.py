# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots as one SVG picture, to be used elsewhere."""

from . import files, findings, page, plots, svg, theme
from .derive import Story
from .theme import LEFT, RIGHT

WIDTH = 960
MARGIN = 20
GAP = 28            # between recordings
HEAD = 34           # above a plot
TITLE = ("font:650 {size}px " + theme.FONT).format
LETTER = 0.66       # the usual width of a bold letter, of its height


def words(parent, x, y, what, size, colour="ink"):
    svg.element("text", None, parent, what, x=x, y=y,
                style=f"{TITLE(size=size)};fill:var(--{colour})")


def wrapped(sentence, size, width):
    """A sentence in lines that fit, by a letter's usual width."""
    lines = [""]
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) * size * LETTER > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def place(root, plot, x, y, width):
    """A plot's three drawings beside each other."""
    middle = width - LEFT - RIGHT
    for part, at, wide in zip(plot.drawings(), (x, x + LEFT, x + LEFT + middle),
                              (LEFT, middle, RIGHT)):
        part.set("x", svg.number(at))
        part.set("y", svg.number(y))
        part.set("width", svg.number(wide))
        root.append(part)


def column(root, panel, number, x, y, width):
    for plot in panel.columns[number]:
        place(root, plot, x, y, width)
        y += plot.full
    return y


def draw(recordings, keys=plots.MAIN):
    """The picture, as text."""
    stories = [Story(recording) for recording in recordings]
    titles = page.names(stories)
    width = WIDTH if len(stories) == 1 else WIDTH * 4 // 3
    each = (width - 2 * MARGIN - GAP * (len(stories) - 1)) / len(stories)
    root = svg.element("svg", xmlns="http://www.w3.org/2000/svg")
    svg.element("style", None, root, theme.drawing())
    svg.element("rect", None, root, width="100%", height="100%",
                style="fill:var(--page)")
    first = findings.all_of(stories[0])[0] if len(stories) == 1 \
        else page.comparison(stories, titles)
    y = MARGIN
    for line in wrapped(first, 19, width - 2 * MARGIN):
        y += 25
        words(root, MARGIN, y - 5, line, 19)
    for panel in plots.panels(stories, keys):
        y += HEAD
        words(root, MARGIN, y - 6, f"{panel.title}, {panel.unit}", 14)
        if len(stories) > 1:
            y += 20
            for i, title in enumerate(titles):
                words(root, MARGIN + i * (each + GAP), y - 4, title, 13,
                      "muted")
        y = max(column(root, panel, i, MARGIN + i * (each + GAP), y, each)
                for i in range(len(stories)))
    for name, value in (("width", width), ("height", y + MARGIN),
                        ("viewBox", f"0 0 {width} {svg.number(y + MARGIN)}")):
        root.set(name, svg.number(value))
    return svg.markup(root) + "\n"


def write_picture(path, recordings, keys=plots.MAIN):
    """Write the picture of one recording, or two."""
    files.replace(path, draw(recordings, keys))
