#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VGA logging: what the guest draws shows on the screen, while only the screen
is logged, while a migration logs everything, and on the destination.

An 8-bit mode is used because its pixels must be converted: then QEMU redraws
only what the dirty log says, and a lost bit shows as an old pixel.
"""

import os
import sys

from dirtylab import migrate, rig

WIDTH, HEIGHT = 640, 480
DEVICE = "/sys/bus/pci/devices/0000:00:02.0"
LOOKS = 20
COLOURS = {1: (255, 0, 0), 2: (0, 255, 0), 3: (0, 0, 255)}
# One pixel in each of some pages of the frame buffer.
PIXELS = [5 * page * 4096 + 17 * page for page in range(0, 14)]


def registers(vm):
    lines = vm.shell().run(f"cat {DEVICE}/resource")[1].splitlines()
    return int(lines[0].split()[0], 16), int(lines[2].split()[0], 16)


def poke(vm, writes):
    """Write (address, bits, value)s from inside the guest."""
    batch = [f"devmem {a:#x} {bits} {value}" for a, bits, value in writes]
    for i in range(0, len(batch), 16):
        vm.shell().run("; ".join(batch[i:i + 16]))


def set_mode(vm, mmio, width=WIDTH, height=HEIGHT, depth=8):
    """256 colours unless told otherwise, by the registers of QEMU's standard
    VGA."""
    dispi = mmio + 0x500
    writes = [(dispi + 2 * 4, 16, 0), (dispi + 2 * 1, 16, width),
              (dispi + 2 * 2, 16, height), (dispi + 2 * 3, 16, depth),
              (dispi + 2 * 4, 16, 0x41)]
    for index, (red, green, blue) in COLOURS.items():
        writes += [(mmio + 0x408, 8, index)]
        writes += [(mmio + 0x409, 8, c >> 2) for c in (red, green, blue)]
    writes += [(mmio + 0x400, 8, 0x20)]        # unblank
    poke(vm, writes)


def draw(vm, frame, index):
    poke(vm, [(frame + p, 8, index) for p in PIXELS])


def screen(r, vm):
    """The screen as (width, height, rgb bytes)."""
    path = os.path.join(r.lab.dir, "screen.ppm")
    vm.qmp.cmd("screendump", {"filename": path})
    with open(path, "rb") as f:
        assert f.readline() == b"P6\n"
        size = f.readline().split()
        f.readline()
        return int(size[0]), int(size[1]), f.read()


def near(rgb, want):
    return all(abs(a - b) <= 8 for a, b in zip(rgb, want))


def enable(vm):
    vm.shell().run(f"echo 1 >{DEVICE}/enable")


def wrong(r, vm, index):
    """What is not as it was drawn, in words."""
    width, height, data = screen(r, vm)
    if (width, height) != (WIDTH, HEIGHT):
        return [f"the screen is {width}x{height}"]
    return [f"pixel at {p:#x} is {tuple(data[3 * p:3 * p + 3])}"
            for p in PIXELS if not near(data[3 * p:3 * p + 3], COLOURS[index])]


def check(r, vm, index, what):
    found = wrong(r, vm, index)
    r.tap.ok(not found, what, found)


def refresh(r, vm):
    """Looking at a screen that does not change must not empty the rings: each
    page protected again costs the guest a fault."""
    before = r.query()["ring"]["resets"]
    for _ in range(LOOKS):
        screen(r, vm)
    made = r.query()["ring"]["resets"] - before
    r.tap.ok(made < LOOKS / 2,
             f"{LOOKS} looks at the screen leave the rings alone",
             f"{made} resets meanwhile")


def scenario(r):
    r.need_vga()
    # A ring so large that nobody else empties it often.
    vm = r.guest(size=65536)
    enable(vm)
    frame, mmio = registers(vm)
    set_mode(vm, mmio)
    screen(r, vm)                   # draws all of it, whatever is dirty
    draw(vm, frame, 1)
    check(r, vm, 1, "drawn while only the screen is logged")
    draw(vm, frame, 2)
    check(r, vm, 2, "drawn over")

    options = migrate.held()
    drawn = []

    def during(_):
        if not drawn:
            drawn.append(True)
            draw(vm, frame, 3)
            check(r, vm, 3, "drawn while a migration logs everything")
            refresh(r, vm)
            migrate.release(vm, options)

    r.migrate("with a drawn screen", options, during=during)
    r.tap.ok(drawn, "the picture was drawn during the migration")
    check(r, r.vm, 3, "the destination shows the last picture")
    r.vm.wait_shell()
    draw(r.vm, frame, 1)
    check(r, r.vm, 1, "drawn on the destination")


if __name__ == "__main__":
    sys.exit(rig.main("VGA", scenario, __doc__))
