#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What ./configure does once the packages are there."""

import os
import subprocess
import sys

import compose
import fetch
import qemuconf
from common import BUILD, COMPOSED, CONFIG, PRISTINE, QEMU_BUILD, ROOT, \
    Failure, build_lock, logged, main, read_json, say, sha256, write_json

SOURCE = os.path.join(BUILD, "source.json")


def parse(arguments):
    config = {"profile": "lean", "prefix": "/usr/local", "qemu_src": None,
              "targets": "x86_64-softmmu", "extra": []}
    discard, update = False, True
    for argument in arguments:
        name, equals, value = argument.partition("=")
        key = {"--prefix": "prefix", "--target-list": "targets",
               "--qemu-src": "qemu_src"}.get(name)
        if key:
            if not value:
                raise Failure(f"{name} wants a value: {name}=...")
            config[key] = value
        elif argument in ("--full", "--lean"):
            config["profile"] = argument[2:]
        elif argument == "--discard-edits":
            discard = True
        elif argument == "--no-update":
            update = False
        elif argument != "--no-packages":
            config["extra"].append(argument)
    if not config["prefix"].startswith("/"):
        raise Failure(f"--prefix={config['prefix']}: not an absolute path")
    return config, discard, update


def from_package(update, discard):
    """Debian's source in build/upstream-src; returns what identifies it."""
    version, dsc = fetch.fetch(update, lambda: compose.check_edits(discard))
    base = f"Debian {version} {sha256(dsc)}"
    if read_json(SOURCE) != base or not os.path.isdir(PRISTINE):
        # From a tree of the user's, say.
        compose.check_edits(discard)
        with build_lock("new source", "upstream"):
            fetch.extract(dsc, PRISTINE)
            write_json(SOURCE, base)
    return base


def from_tree(directory):
    """The user's tree in build/upstream-src; a copy, theirs stays untouched."""
    directory = os.path.abspath(
        os.path.join(os.environ.get("INVOKED_FROM", ""), directory))
    try:
        with open(os.path.join(directory, "VERSION"), encoding="utf-8") as file:
            version = file.read().strip()
    except OSError as error:
        raise Failure(f"--qemu-src={directory}: not a QEMU source tree "
                      f"({error.strerror}: VERSION)") from None
    if not version.startswith(fetch.SERIES):
        raise Failure(f"--qemu-src={directory}: this is QEMU {version}; "
                      f"the patches are for {fetch.SERIES}x")
    if directory in (PRISTINE, COMPOSED):
        raise Failure(f"--qemu-src={directory}: that is this project's own copy")
    base = f"tree {directory}"
    with build_lock("new source", "upstream"):
        if read_json(SOURCE) != base:
            subprocess.run(["rm", "-rf", PRISTINE], check=True)
        say(f"Copying QEMU {version} from {directory}")
        copy_tree(directory + "/", PRISTINE, [".git", ".pc", "/build"])
        write_json(SOURCE, base)
    if os.path.isdir(COMPOSED) and compose.state()["base"] == base:
        # Files of the patches and links are compose's business.
        state = compose.state()
        copy_tree(PRISTINE + "/", COMPOSED,
                  [".pc"] + ["/" + f for f in [*state["files"], *state["links"]]])
        compose.write_json(compose.STATE, dict(state, series=None))
    return base


def copy_tree(source, target, excluded):
    """By content, and without time stamps: what changed must look changed."""
    logged(["rsync", "-rlpc", "--delete"] +
           [f"--exclude={pattern}" for pattern in excluded] +
           [source, target], "copy.log")


def meson():
    """Our own build directory, which holds QEMU's."""
    if os.path.exists(os.path.join(BUILD, "build.ninja")):
        return
    say("Setting up build/")
    logged(["/usr/bin/meson", "setup", BUILD, ROOT], "meson-setup.log",
           env=dict(os.environ, CC=os.environ.get("CC", "gcc")))


def run():
    config, discard, update = parse(sys.argv[1:])
    with build_lock("configure"):
        if config["qemu_src"]:
            config["base"] = from_tree(config["qemu_src"])
        else:
            config["base"] = from_package(update, discard)
        compose.compose(config["base"], discard)
        qemuconf.configure(COMPOSED, QEMU_BUILD, ours=True, config=config)
        write_json(CONFIG, config)
        meson()
    say("Configured. Next: make demo, make check, or ninja -C build")


if __name__ == "__main__":
    main(run)
