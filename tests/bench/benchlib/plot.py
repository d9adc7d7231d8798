# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as a picture."""

from . import paths
from .rows import WHO, case_name
from .summary import Summary

# Of Okabe and Ito's colours, which colour-blind people can tell apart; marks
# and line styles tell them apart too.
COLOUR = {"upstream": "#D55E00", "ours": "#0072B2"}
MARK = {"upstream": "s", "ours": "o"}
STYLE = {"bitmap": "--"}
APART = 0.3         # between upstream's and ours of one configuration


class NoMatplotlib(Exception):
    pass


def pyplot():
    try:
        import matplotlib
    except ImportError as err:
        raise NoMatplotlib("no plot: matplotlib is missing (Debian package "
                           "python3-matplotlib)") from err
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bench"
    matplotlib.rcParams["font.size"] = 9
    import matplotlib.pyplot as plt
    return plt


def bars(axes, s, metric, cases):
    """A point for each configuration: median, range, and single runs."""
    for who in WHO:
        shift = -APART / 2 if who == "upstream" else APART / 2
        for at, (config, gib) in enumerate(cases):
            found = s.get(metric.key, who, config, gib)
            if found is None:
                continue
            values = s.values(metric.key, who, config, gib)
            axes.plot([at + shift] * len(values),
                      [v * metric.scale for v in values], ".",
                      color=COLOUR[who], alpha=0.35, markersize=4)
            whiskers(axes, at + shift, found, metric, who, label=who
                     if at == 0 else None)
    axes.set_xticks(range(len(cases)),
                    [case_name(*case).replace(", ", "\n") for case in cases])
    axes.set_xlim(-0.6, len(cases) - 0.4)
    axes.set_ylim(bottom=0)


def whiskers(axes, x, found, metric, who, **kw):
    median = found.median * metric.scale
    axes.errorbar(x, median, yerr=[[median - found.low * metric.scale],
                                   [found.high * metric.scale - median]],
                  fmt=MARK[who], color=COLOUR[who], capsize=3, markersize=6,
                  **kw)


def lines(axes, s, metric, cases):
    """Lines over guest memory, one for each configuration."""
    for who in WHO:
        for config in dict.fromkeys(config for config, _ in cases):
            points = [(gib, s.get(metric.key, who, config, gib))
                      for c, gib in cases if c == config]
            points = [(gib, found) for gib, found in points if found]
            if not points:
                continue
            axes.plot([gib for gib, _ in points],
                      [found.median * metric.scale for _, found in points],
                      STYLE.get(config, "-"), color=COLOUR[who],
                      label=f"{who}, {case_name(config)}")
            for gib, found in points:
                whiskers(axes, gib, found, metric, who)
    sizes = sorted({gib for _, gib in cases})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlabel("guest memory, GiB")
    axes.set_ylim(bottom=0)


def draw(row, results):
    """Write the row's SVG; returns its path. NoMatplotlib if it cannot."""
    plt = pyplot()
    s = Summary(results["runs"])
    cases = [case for case in row.cases
             if any(s.get(m.key, who, *case) for m in row.metrics
                    for who in WHO)]
    wide = 2 if len(row.metrics) > 1 else 1
    high = -(-len(row.metrics) // wide)
    figure, grid = plt.subplots(high, wide, squeeze=False,
                                figsize=(5.2 * wide, 0.8 + 2.9 * high))
    cells = [axes for line in grid for axes in line]
    for axes, metric in zip(cells, row.metrics):
        (lines if row.by_size else bars)(axes, s, metric, cases)
        unit = f" ({metric.unit})" if metric.unit else ""
        axes.set_title(metric.label + unit, fontsize=10)
        axes.set_ylabel(metric.unit or "count")
        axes.grid(axis="y", alpha=0.3)
    for axes in cells[len(row.metrics):]:
        axes.set_axis_off()
    handles, labels = cells[0].get_legend_handles_labels()
    figure.suptitle(f"{row.name}: {row.title}", fontsize=11)
    figure.tight_layout(rect=(0, 0.6 / (0.8 + 2.9 * high), 1, 0.99))
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False)
    figure.text(0.01, 0.005, "medians, whiskers from least to most; "
                f"{results['made']}", fontsize=7, color="0.4")
    path = paths.RESULTS / f"{row.name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
