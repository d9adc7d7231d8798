#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPU replug under the dirty ring, told step by step, for any QEMU.

The same steps as the hotplug scenario, but with a word about each, so that
what two QEMUs make of them can be compared. Exit status: 0 when the guest
came through, 1 when not, 77 when this host cannot do it.
"""

import sys

from dirtylab import config, dirtyrate, stats, trial, vcpu
from dirtylab import migrate as mig
from dirtylab.errors import LabError, Unavailable, VmDied
from dirtylab.vm import Lab


def steps(lab, spec, mode):
    vm = lab.start(spec)
    vm.wait_load()
    vm.wait_shell()
    yield "guest is up with one vCPU, " + spec.accel
    for turn in ("plug", "replug"):
        vcpu.plug(vm)
        yield f"{turn}: the guest has two vCPUs"
        vcpu.load(vm)
        answer = dirtyrate.measure(vm, mode)
        yield f"{turn}: dirty rate {answer['dirty-rate']} MB/s ({mode})"
        if turn == "plug":
            vcpu.unload(vm)
            vcpu.unplug(vm)
            yield "unplug: the guest gave it back"
    dst = lab.start(spec, incoming=True, plugged=vm.plugged)
    done = trial.run(vm, dst, mig.Options(passes=6))
    if not done.good:
        raise LabError("migration: " + "; ".join(done.details()))
    yield (f"migrated in {done.result.total_ms} ms: {done.ram.pages} pages "
           "compared, 0 differ; the guest goes on")


def main():
    p = config.parser(__doc__)
    p.add_argument("--accel-opts", default=config.accel("ring"),
                   metavar="OPTS", help="all that follows -accel")
    args = p.parse_args()
    mode = "dirty-ring" if stats.has_ring(args.accel_opts) else "dirty-bitmap"
    if not args.accel_opts.startswith("kvm"):
        mode = "page-sampling"
    print(f"QEMU: {args.qemu}", flush=True)
    try:
        spec = config.spec(args, accel=args.accel_opts, maxcpus=2, mem=256,
                           load="mib=48,rate=20000")
        with Lab(keep=args.keep) as lab:
            for text in steps(lab, spec, mode):
                print(text, flush=True)
    except Unavailable as err:
        print(f"cannot run here: {err}")
        return 77
    except VmDied as err:
        print(f"FAIL: the virtual machine is dead. {err}")
        return 1
    except LabError as err:
        print(f"FAIL: {err}")
        return 1
    print("PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
