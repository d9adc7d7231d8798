#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs scenarios one after the other and reports every check as TAP.

Scenarios that want the same machine stand next to each other, so that they
share its boot.
"""

import sys

from dirtylab import config, rig
import backing
import basic
import cancel
import converge
import dirtylimit
import dirtyrates
import exchange
import faults
import forecast
import hotplug
import idle
import interrupted
import kernel
import kernel100
import late
import matrix
import mixed
import npt0
import options
import pingpong
import rates
import refused
import slots
import smm
import vga
import watch

SCENARIOS = {
    "options": options.scenario,
    "ring1": basic.ring1,
    "ring2": basic.ring2,
    "log1": basic.log1,
    "log2": basic.log2,
    "faults": faults.scenario,
    "dirtyrate-ring": dirtyrates.ring,
    "dirtylimit": dirtylimit.scenario,
    "refused": refused.scenario,
    "late": late.scenario,
    "cancel-ring": cancel.ring,
    "converge": converge.scenario,
    "slots-ring": slots.ring,
    "vga-ring": vga.scenario,
    "hotplug-ring": hotplug.ring,
    "pingpong": pingpong.scenario,
    "dirtyrate-log": dirtyrates.log,
    "cancel-log": cancel.log,
    "slots-log": slots.log,
    "hotplug-log": hotplug.log,
    "smm": smm.scenario,
    "idle": idle.scenario,
    "matrix": matrix.scenario,
    "rates": rates.scenario,
    "kernel": kernel.scenario,
    "dirtyrate-wp-all": dirtyrates.wp_all,
    "cancel-wp-all": cancel.wp_all,
    "slots-wp-all": slots.wp_all,
    "hotplug-wp-all": hotplug.wp_all,
    "kernel-matrix": kernel.matrix,
    "kernel-matrix2": kernel.matrix2,
    "kernel-100": kernel100.scenario,
    "kernel-backing": backing.scenario,
    "kernel-npt0": npt0.scenario,
    "mixed": mixed.scenario,
    "exchange": exchange.scenario,
    "watch": watch.scenario,
    "watch-all": watch.everything,
    "forecast": forecast.scenario,
    "interrupted": interrupted.short,
    "interrupted-20": interrupted.scenario,
}

GROUPS = {
    # Each of them in a lab of its own, in "make check".
    "oracle": ("options", "ring1", "ring2", "log1", "log2", "faults"),
    "life": ("late", "cancel-ring", "slots-ring", "vga-ring", "hotplug-ring",
             "pingpong", "smm", "converge"),
    # These judge rates, which a busy machine spoils.
    "limits": ("dirtyrate-ring", "dirtylimit", "watch"),
    "log": ("dirtyrate-log", "cancel-log", "slots-log", "hotplug-log"),
    # What matters on another kernel.
    "newest": ("ring1", "log1", "interrupted", "hotplug-ring", "cancel-ring"),
    # Needs KVM with patches/linux.
    "wp-all": ("dirtyrate-wp-all", "cancel-wp-all", "slots-wp-all",
               "hotplug-wp-all"),
}


def main():
    p = config.parser(__doc__)
    p.add_argument("--accel", default=config.ACCEL,
                   help="the accelerator, without ring options")
    p.add_argument("--repeat", type=int, default=1, metavar="N",
                   help="go through the scenarios N times")
    idle.options(p)
    p.add_argument("what", nargs="+", metavar="SCENARIO|GROUP",
                   help="scenarios: " + ", ".join(SCENARIOS)
                   + "; groups: " + ", ".join(GROUPS))
    args = p.parse_args()
    names = []
    for word in args.what:
        if word not in SCENARIOS and word not in GROUPS:
            p.error(f"{word}: no such scenario or group; there are "
                    + ", ".join([*SCENARIOS, *GROUPS]))
        names += GROUPS.get(word, (word,))
    r = rig.Rig(args)
    try:
        for _ in range(args.repeat):
            for name in names:
                r.run(name, SCENARIOS[name])
    finally:
        r.close()
    return r.tap.end()


if __name__ == "__main__":
    sys.exit(main())
