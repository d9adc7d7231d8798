#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""migration-report's pages: well-formed, self-contained, and true to what was
recorded."""

import os
import re
import sys
import tempfile
import xml.etree.ElementTree as ET

import kit
from kit import check, near

import html5lib

from simulated import Migration, Plan
from migration_report import findings, page, picture, plots, svg, text, theme
from migration_report.derive import Story

MIB = 1 << 20
OUTSIDE = re.compile(r"https?:|//[a-z]|\bsrc=|\bhref=|url\(|@import|<script"
                     r"|<link|<img|<iframe", re.I)


def parse(markup):
    """A tree, or an exception: the parser accepts no mistake."""
    return html5lib.HTMLParser(
        strict=True, tree=html5lib.getTreeBuilder("etree"),
        namespaceHTMLElements=False).parse(markup)


def words(element):
    return "".join(element.itertext())


def with_class(tree, name):
    return [e for e in tree.iter() if name in e.get("class", "").split()]


def tiles(tree, number=0):
    """{name: (value, note)} of what the page begins with."""
    found = {}
    for box in with_class(tree, "tiles")[number]:
        value = box.find("dd")
        note = value.find("small")
        found[box.find("dt").text] = (value.text,
                                      "" if note is None else note.text)
    return found


def figures(tree, column=0):
    """The same of the table."""
    found = {}
    for row in tree.find(".//tbody"):
        cell = row.findall("td")[column]
        found[row.find("th").text] = cell.text
    return found


def section(tree, key):
    return next(e for e in tree.iter("section") if e.get("id") == key)


def svgs(element):
    """Left, middle, right of each plot."""
    return [[part for part in box if part.tag.endswith("svg")]
            for box in with_class(element, "plot")]


def texts(element):
    return [e for e in element.iter() if e.tag.endswith("text")]


def fit(pairs):
    """From places to values, through the first and last of (place, value)."""
    (p0, v0), (p1, v1) = pairs[0], pairs[-1]
    return lambda p: v0 + (p - p0) * (v1 - v0) / (p1 - p0)


def numeral(label):
    return float(re.sub(r"[^0-9.]", "", label))


def heights(left):
    """From a plot's y to a value, by the ticks that are written beside it."""
    return fit([(float(t.get("y")) - 4, numeral(t.text)) for t in texts(left)])


def times(middle):
    """From per cent to seconds, by the time axis."""
    labels = [t for t in texts(middle) if t.get("y") ==
              max((u.get("y") for u in texts(middle)), key=float)]
    return fit([(float(t.get("x").rstrip("%")), numeral(t.text))
                for t in labels])


