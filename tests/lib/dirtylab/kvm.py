# SPDX-License-Identifier: GPL-2.0-or-later
"""Which KVM the lab's host runs, its kernel's own or that of patches/linux,
and changing it while no guest runs.

The lab must have been started with --kvm patched (or a directory), which
brings modules along; Debian's are always there.
"""

import os
import subprocess

from .errors import LabError, Unavailable

# Loaded in this order.
MODULES = ("kvm", "kvm-amd")
FROM = {"stock": "/lib/modules/lab", "patched": "/lab/run"}
SYS = "/sys/module"
# What the lab loaded at first, with parameters.
LISTED = "/lab/run/modules"


def kernel():
    """(major, minor) of the host's kernel."""
    return tuple(int(number) for number in
                 os.uname().release.split("-")[0].split(".")[:2])


def _read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read().strip()
    except FileNotFoundError:
        return None


def _state(module, what):
    return _read(f"{SYS}/{module.replace('-', '_')}/{what}")


def loaded():
    """"stock" or "patched", by what the loaded module says; None if none is.
    Only modules of our build have a version."""
    if _state("kvm", "initstate") != "live" or not os.path.exists("/dev/kvm"):
        return None
    version = _state("kvm", "version")
    return "patched" if (version or "").startswith("dirtytrack-") else "stock"


def parameter(module, name):
    """A parameter's value, as the loaded module has it."""
    value = _state(module, f"parameters/{name}")
    if value is None:
        raise LabError(f"{module} is not loaded, or has no parameter {name}")
    return value


def users():
    """How many file descriptors KVM has given out: machines, vCPUs, ..."""
    return int(_state("kvm-amd", "refcnt") or 0)


def _parameters():
    """{module: parameters it was given at boot}."""
    found = {}
    for line in (_read(LISTED) or "").splitlines():
        path, _, settings = line.partition(" ")
        found[os.path.basename(path).removesuffix(".ko")] = settings.split()
    return found


def _run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stdout.strip()}")


def available(which):
    """None, or why load(which) cannot work here."""
    if os.environ.get("LAB_WHERE") != "nested":
        return "KVM is changed on an emulated host only"
    if _state("kvm", "initstate") is None and os.path.isdir(f"{SYS}/kvm"):
        return "KVM is built into this kernel"
    missing = [path for path in (f"{FROM[which]}/{m}.ko" for m in MODULES)
               if not os.path.exists(path)]
    return f"{missing[0]} is not there: start the lab with --kvm patched" \
        if missing else None


def load(which):
    """Have the host run that KVM, with the parameters the lab was given.
    Does nothing if it does already."""
    why = available(which)
    if why:
        raise Unavailable(why)
    if loaded() == which:
        return
    if users():
        raise LabError(f"KVM is in use ({users()} descriptors): end all "
                       f"guests before {which} modules are loaded")
    for module in reversed(MODULES):
        if _state(module, "initstate"):
            _run("rmmod", module)
    given = _parameters()
    for module in MODULES:
        _run("insmod", f"{FROM[which]}/{module}.ko", *given.get(module, ()))
    if loaded() != which:
        raise LabError(f"KVM of {FROM[which]} is not {which}: its version is "
                       f"{_state('kvm', 'version')}")
