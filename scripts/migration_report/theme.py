# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours and style sheet, chosen once, here.

The colours are of Okabe and Ito's set, which colour-blind people can tell
apart, darker on white and lighter on black so that they serve for text, too.
"""

# name: on a light page, on a dark one
COLOURS = {
    "page": ("#ffffff", "#12161b"),
    "plane": ("#f6f8fa", "#1a2027"),     # behind figures and tables
    "ink": ("#1b1f24", "#e8edf2"),
    "muted": ("#57606a", "#9ca7b3"),
    "grid": ("#dfe4e9", "#2c343d"),
    "axis": ("#8c959f", "#5a6570"),
    "guest": ("#0068a8", "#56b4e9"),     # what the guest does
    "link": ("#a84a00", "#f0a33a"),      # what is sent
    "ring": ("#00735a", "#35c79c"),
    "stall": ("#b3261e", "#ff8a7a"),     # a vCPU stands still
    "ahead": ("#8a3a72", "#e79bc8"),     # the forecast
}
SERIES = ("guest", "link", "ring", "stall", "ahead", "ink")

FONT = ("system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', "
        "'DejaVu Sans', sans-serif")


def _variables(which):
    return "".join(f"--{name}:{pair[which]};"
                   for name, pair in COLOURS.items())


def variables():
    return (f":root{{color-scheme:light dark;{_variables(0)}}}\n"
            "@media (prefers-color-scheme:dark){:root{"
            f"{_variables(1)}}}}}\n")


def _series():
    return "".join(
        f".{name}{{--c:var(--{name})}}" for name in SERIES) + "\n"


# Beside a plot: room for values, and for names.
LEFT, RIGHT = 72, 132
NARROW = 70, 120

# What is drawn.
SHAPES = """\
svg{display:block}
svg text{font:12px FONT;fill:var(--muted);font-variant-numeric:tabular-nums}
svg .name{fill:var(--c);font-weight:600}
svg .strong{fill:var(--ink);font-weight:600}
.line{fill:none;stroke:var(--c);stroke-width:1.75;stroke-linejoin:round}
.thin{fill:none;stroke:var(--c);stroke-width:1}
.dashed{fill:none;stroke:var(--c);stroke-width:1.25;stroke-dasharray:4 3}
.area{fill:var(--c);fill-opacity:.2}
.bar{stroke:var(--c);stroke-width:3}
.light{stroke-opacity:.4}
.dot{fill:var(--c)}
.block{fill:var(--c)}
.grid{stroke:var(--grid);stroke-width:1}
.axis{stroke:var(--axis);stroke-width:1}
.pass{stroke:var(--axis);stroke-width:1;stroke-dasharray:1 3}
.pause{fill:var(--muted);fill-opacity:.25}
.still{stroke:var(--muted);stroke-width:1.5}
.ended{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:7 3}
"""

PAGE = """\
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 FONT}
main{max-width:1160px;margin:0 auto;padding:28px 24px 40px}
.eyebrow{margin:0 0 6px;color:var(--muted);font-size:13px}
h1{margin:0 0 10px;font-size:26px;line-height:1.28;font-weight:650;
letter-spacing:-.01em;max-width:36em;overflow-wrap:anywhere;
text-wrap:balance}
.whole{white-space:nowrap}
h2{margin:0;font-size:15px;line-height:1.35;font-weight:650}
h2 .unit{font-weight:400;color:var(--muted)}
h3{margin:0 0 4px;font-size:17px;line-height:1.35}
p{margin:0 0 6px;max-width:60em;overflow-wrap:anywhere}
.sub{max-width:none;margin:0 0 6px;color:var(--muted);font-size:13px}
.findings{margin:0;padding:0;list-style:none}
.findings li{margin:0 0 4px;max-width:62em;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));
gap:1px;margin:22px 0 6px;background:var(--grid);border:1px solid var(--grid);
border-radius:8px;overflow:hidden}
.tiles div{background:var(--plane);padding:10px 14px 11px}
.tiles dt{color:var(--muted);font-size:13px}
.tiles dd{margin:0;font-size:23px;line-height:1.3;font-weight:650;
font-variant-numeric:tabular-nums;white-space:nowrap}
.tiles small{display:block;color:var(--muted);font:400 12px/1.45 FONT;
white-space:normal}
.two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:0 32px}
.two .tiles dd{font-size:19px}
.two .tiles{grid-template-columns:1fr 1fr}
.heads>div{display:grid;grid-row:span 2;grid-template-rows:subgrid}
section{margin:26px 0 0}
.plot{display:grid;grid-template-columns:COLUMNS}
.two .plot{grid-template-columns:NARROW}
.panel{margin:0;min-width:0}
.who{margin:8px 0 0;font-size:13px;font-weight:650}
table{border-collapse:collapse;width:100%;margin:8px 0 0;font-size:14px}
th,td{padding:6px 10px 6px 0;border-top:1px solid var(--grid);
text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{font-weight:400;color:var(--muted);width:32%}
thead th{color:var(--ink);font-weight:650;border-top:0}
td{font-variant-numeric:tabular-nums;font-weight:600}
td small{display:block;color:var(--muted);font-size:13px;font-weight:400}
footer{margin:28px 0 0;color:var(--muted);font-size:13px}
@media (max-width:760px){
main{padding:20px 14px 32px}
h1{font-size:21px}
.tiles,.two .tiles{grid-template-columns:1fr 1fr}
.tiles dd{font-size:19px}
.two{grid-template-columns:minmax(0,1fr);gap:14px}
.heads>div{display:block}
.plot{grid-template-columns:NARROW}
}
@media print{section,.panel{break-inside:avoid}}
"""


def columns(left, right):
    """Of a plot and what is beside it, as a style sheet has them."""
    return f"{left}px minmax(0,1fr) {right}px"


def drawing():
    """The style sheet of what is drawn."""
    return variables() + _series() + SHAPES.replace("FONT", FONT)


def sheet():
    """The page's."""
    page = PAGE.replace("COLUMNS", columns(LEFT, RIGHT))
    page = page.replace("NARROW", columns(*NARROW))
    return drawing() + page.replace("FONT", FONT)
