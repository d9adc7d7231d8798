# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as text."""

import textwrap

from dirtylab import report

from .rows import case_name
from .summary import Summary
from .verdicts import judge, number


def cell(spread, metric):
    if spread is None:
        return ["-", ""]
    low, high = (number(v * metric.scale) for v in (spread.low, spread.high))
    text = "" if low == high else f"{low} .. {high}"
    return [number(spread.median * metric.scale), text]


def ratio(ours, theirs):
    if ours is None or theirs is None or not theirs.median:
        return "-"
    return number(ours.median / theirs.median)


def compared(row, s):
    """Lines that compare upstream and ours, metric by metric."""
    lines = [["", "upstream", "min .. max", "ours", "min .. max",
              "ours/upstream"]]
    for metric in row.metrics:
        of_metric = []
        for config, gib in row.cases:
            both = [s.get(metric.key, who, config, gib)
                    for who in ("upstream", "ours")]
            if both == [None, None]:
                continue
            of_metric.append(["  " + case_name(config, gib),
                              *cell(both[0], metric), *cell(both[1], metric),
                              ratio(both[1], both[0])])
        if of_metric:
            unit = f", {metric.unit}" if metric.unit else ""
            lines += [[metric.label + unit] + [""] * 5] + of_metric
    return report.columns(lines)


def verdict_lines(found):
    for v in found:
        yield from textwrap.wrap(f"{v.text()}: {v.target}", 76,
                                 initial_indent="  ",
                                 subsequent_indent="      ")
        if v.reached is not None:
            yield f"      measured {v.measured}"


def text(row, results):
    """All there is to say about a row."""
    s = Summary(results["runs"])
    counts = {}
    for run in results["runs"]:
        place = run.get("who"), run.get("config"), run.get("gib")
        counts[place] = counts.get(place, 0) + 1
    runs = sorted(set(counts.values()))
    many = "-".join(str(n) for n in ([runs[0], runs[-1]] if len(runs) > 1
                                     else runs)) or "no"
    where = f"{results['processors']} x {results['processor']}"
    if row.lab:
        where = f"lab with {results['smp']} CPU on {where}"
    lines = [f"== {row.name}: {row.title}",
             f"   medians of {many} runs; {results['made']}; {where}", ""]
    lines += compared(row, s)
    found = judge(row, s)
    if found:
        lines += ["", "Figures to reach:", *verdict_lines(found)]
    if results["failures"]:
        lines += ["", f"{len(results['failures'])} measurements FAILED:"]
        lines += ["  " + f["error"].strip().splitlines()[-1]
                  for f in results["failures"]]
    return "\n".join(lines) + "\n"
