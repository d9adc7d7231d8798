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
                      label=", ".join(filter(None, [who, case_name(config)])))
            for gib, found in points:
                whiskers(axes, gib, found, metric, who)
    sizes = sorted({gib for _, gib in cases})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlabel("guest memory, GiB")


def picture(plt, row, results):
    """The row's figure, a panel for each metric."""
    s = Summary(results["runs"])
    panels = []
    for metric in row.metrics:
        cases = [case for case in row.cases
                 if any(s.get(metric.key, who, *case) for who in WHO)]
        if cases:
            panels.append((metric, cases))
    wide = 2 if len(panels) > 1 else 1
    high = -(-len(panels) // wide)
    inches = 0.9 + 2.9 * high
    figure, grid = plt.subplots(high, wide, squeeze=False,
                                figsize=(5.2 * wide, inches))
    cells = [axes for line in grid for axes in line]
    for axes, (metric, cases) in zip(cells, panels):
        sized = row.by_size and cases[0][1] is not None
        (lines if sized else bars)(axes, s, metric, cases)
        if row.log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.12 * axes.dataLim.y1 or 1)
        unit = f" ({metric.unit})" if metric.unit else ""
        axes.set_title(metric.label + unit, fontsize=10)
        axes.set_ylabel(metric.unit or "count")
        axes.grid(axis="y", alpha=0.3)
    for axes in cells[len(panels):]:
        axes.set_axis_off()
    handles, labels = cells[0].get_legend_handles_labels()
    figure.suptitle(f"{row.name}: {row.title}", fontsize=11)
    figure.tight_layout(rect=(0, 0.6 / inches, 1, 0.99))
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False,
                  bbox_to_anchor=(0.5, 0.15 / inches))
    figure.text(0.01, 0.05 / inches, "medians; whiskers from least to most; "
                f"measured {results['made']}", fontsize=7, color="0.4")
    return figure


def draw(row, results):
    """Write the row's SVG; returns its path. NoMatplotlib if it cannot."""
    plt = pyplot()
    figure = picture(plt, row, results)
    path = paths.RESULTS / f"{row.name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
