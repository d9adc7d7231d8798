# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order things are measured.

A job is what the lab does with machines of its own; it gives one result for
each of its members and rounds. In each case upstream and ours follow one
another, and take turns in going first: what changes slowly on this machine
then weighs on both alike.
"""

from .rows import WHO


def wanted(row, configs=None, sizes=None):
    return [(config, gib) for config, gib in row.cases
            if (not configs or config in configs)
            and (not sizes or gib is None or gib in sizes)]


def pair(row, config, first, only):
    both = WHO if first % 2 == 0 else WHO[::-1]
    alone = dict(row.alone).get(config)
    return [(who, config) for who in both
            if only in (None, who) and alone in (None, who)]


def single(row, cases, runs, only):
    """Each measurement has its own boot of its guest."""
    return [{"row": row.name, "gib": gib, "members": [member], "rounds": [turn]}
            for turn in range(runs)
            for index, (config, gib) in enumerate(cases)
            for member in pair(row, config, turn + index, only)]


def grouped(row, cases, runs, only):
    """Guests of one size are booted once, all of them, and then measured in
    turns."""
    found = []
    for gib in dict.fromkeys(gib for _, gib in cases):
        configs = [config for config, g in cases if g == gib]
        members = [member for index, config in enumerate(configs)
                   for member in pair(row, config, index, only)]
        found.append({"row": row.name, "gib": gib, "members": members,
                      "rounds": list(range(runs))})
    return found


def jobs(row, runs, configs=None, sizes=None, only=None):
    make = grouped if row.grouped else single
    return make(row, wanted(row, configs, sizes), runs, only)


def results(job):
    """How many there will be."""
    return len(job["members"]) * len(job["rounds"])


def boots(row, job):
    """Seconds until a job's guests are ready, as a first guess."""
    return len(job["members"]) * (row.boot + row.per_gib * (job["gib"] or 0))


def cost(row, job):
    """Seconds it will take in all."""
    return boots(row, job) + results(job) * row.seconds
