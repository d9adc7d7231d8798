# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order things are measured."""

from .rows import WHO


def jobs(row, runs, configs=None, sizes=None, only=None):
    """Round by round through the cases. In each case upstream and ours follow
    one another, and take turns in going first: what changes slowly on this
    machine then weighs on both alike."""
    found = []
    cases = [(config, gib) for config, gib in row.cases
             if (not configs or config in configs)
             and (not sizes or gib is None or gib in sizes)]
    for turn in range(runs):
        for index, (config, gib) in enumerate(cases):
            both = WHO if (turn + index) % 2 == 0 else WHO[::-1]
            found += [{"row": row.name, "who": who, "config": config,
                       "gib": gib, "round": turn}
                      for who in both if only in (None, who)]
    return found
