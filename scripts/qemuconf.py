# SPDX-License-Identifier: GPL-2.0-or-later
"""Run QEMU's own configure, and only when its options changed."""

import os
import shutil

from common import CONFIG, ROOT, Failure, build_environment, logged, \
    read_json, say, version, write_json

# Debian's source package carries no firmware: QEMU uses the installed one.
FIRMWARE = ["/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu"]

COMMON = ["--python=/usr/bin/python3", "--disable-download", "--enable-system",
          "--disable-user", "--enable-kvm", "--enable-tcg",
          "--disable-install-blobs", "--firmwarepath=" + ":".join(FIRMWARE)]

LEAN = ["--without-default-features", "--disable-docs", "--enable-slirp",
        "--enable-fdt=system", "--enable-pixman", "--enable-vnc",
        "--enable-linux-io-uring", "--enable-seccomp", "--enable-vhost-net",
        "--enable-vhost-kernel"]

FULL = ["--enable-docs", "--enable-tools", "--enable-fdt=system",
        "--enable-slirp", "--enable-vnc", "--enable-linux-io-uring"]

# Of a Debian package's options most are the package's own: scripts/qemu_deb.py.
PROFILES = {"lean": LEAN, "full": FULL, "deb": []}

# Hooks by which the tests make the tracker fail on purpose.
FAULTS = "-DCONFIG_KVM_DIRTY_FAULTS"


def settings():
    config = read_json(CONFIG)
    if config is None:
        raise Failure("build/ is not configured: run ./configure")
    return config


def options(config, ours):
    """QEMU's options: the profile's, then the user's, which win."""
    compiler = os.environ.get("CC", "gcc")
    result = COMMON + PROFILES[config["profile"]]
    result = result + [f"--cc=ccache {compiler}",
                       f"--prefix={config['prefix']}",
                       f"--target-list={config['targets']}"]
    if ours and config["profile"] == "lean":
        result.append(f"--extra-cflags={FAULTS}")
    if ours:
        # What --version says besides QEMU's own; a later one wins.
        result.append(f"--with-pkgversion=qemu-dirtytrack {version()}")
    return result + config["extra"]


def configure(source, build, ours, config=None):
    """Configure SOURCE in BUILD unless that was done with the same options."""
    config = config or settings()
    wanted = {"options": options(config, ours), "source": source,
              "base": config["base"]}
    stamp = os.path.join(build, ".configured")
    if read_json(stamp) == wanted and \
            os.path.exists(os.path.join(build, "build.ninja")):
        return
    name = os.path.relpath(build, ROOT)
    say(f"Configuring QEMU in {name} ({config['profile']} profile)")
    # Start anew: leftovers of other options would survive a reconfiguration.
    # The old build comes back if QEMU does not take the new options.
    old = build + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.isdir(build):
        os.rename(build, old)
    os.makedirs(build)
    script = os.path.join(os.path.relpath(source, build), "configure")
    try:
        logged([script] + wanted["options"],
               f"configure-{os.path.basename(build)}.log",
               cwd=build, env=build_environment())
    except Failure as failure:
        shutil.rmtree(build)
        if os.path.isdir(old):
            os.rename(old, build)
        raise Failure(f"{failure}\n  QEMU's configure refused; what was built "
                      "before is unchanged") from None
    shutil.rmtree(old, ignore_errors=True)
    # The unit tests use headers of QEMU's; the one among them that is not made
    # by now must not depend on how fast the build in parallel to them is.
    logged(["ninja", "-C", build, "config-poison.h"], "config-poison.log")
    write_json(stamp, wanted)


def systems():
    """Names of the emulators that the configured targets make."""
    return ["qemu-system-" + target[:-len("-softmmu")]
            for target in settings()["targets"].split(",")
            if target.endswith("-softmmu")]


def link_firmware(build):
    """An emulator that is not installed looks for firmware in qemu-bundle."""
    for directory in FIRMWARE:
        if not os.path.isdir(directory):
            continue
        bundle = os.path.join(build, "qemu-bundle") + directory
        if not os.path.lexists(bundle):
            os.makedirs(os.path.dirname(bundle), exist_ok=True)
            os.symlink(directory, bundle)
        elif not os.path.islink(bundle):
            # With --prefix=/usr QEMU's own links are there: add beside them.
            for name in os.listdir(directory):
                if not os.path.lexists(os.path.join(bundle, name)):
                    os.symlink(os.path.join(directory, name),
                               os.path.join(bundle, name))
