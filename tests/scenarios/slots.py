#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory slots come and go while dirty pages are logged.

The guest maps a PCI memory device, writes to one page of it, and takes the
mapping away at once, over and over, while it is migrated. The write is then
still in the ring when its slot goes. The device's memory is a file as well,
so the oracle tells whether every one of these writes arrived.
"""

import sys

from dirtylab import guest, migrate, rig

CONFIG = "/sys/bus/pci/devices/0000:00:05.0/config"
RESOURCE = "/sys/bus/pci/devices/0000:00:05.0/resource"
PAGES = 256
ENOUGH = 10         # mappings during the migration

# Bit 1 of the command register is memory decoding.
SCRIPT = f"""\
A=$(sed -n 3p {RESOURCE} | cut -d' ' -f1)
i=1
while [ -e /toggling ]; do
  printf '\\002' | dd of={CONFIG} bs=1 seek=4 conv=notrunc 2>/dev/null
  devmem $(printf 0x%x $((A + i % {PAGES} * 4096))) 32 $i
  printf '\\000' | dd of={CONFIG} bs=1 seek=4 conv=notrunc 2>/dev/null
  echo $i >/toggles
  i=$((i + 1))
done
"""


def toggles(vm):
    return int(vm.shell().run("cat /toggles 2>/dev/null || echo 0")[1] or 0)


def newest(path):
    """The last number that was written to the device's memory."""
    with open(path, "rb") as f:
        data = f.read()
    return max(int.from_bytes(data[p:p + 4], "little")
               for p in range(0, len(data), 4096))


def start(vm):
    """Have the guest map and unmap it from now on."""
    encoded = SCRIPT.encode().hex()
    octets = "".join(f"\\x{encoded[i:i + 2]}"
                     for i in range(0, len(encoded), 2))
    # In pieces: a terminal takes 4095 characters a line at most.
    vm.shell().run(">/toggle.sh; touch /toggling; rm -f /toggles")
    for i in range(0, len(octets), 800):
        vm.shell().run(f"printf '{octets[i:i + 800]}' >>/toggle.sh")
    vm.shell().run(guest.background("sh /toggle.sh >/toggle.log 2>&1"))


def stop(vm):
    vm.shell().run("rm -f /toggling")


def steps(r, backend):
    vm = r.guest(backend)
    start(vm)
    r.wait("the guest toggles its BAR", lambda: toggles(vm) > 3)
    first = newest(vm.bar)
    state = {"seen": first}
    options = migrate.held()

    def during(_):
        state["seen"] = newest(vm.bar)
        if state["seen"] - first >= ENOUGH:
            migrate.release(vm, options)

    done = r.migrate("BAR mapped, written and unmapped all the time",
                     options, during=during)
    count = state["seen"] - first
    r.tap.ok(count >= ENOUGH, "the mapping really came and went",
             f"{count} times; "
             + r.vm.shell().run("cat /toggle.log")[1])
    r.vm.wait_shell()
    stop(r.vm)
    r.tap.note(f"{count} times in {done.result.total_ms} ms")
    if r.kvm:
        r.check_harvest("toggling", done, backend)


ring, log, wp_all = rig.by_backend(steps)

if __name__ == "__main__":
    sys.exit(rig.main("slot removal", ring, __doc__))
