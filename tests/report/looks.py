#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How migration-report's pages look, in a real browser: light and dark, wide
and narrow.

With a directory as argument the pictures are kept there, to be looked at.
"""

import os
import sys
import tempfile

import kit
from kit import check

from PIL import Image

from browser import Browser
from simulated import Migration, Plan
from migration_report import page, picture, plots, theme

SIZES = (1280, 600)
SCHEMES = ("light", "dark")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "inspect.js"), encoding="utf-8") as source:
    INSPECT = source.read()

RING = Plan(pages=131072, link=51200, dirty=19700, working_set=65536, vcpus=4,
            limit=0.15, stall=0.02)
PAGES = {
    "one": [RING],
    "two": [RING, Plan(pages=131072, link=51200, dirty=29700,
                       working_set=65536, limit=0.15, ring=None)],
    "many": [Plan(vcpus=24, ring=65536, dirty=70000, link=190000,
                  pages=4194304)],
    "failed": [Plan(outcome="failed", ends=1.5)],
    "diverging": [Plan(dirty=30000, outcome="cancelled", ends=5.0)],
    "postcopy": [Plan(dirty=30000, postcopy=True, ends=1.6)],
    "bare": [Plan(supported=False)],
}


def recordings(plans):
    return [Migration(plan).recording(
        title="ring" if plan.ring else "bitmap") for plan in plans]


class Gallery:
    """A browser, and where pages and pictures of them are."""

    def __init__(self, browser, where):
        self.browser = browser
        self.where = where

    def path(self, name):
        return os.path.join(self.where, name)

    def look(self, path, scheme, width):
        """(what is wrong, what was seen, foreign addresses asked for)."""
        asked = self.browser.show(path, scheme, width)
        found = self.browser.run(INSPECT)
        own = f"file://{path}"
        return (found["problems"], found["seen"],
                [url for url in asked if url != own])

    def shot(self, name):
        """The page that is shown, as {colour: pixels}."""
        path = self.path(name + ".png")
        height = self.browser.run("document.documentElement.scrollHeight")
        self.browser.call("Emulation.setDeviceMetricsOverride",
                          width=self.browser.run("innerWidth"),
                          height=height or 900, deviceScaleFactor=1,
                          mobile=False)
        self.browser.screenshot(path)
        with Image.open(path) as image:
            found = image.convert("RGB").getcolors(1 << 24)
        return {colour: count for count, colour in found}


def rgb(name, scheme):
    colour = theme.COLOURS[name][SCHEMES.index(scheme)]
    return tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5))


def painted(tap, name, scheme, colours, wanted):
    """Not blank: on its ground, with its lines and with text."""
    total = sum(colours.values())
    ground = colours.get(rgb("page", scheme), 0) / total
    tap.ok(0.4 < ground < 0.99, f"{name}: on a {scheme} ground",
           f"{ground:.3f} of it")
    absent = [key for key in wanted if colours.get(rgb(key, scheme), 0) < 40]
    check(tap, absent, [], f"{name}: lines are drawn")
    tap.ok(len(colours) > 60, f"{name}: there is text", f"{len(colours)}")


def every_page(gallery):
    def pages(tap):
        for name, plans in PAGES.items():
            path = gallery.path(name + ".html")
            page.write_page(path, recordings(plans))
            wanted = ["guest", "link"] + (
                ["ring"] if plans[0].ring and plans[0].supported else [])
            for scheme in SCHEMES:
                for width in SIZES:
                    what = f"{name}, {scheme}, {width}"
                    wrong, seen, asked = gallery.look(path, scheme, width)
                    tap.ok(not wrong, f"{what}: legible, nothing overflows",
                           wrong[:12])
                    tap.ok(seen["texts"] > 40 and seen["lines"] > 1,
                           f"{what}: there is something to see", str(seen))
                    check(tap, asked, [], f"{what}: asks nobody for anything")
                    painted(tap, what, scheme, gallery.shot(
                        f"{name}-{scheme}-{width}"), wanted)
    return pages


def pictures(gallery):
    def standalone(tap):
        for name in ("one", "two"):
            path = gallery.path(name + ".svg")
            picture.write_picture(path, recordings(PAGES[name]),
                                  tuple(plots.ALL))
            for scheme in SCHEMES:
                wrong, seen, asked = gallery.look(path, scheme, 1300)
                tap.ok(not wrong and seen["texts"] > 30,
                       f"{name}, {scheme}: legible", wrong[:12] + [str(seen)])
                check(tap, asked, [], f"{name}, {scheme}: asks nobody")
                painted(tap, f"{name}, {scheme}", scheme,
                        gallery.shot(f"{name}-svg-{scheme}"),
                        ["guest", "link", "ring"])
    return standalone


# (name, what is replaced, by what, what must be complained of)
MISTAKES = (
    ("pale text", "--muted:#57606a", "--muted:#a8b0b8", "contrast"),
    ("pale lines", "--link:#a84a00", "--link:#ffd9b8", "contrast"),
    ("lines that are not drawn", ".line{fill:none;stroke:var(--c)",
     ".line{fill:none;stroke:none", "has no colour"),
    ("a wide table", "table{border-collapse:collapse;width:100%",
     "table{border-collapse:collapse;width:1400px", "outside the page"),
    ("tiles that do not fit", ".tiles{display:grid",
     ".tiles dd{min-width:420px}.tiles{display:grid", "cut off"),
    ("a narrow margin", theme.columns(theme.LEFT, theme.RIGHT),
     theme.columns(theme.LEFT, 60),
     "cut off"),
    ("large letters", "svg text{font:12px", "svg text{font:26px", "over"))


def broken(gallery):
    def notices(tap):
        good = page.html(recordings([RING]))
        for name, old, new, complaint in MISTAKES:
            path = gallery.path("broken.html")
            with open(path, "w", encoding="utf-8") as output:
                output.write(good.replace(old, new))
            wrong, _, _ = gallery.look(path, "light", 1280)
            tap.ok(old in good and any(w.startswith(complaint) for w in wrong),
                   f"{name} would be noticed", wrong[:8])
        with open(gallery.path("broken.html"), "w",
                  encoding="utf-8") as output:
            output.write(good.replace("</main>",
                                      '<img src="other.png"></main>'))
        _, _, asked = gallery.look(gallery.path("broken.html"), "light", 1280)
        tap.ok(asked, "so would a picture from elsewhere")
    return notices


def main():
    with tempfile.TemporaryDirectory() as scratch, Browser() as browser:
        kept = sys.argv[1] if len(sys.argv) > 1 else scratch
        os.makedirs(kept, exist_ok=True)
        gallery = Gallery(browser, os.path.abspath(kept))
        kit.tests(every_page(gallery), pictures(gallery), broken(gallery))


if __name__ == "__main__":
    main()
