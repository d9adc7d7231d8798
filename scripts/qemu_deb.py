#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a Debian package of this QEMU, to be installed beside Debian's own.

Compiled in build/deb with the options of Debian's own package.  The program
lies in /usr/bin, from where libvirt's AppArmor profile lets it start programs;
what belongs to it in PRIVATE.  Result: a .deb in build/.
"""

import gzip
import json
import os
import re
import subprocess
import time

import build
import compose
import deb
import qemuconf
import report_files
from common import BUILD, COMPOSED, LOGS, ROOT, Failure, build_lock, logged, \
    main, say, version

NAME = "qemu-system-x86-dirtytrack"
PROGRAM = "qemu-system-x86_64-dirtytrack"
# An address nobody claims: who hands the package on sets DEBEMAIL.
MAINTAINER = "The qemu-dirtytrack authors <qemu-dirtytrack@localhost>"
REPORT = "qemu-dirtytrack-report"
PRIVATE = "/usr/lib/qemu-dirtytrack"
MODULES = PRIVATE + "/qemu"
TEMPLATES = os.path.join(ROOT, "packaging", "qemu")
WORK = os.path.join(BUILD, "deb")
COMPILED = os.path.join(WORK, "packaged")
# What the package is made of; its version says when that last changed.
INPUTS = ["accel", "include", "linux-headers", "migration", "packaging/qemu",
          "patches/qemu", "qapi", "scripts/migration-report",
          "scripts/migration_report", "scripts/qemu_deb.py",
          "scripts/report_files.py", "util"]

# What Debian 13 enables and Debian 12 lacks the library for.
LACKING = {"--enable-blkio"}

OPTIONS = [
    # Nothing depends on where it is run from; data are Debian's.
    "--disable-relocatable", "--sysconfdir=/etc", "--localstatedir=/var",
    "--libdir=" + PRIVATE, "--libexecdir=" + PRIVATE,
    # Tools are not packaged, but for the bridge helper, which counts as one.
    "--enable-modules", "--enable-tools", "--disable-docs", "--disable-xen",
    "--disable-guest-agent", "--disable-gettext", "--disable-debug-info",
    "--disable-strip", "--disable-xkbcommon",
    # Debian's control file does not say, its packages do.
    "--enable-bzip2", "--disable-auth-pam",
]


def debian_version():
    """Of the source package, without which there is no telling its options."""
    kind, _, rest = qemuconf.settings()["base"].partition(" ")
    if kind != "Debian":
        raise Failure("a package is made from Debian's source only: "
                      "run ./configure without --qemu-src")
    return rest.split()[0]


def debian_options():
    """What Debian's packaging enables; it says so in its control file."""
    listed = subprocess.run(
        ["sh", "debian/extract-config-opts", "linux-amd64", "debian/control"],
        cwd=COMPOSED, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = listed.split()
    if not LACKING <= set(found):
        raise Failure("debian/control in QEMU's source does not list "
                      f"{', '.join(LACKING)}: is it read right?")
    return [option for option in found if option not in LACKING]


def flags(name):
    """Debian's flags for the compiler; they name no directory of ours."""
    env = dict(os.environ, DEB_BUILD_MAINT_OPTIONS=
               "hardening=+bindnow reproducible=-fixfilepath,-fixdebugpath",
               DEB_CFLAGS_STRIP="-g")
    return subprocess.run(["dpkg-buildflags", "--get", name], env=env,
                          check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def configure(debian):
    config = qemuconf.settings()
    config = {
        "profile": "deb", "prefix": "/usr", "targets": "x86_64-softmmu",
        "base": config["base"], "extra": OPTIONS + debian_options() + [
            f"--with-pkgversion=Debian {debian}, "
            f"qemu-dirtytrack {version()}",
            f"--extra-cflags={flags('CFLAGS')} {flags('CPPFLAGS')}",
            f"--extra-ldflags={flags('LDFLAGS')} -Wl,--as-needed"]}
    qemuconf.configure(COMPOSED, COMPILED, ours=True, config=config)


def modules():
    """Those that QEMU installs, but what is for tests or not for x86."""
    meson = os.path.join(COMPILED, "pyvenv", "bin", "meson")
    listed = subprocess.run([meson, "introspect", "--installed", COMPILED],
                            stdout=subprocess.PIPE, check=True, text=True)
    return sorted(path for path, target in json.loads(listed.stdout).items()
                  if os.path.dirname(target) == MODULES and
                  not re.match("accel-qtest|hw-s390x", os.path.basename(path)))


def install(root, source, target, mode):
    """Copy without symbols; returns the copy."""
    target = root + target
    os.makedirs(os.path.dirname(target), exist_ok=True)
    logged(["strip", "--strip-unneeded", "--remove-section=.comment",
            "--remove-section=.note", "-o", target, source], "deb-strip.log")
    os.chmod(target, mode)
    return target


def with_common_modules(files):
    """Split FILES: what all of Debian's QEMUs depend on, and the rest."""
    name = os.path.join(COMPOSED, "debian/qemu-system-common.install")
    with open(name, encoding="utf-8") as listed:
        common = set(re.findall(r"/([^/\s]+\.so)$", listed.read(), re.M))
    required = [f for f in files
                if not f.endswith(".so") or os.path.basename(f) in common]
    return required, [f for f in files if f not in required]


def dependencies(source, files):
    """Substitutions for control: libraries as Depends and as Recommends."""
    required, optional = with_common_modules(files)
    log = os.path.join(LOGS, "deb-shlibdeps.log")
    with open(log, "w", encoding="utf-8") as messages:
        done = subprocess.run(
            ["dpkg-shlibdeps", "-O", "-dDepends",
             *[f"-e{f}" for f in required], "-dRecommends",
             *[f"-e{f}" for f in optional]], cwd=source, check=False,
            stdout=subprocess.PIPE, stderr=messages, text=True)
    if done.returncode:
        raise Failure(f"dpkg-shlibdeps failed: see {log}")
    deb.write(os.path.join(source, "debian", "substvars"), done.stdout)


def compressed(target, text):
    """As policy wants documentation; without a time stamp."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as output:
        output.write(gzip.compress(text.encode(), 9, mtime=0))


def documents(root, source, values):
    where = f"{root}/usr/share/doc/{NAME}"

    def filled(name, target):
        deb.fill_in(os.path.join(TEMPLATES, name), target, values)
        with open(target, encoding="utf-8") as result:
            return result.read()

    changelog = filled("changelog", f"{source}/debian/changelog")
    compressed(f"{where}/changelog.Debian.gz", changelog)
    for name in (f"{PROGRAM}.1", f"{REPORT}.1"):
        compressed(f"{root}/usr/share/man/man1/{name}.gz",
                   filled(name, f"{source}/{name}"))
    filled("apparmor-libvirt-qemu", f"{where}/examples/apparmor-libvirt-qemu")
    filled("lintian-overrides", f"{root}/usr/share/lintian/overrides/{NAME}")
    for name in ("glossary.md", "observing.md", "operators.md", "packages.md",
                 "report.md", "user-guide.md"):
        with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as text:
            compressed(f"{where}/{name}.gz", text.read())
    with open(os.path.join(COMPOSED, "debian/copyright"),
              encoding="utf-8") as theirs:
        ours = filled("copyright", f"{where}/copyright")
        deb.write(f"{where}/copyright", ours + theirs.read())


def install_report(root):
    """scripts/migration-report, with what it consists of."""
    report_files.copy(f"{root}{PRIVATE}/report")
    os.symlink(f"..{PRIVATE.removeprefix('/usr')}/report/"
               f"{report_files.PROGRAM}",
               f"{root}/usr/bin/{REPORT}")


def checksums(root):
    names = sorted(os.path.relpath(os.path.join(where, name), root)
                   for where, _, found in os.walk(root) for name in found
                   if not os.path.islink(os.path.join(where, name)))
    listed = subprocess.run(["md5sum", *names], cwd=root, check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    deb.write(os.path.join(root, "DEBIAN", "md5sums"), listed)


def assemble(values, env):
    root = deb.empty(os.path.join(WORK, "root"))
    source = deb.empty(os.path.join(WORK, "source"))
    deb.fill_in(os.path.join(TEMPLATES, "control"),
                os.path.join(source, "debian", "control"), values)
    documents(root, source, values)
    files = [install(root, os.path.join(COMPILED, "qemu-system-x86_64"),
                     f"/usr/bin/{PROGRAM}", 0o755),
             install(root, os.path.join(COMPILED, "qemu-bridge-helper"),
                     f"{PRIVATE}/qemu-bridge-helper", 0o755)]
    files += [install(root, path, f"{MODULES}/{os.path.basename(path)}", 0o644)
              for path in modules()]
    install_report(root)
    dependencies(source, files)
    checksums(root)
    logged(["dpkg-gencontrol", f"-P{root}"], "deb-control.log", cwd=source,
           env=env)
    return root


def run():
    if subprocess.run(["sh", os.path.join(ROOT, "scripts", "packages"),
                       "ensure", "deb"], check=False).returncode:
        raise Failure("cannot make the package without these packages")
    debian = debian_version()
    with build_lock("make deb", "qemu"):
        compose.compose()
    with build_lock("make deb", "deb"):
        configure(debian)
        build.ninja(COMPILED, ["qemu-system-x86_64", "qemu-bridge-helper",
                               "modules"])
        when = int(deb.changed(INPUTS, "%s") or time.time())
        env = dict(os.environ, SOURCE_DATE_EPOCH=str(when))
        number = debian.partition(":")[2] + "+dt" + deb.version(INPUTS)
        stamp = time.gmtime(when)
        root = assemble({
            "NAME": NAME, "VERSION": number, "DEBIAN": debian,
            "UPSTREAM": re.match(r"[0-9.]+", number).group(0),
            "MAINTAINER": os.environ.get("DEBEMAIL", MAINTAINER),
            "WHEN": time.strftime("%a, %d %b %Y %H:%M:%S +0000", stamp),
            "DATE": time.strftime("%Y-%m-%d", stamp)}, env)
        package = deb.pack(root, NAME, number, "deb-pack.log", env=env)
    say(f"Built {os.path.relpath(package)}")


if __name__ == "__main__":
    main(run)
