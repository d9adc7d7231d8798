#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build kvm.ko, kvm-amd.ko and kvm-intel.ko for the lab's kernel, patched.

The kernel itself stays Debian's: only KVM is compiled, from the source of the
same version with patches/linux on top ('make kvm-modules').  The modules go to
build/lab/kvm-patched, where 'tests/lab/run --kvm patched' finds them.
"""

import os
import shutil
import subprocess

import linux_source
from common import BUILD, ROOT, Failure, build_environment, build_lock, \
    logged, main, read_json, say, sha256, write_json
from labkernel import paths, patched
from linux_tree import Tree, arguments, carry_out, counted, parsed

OUT = os.path.join(linux_source.LINUX, "out")
RECIPE = os.path.join(ROOT, "scripts", "kvm-build")
# The kernel's selftests of KVM are built there, too.
SELFTESTS = "/tools/testing/selftests/"
TREE = Tree("src", extra=[SELFTESTS + "kvm/", SELFTESTS + "rseq/",
                          SELFTESTS + "lib.mk", SELFTESTS + "kselftest*.h"])


def parse():
    parser = arguments("Builds KVM's modules for the lab's kernel.",
                       "the modules go; tests/lab/run --kvm DIR loads them",
                       paths.PATCHED_KVM)
    parser.add_argument("--each", action="store_true",
                        help="build after every single patch, to see that no "
                        "step breaks the build; then as usual")
    return parsed(parser)


def compile_modules(want, log):
    """The modules, in OUT."""
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    # The compiler cache makes going from one set of patches to another quick.
    env = build_environment()
    if not shutil.which("ccache"):
        del env["CCACHE_DIR"]
    logged([RECIPE, TREE.path, linux_source.headers(want["release"]),
            want["release"], f"dirtytrack-{want['patches'][:12]}", OUT],
           log, env=env)


def stamp(release, version, patches):
    return {"release": release, "version": version, "recipe": sha256(RECIPE),
            "names": [patch.name for patch in patches],
            "patches": patched.digest(patches)}


def up_to_date(out, want):
    return read_json(os.path.join(out, patched.STAMP)) == want and \
        all(os.path.isfile(os.path.join(out, f"{name}.ko"))
            for name in patched.BUILT)


def deliver(out, want):
    """Modules and stamp appear together: no lab run sees half of each."""
    new = f"{out}.new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    for name in patched.BUILT:
        shutil.move(os.path.join(OUT, f"{name}.ko"), new)
    check_vermagic(os.path.join(new, "kvm.ko"))
    write_json(os.path.join(new, patched.STAMP), want)
    if os.path.isdir(out):
        if os.listdir(out) and not os.path.exists(
                os.path.join(out, patched.STAMP)):
            raise Failure(f"--out {out}: there are other things in it")
        shutil.rmtree(out)
    os.rename(new, out)


def check_vermagic(module):
    """As the kernel will: ours against Debian's own module."""
    magic = [subprocess.run(["modinfo", "-F", "vermagic", file], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.strip()
             for file in (module, paths.KERNEL / "modules" / "kvm.ko")]
    if magic[0] != magic[1]:
        raise Failure(f"{module} would not load: it is for '{magic[0]}', the "
                      f"kernel is '{magic[1]}'")


def run():
    carry_out(parse(), build)


def build(args, patches, release, version):
    want = stamp(release, version, patches)
    with build_lock("kvm-modules", "kvm"):
        if args.each:
            for count in range(1, len(patches)):
                TREE.sync(patches[:count])
                say(f"Compiling KVM as of {patches[count - 1].name}")
                compile_modules(want, "kvm-modules.log")
        elif up_to_date(args.out, want):
            say(f"Up to date: {os.path.relpath(args.out)}")
            return
        TREE.sync(patches)
        say(f"Compiling KVM for {release} (log: "
            f"{os.path.relpath(BUILD)}/logs/kvm-modules.log)")
        compile_modules(want, "kvm-modules.log")
        deliver(args.out, want)
    say(f"Built kvm.ko, kvm-amd.ko, kvm-intel.ko with {counted(patches)} in "
        f"{os.path.relpath(args.out)}")


if __name__ == "__main__":
    main(run)