def line(middle, cls):
    """(x of 1000, y) of a line's points."""
    path = next(e for e in with_class(middle, cls) if "line" in e.get("class"))
    return [tuple(map(float, pair)) for pair in
            re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d"))]


# --- the tests

def form(tap):
    one = Migration(Plan(stall=0.01)).recording()
    other = Migration(Plan(ring=None)).recording(title="<b>&\"bitmap\"")
    bare = Migration(Plan(supported=False)).recording()
    emulated = Migration(Plan(accelerator="tcg")).recording()
    for name, recordings in (("one", [one]), ("two", [one, other]),
                             ("emulated", [emulated]),
                             ("without tracking", [bare])):
        markup = page.html(recordings)
        tree = parse(markup)
        tap.ok(tree.find(".//h1") is not None, f"{name}: well-formed")
        check(tap, OUTSIDE.findall(markup), [], f"{name}: self-contained")
        found = re.findall(r'<div class="plot">.*?</div>', markup)
        tap.ok(found and all(len(ET.fromstring(plot)) == 3 for plot in found),
               f"{name}: its plots are XML")
        drawn = picture.draw(recordings)
        root = ET.fromstring(drawn)
        check(tap, root.tag, "{http://www.w3.org/2000/svg}svg",
              f"{name}: its picture is SVG")
        check(tap, OUTSIDE.findall(drawn.replace(
            'xmlns="http://www.w3.org/2000/svg"', "")), [],
            f"{name}: self-contained as well")
    check(tap, tiles(parse(page.html([emulated])))["Tracked by"][0], "tcg",
          "another accelerator has its name")
    tree = parse(page.html([one, other]))
    check(tap, (list(tree.iter("b")), words(tree.findall(".//h3")[1])),
          ([], "<b>&\"bitmap\""), "names are only text")


def numbers(tap):
    plan = Plan(stall=0.01, vcpus=3)
    sim = Migration(plan)
    recording = sim.recording()
    tree = parse(page.html([recording]))
    found = tiles(tree)
    total = round(sim.total * 1000)
    exits = round(plan.stall * sim.total * 400)
    check(tap, {name: value for name, (value, _) in found.items()}, {
        "Total": f"{total:,} ms", "Downtime": f"{sim.downtime * 1000:.0f} ms",
        "Passes": str(sim.passes), "Sent": f"{sim.sent / MIB:.0f} MiB",
        "Ring-full exits": str(exits),
        "Longest lock hold": f"{200 + 40 * sim.passes} µs",
        "Tracked by": "ring", "Forecast after pass 1": "converges"},
        "what the page begins with")
    first = next(s["tracking"]["forecast"] for s in recording.samples
                 if s["tracking"].get("forecast", {}).get("passes"))
    told = first["total"]
    check(tap, found["Total"][1], f"forecast {told['likely']:,} ms "
          f"({told['least']:,} to {told['most']:,})", "forecast of the total")
    check(tap, found["Downtime"][1], "forecast 80 ms (40 to 120)",
          "and of the downtime")
    check(tap, found["Tracked by"][1],
          "asked for by dirty-ring-size; fallbacks: none", "reason, fallbacks")
    stood = f"{plan.stall * sim.total * 1000:.0f} ms"
    check(tap, found["Ring-full exits"][1],
          f"vCPUs stood still {stood} in all", "stalls")
    table = figures(tree)
    check(tap, (table["Dirtied, median"], table["Sent, median"]),
          (f"{plan.dirty:,} pages/s", f"{plan.link:,} pages/s"), "rates")
    check(tap, table["Pages harvested"], f"{round(sim.states[-1].dirtied):,}",
          "pages harvested, without an earlier migration's")
    check(tap, table["Syncs"], str(sim.passes), "syncs")


def drawings(tap):
    """Read off the axes, plots show what was recorded."""
    sim = Migration(Plan(stall=0.01))
    recording = sim.recording()
    story = Story(recording)
    tree = parse(page.html([recording]))
    left, middle, _ = svgs(section(tree, "remaining"))[0]
    at, when = heights(left), times(middle)
    points = line(middle, "link")
    most = max(s["migrate"].get("ram", {}).get("remaining", 0)
               for s in recording.samples) / MIB
    near(tap, max(at(y) for _, y in points), most, most / 100,
         "the most that remains")
    near(tap, when(points[-1][0] / 10), sim.total, sim.total / 100,
         "nothing does at the end")
    near(tap, at(points[-1][1]), 0, most / 100, "nothing at all")
    pause = with_class(middle, "pause")[0]
    since = float(pause.get("x").rstrip("%"))
    width = float(pause.get("width").rstrip("%"))
    near(tap, when(since), sim.stopped, 0.02, "the pause begins")
    near(tap, when(since + width) - when(since), sim.downtime, 0.01,
         "and is as long as the downtime")
    tap.ok(f"paused {sim.downtime * 1000:.0f} ms"
           in [t.text for t in texts(middle)], "which is written beside it")
    marks = [when(float(e.get("x1").rstrip("%")))
             for e in with_class(middle, "pass")]
    check(tap, len(marks), sim.passes - 1, "each further pass is marked")
    left, middle, _ = svgs(section(tree, "rates"))[0]
    at = heights(left)
    near(tap, max(at(y) for _, y in line(middle, "guest")), sim.plan.dirty,
         sim.plan.dirty / 100, "the dirty rate")
    near(tap, max(at(y) for _, y in line(middle, "link")), sim.plan.link,
         sim.plan.link / 100, "the link's rate")
    rings = svgs(section(tree, "rings"))
    check(tap, [texts(row[0])[0].text for row in rings],
          ["vCPU 0", "vCPU 1"], "a row for each vCPU")
    highest = max(v["high-water"] for s in recording.samples
                  for v in s["tracking"]["kvm"]["ring"]["vcpus"]
                  if v["cpu-index"] == 0)
    check(tap, texts(rings[0][2])[0].text, f"at most {highest:,}",
          "the high-water mark")
    left, middle, _ = svgs(section(tree, "syncs"))[0]
    check(tap, len(with_class(middle, "dot")), sim.passes, "a mark each sync")
    near(tap, heights(left)(min(float(e.get("cy")) for e in
                                with_class(middle, "dot"))),
         max(s.time for s in story.syncs) * 1000, 0.02,
         "as high as it is long")
    left, middle, right = svgs(section(tree, "forecast"))[0]
    near(tap, heights(left)(float(with_class(middle, "ended")[0].get("y1"))),
         sim.total, sim.total / 50, "the eventual total")
    tap.ok(len(with_class(middle, "area")) == 1, "the forecast's range")
    tap.ok(len(with_class(section(tree, "stalls"), "block")) > 5, "stalls")


def side_by_side(tap):
    short = Migration(Plan(dirty=3000)).recording(title="ring")
    long = Migration(Plan(pages=131072, dirty=9000, ring=None)).recording(
        title="bitmap")
    tree = parse(page.html([short, long]))
    for key in ("writes", "rates", "remaining", "forecast", "syncs"):
        ours, theirs = svgs(section(tree, key))
        tap.ok([t.text for t in texts(ours[0])]
               == [t.text for t in texts(theirs[0])]
               and times(ours[1])(50) == times(theirs[1])(50),
               f"{key}: the same axes")
    middle = svgs(section(tree, "rates"))[0][1]
    near(tap, times(middle)(100), long.data["samples"][-1]["migrate"][
        "total-time"] / 1000, 0.02, "as long as the longer one")
    check(tap, len(svgs(section(tree, "rings"))), Plan().vcpus,
          "rings of the one that has them")
    tap.ok("There are no rings." in words(section(tree, "rings")),
           "and a word about the other")
    check(tap, (tiles(tree)["Tracked by"][0], tiles(tree, 1)["Tracked by"][0]),
          ("ring", "log"), "each has its figures")
    heading = words(tree.find(".//h1"))
    tap.ok(heading.startswith("ring against bitmap: total "),
           "the title compares", heading)
    same = parse(page.html([short, short]))
    check(tap, [words(e) for e in same.findall(".//h3")],
          ["ring (1)", "ring (2)"], "two of one name are told apart")


def sentences(tap):
    def said(plan, **facts):
        return " ".join(findings.all_of(
            Story(Migration(plan).recording(**facts))))
    cases = (
        ("converged", Plan(), {}, "The guest dirtied 7,000 pages/s, the link "
         "carried 24,000: pre-copy converged in 3 passes."),
        ("faster than the link", Plan(dirty=30000, limit=0.7), {},
         "pre-copy ended all the same after"),
        ("working set", Plan(dirty=30000, outcome="failed", ends=4.0), {},
         "What it writes to again and again is 16,384 pages (64.0 MiB)"),
        ("failed", Plan(outcome="failed", ends=1.0), {},
         "The migration failed after 1.00 s, in pass 1: Unable to write to "
         "socket: Broken pipe. The guest went on where it was."),
        ("cancelled", Plan(outcome="cancelled", ends=1.2), {},
         "The migration was cancelled after 1.20 s, in pass 1"),
        ("diverging", Plan(dirty=30000, outcome="cancelled", ends=4.0), {},
         "pre-copy does not converge; it would with a downtime limit of 683 ms "
         "or with vCPUs slowed down by 60 %"),
        ("post-copy", Plan(dirty=30000, postcopy=True, ends=1.6), {},
         "post-copy took over after 1.60 s of pre-copy"),
        ("gone", Plan(), {"until": 1.0, "end": "gone", "reason": "closed"},
         "QEMU went away after 1.00 s, in pass 1"),
        ("unfinished", Plan(), {"until": 1.0, "end": "interrupted"},
         "The recording was ended after 1.00 s, in pass 1, with "),
        ("rings too small", Plan(stall=0.2), {}, "use larger rings"),
        ("fallback", Plan(ring=None, fallback="no ring here"), {},
         "not tracked as was asked for: no ring here."))
    for name, plan, facts, wanted in cases:
        have = said(plan, **facts)
        tap.ok(wanted in have, name, f"have {have!r}\nwant {wanted!r}")
    tap.ok("larger rings" not in said(Plan(stall=0.001)),
           "rings that are full now and then are well")
    tree = parse(page.html([Migration(Plan(
        ring=None, fallback="no ring here")).recording()]))
    check(tap, tiles(tree)["Tracked by"],
          ("log", "no ring here; fallbacks: 1"), "the fallback is counted")


def many(tap):
    sim = Migration(Plan(pages=262144, vcpus=64))
    recording = sim.recording(interval=0.02)
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, "r.html")
        page.write_page(path, [recording])
        size = os.path.getsize(path)
    tree = parse(page.html([recording]))
    check(tap, len(svgs(section(tree, "rings"))), plots.MOST_VCPUS,
          "the fullest of 64 rings are shown")
    tap.ok("of 64" in words(section(tree, "rings")), "and it says so")
    tap.ok(size < 1 << 20, "the page stays below 1 MiB", f"{size}")


