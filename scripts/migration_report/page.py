# SPDX-License-Identifier: GPL-2.0-or-later
"""One HTML page about one recording or two, with all it needs in it."""

import re
from html import escape

from . import facts, files, findings, plots, svg, text, theme
from .derive import Story

HOME = "migration-report"


def tag(name, content="", cls=None, **attributes):
    """<name class=cls ...>content</name>; content is markup already."""
    given = {"class": cls} if cls else {}
    given.update(attributes)
    words = "".join(f' {k}="{escape(str(v))}"' for k, v in given.items())
    return f"<{name}{words}>{content}</{name}>"


def names(stories):
    """Titles that tell recordings apart."""
    found = [story.title for story in stories]
    if len(set(found)) < len(found):
        found = [f"{name} ({i})" for i, name in enumerate(found, 1)]
    return found


def columns(parts, cls="two"):
    """One as it is, two side by side."""
    parts = list(parts)
    return parts[0] if len(parts) == 1 else tag(
        "div", "".join(tag("div", part) for part in parts), cls)


def prose(sentence):
    """As markup, with words kept whole that have a hyphen."""
    return re.sub(r"\b(pre|post)-copy", r'<span class="whole">\1-copy</span>',
                  escape(sentence))


# --- the head

def eyebrow(story):
    data = story.recording.data
    made = (data["made"] or "").replace("T", " ")[:16]
    parts = ["Live migration" + (f" of {data['guest']}" if data["guest"]
                                 else ""),
             made, f"QEMU {data['qemu']}" if data["qemu"] else ""]
    return " · ".join(part for part in parts if part)


def told(fact):
    return escape(fact.value) + (tag("small", escape(fact.note))
                                 if fact.note else "")


def tiles(story):
    found = facts.headline(story)
    return tag("dl", "".join(
        tag("div", tag("dt", escape(fact.name)) + tag("dd", told(fact)))
        for fact in found), "tiles")


def listed(sentences):
    return tag("ul", "".join(tag("li", prose(s)) for s in sentences),
               "findings") if sentences else ""


def comparison(stories, titles):
    """Two recordings in one sentence."""
    parts = []
    for fact, other in zip(*(facts.result(s) for s in stories)):
        if fact.name in ("Total", "Downtime"):
            parts.append(f"{fact.name.lower()} {fact.value} against "
                         f"{other.value}")
    return f"{titles[0]} against {titles[1]}: {', '.join(parts)}"


def head_of_one(story):
    first, *others = findings.all_of(story)
    return (tag("p", escape(eyebrow(story)), "eyebrow")
            + tag("h1", prose(first)) + listed(others) + tiles(story))


def head_of_two(stories, titles):
    def column(story, title):
        return (tag("div", tag("h3", escape(title))
                    + tag("p", escape(eyebrow(story)), "eyebrow")
                    + listed(findings.all_of(story))) + tiles(story))
    return (tag("p", "Two live migrations, on the same axes", "eyebrow")
            + tag("h1", escape(comparison(stories, titles)))
            + columns(map(column, stories, titles), "two heads"))


# --- plots and table

def drawn(plot):
    return tag("div", "".join(svg.markup(part) for part in plot.drawings()),
               "plot")


def section(panel, titles):
    heading = tag("h2", f"{escape(panel.title)}, "
                  + tag("span", escape(panel.unit), "unit"))
    note = tag("p", escape(panel.note), "sub") if panel.note else ""

    def column(plots_of_one, title):
        who = tag("p", escape(title), "who") if len(titles) > 1 else ""
        return tag("div", who + (
            "".join(drawn(plot) for plot in plots_of_one)
            or tag("p", escape(panel.lacking), "sub")), "panel")
    return tag("section", heading + note + columns(
        map(column, panel.columns, titles)), id=panel.key)


def cell(fact):
    return tag("td", text.UNKNOWN if fact is None else told(fact))


def table(stories, titles):
    found = [{fact.name: fact for fact in facts.table(s)} for s in stories]
    rows = list(dict.fromkeys(name for one in found for name in one))
    head = tag("thead", tag("tr", tag("th", "") + "".join(
        tag("th", escape(title)) for title in titles))) \
        if len(stories) > 1 else ""
    body = "".join(
        tag("tr", tag("th", escape(name), scope="row")
            + "".join(cell(one.get(name)) for one in found))
        for name in rows)
    return tag("section", tag("h2", "In figures")
               + tag("table", head + tag("tbody", body)), id="figures")


def footer(stories, titles):
    lacks = {}
    for story, title in zip(stories, titles):
        for sentence in findings.missing(story):
            lacks.setdefault(sentence, []).append(title)
    parts = [tag("p", escape(sentence if len(whose) == len(stories)
                             else f"{whose[0]}: {sentence}"))
             for sentence, whose in lacks.items()]
    parts.append(tag("p", escape(
        f"Made by {HOME}. {sum(len(s.looks) for s in stories):,} looks, one "
        f"each {min(s.recording.data['interval'] or 0 for s in stories):g} s "
        "or more. Times are from the migration's beginning.")))
    return tag("footer", "".join(parts))


def html(recordings):
    """The page, as text."""
    stories = [Story(recording) for recording in recordings]
    titles = names(stories)
    head = head_of_one(stories[0]) if len(stories) == 1 \
        else head_of_two(stories, titles)
    body = head + "".join(section(panel, titles)
                          for panel in plots.panels(stories)) + table(
        stories, titles) + footer(stories, titles)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, '
            'initial-scale=1">'
            + tag("title", escape(" against ".join(titles) + ": migration"))
            + tag("style", theme.sheet()) + "</head><body>"
            + tag("main", body) + "</body></html>\n")


def write_page(path, recordings):
    """Write the page about one recording, or two."""
    files.replace(path, html(recordings))