def axes(tap):
    for low, high in ((0, 1), (0, 7), (-0.3, 2.9), (0, 123456), (0, 0.00042)):
        found = svg.ticks(low, high)
        tap.ok(2 <= len(found) <= 5 and min(found) >= low - 1e-9
               and max(found) <= high * (1 + 1e-6),
               f"ticks from {low} to {high}", str(found))
    points = [(i, (i * 7919) % 1000) for i in range(100000)]
    points[50123] = (50123, 5000)
    thin = svg.decimate(points, 0, 100000)
    tap.ok(len(thin) <= 1002 and (50123, 5000) in thin
           and thin == sorted(thin), "peaks survive when points are left out")
    check(tap, [text.seconds(v) for v in (8.29, 0.143, 0.0019, 0.00041, 312)],
          ["8.29 s", "143 ms", "1.9 ms", "410 µs", "312 s"], "times")
    check(tap, [text.size(v) for v in (512, 363 << 20, 1.5 * (1 << 40))],
          ["512 bytes", "363 MiB", "1.50 TiB"], "sizes")
    sheet = theme.sheet()
    missing = [name for name in re.findall(r"var\(--([a-z]+)\)", sheet)
               if name not in theme.COLOURS and name != "c"]
    check(tap, missing, [], "every colour that is used is defined")


if __name__ == "__main__":
    kit.tests(form, numbers, drawings, side_by_side, sentences, many, axes, named=sys.argv[1:])
