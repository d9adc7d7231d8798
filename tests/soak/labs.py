# SPDX-License-Identifier: GPL-2.0-or-later
"""The labs of a soak: which host a seed gets, and what became of it."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time

from labkernel.paths import BUILD, MAINLINE_KVM, PATCHED_KVM, TOP

RUN = TOP / "tests" / "lab" / "run"
REFUSE = BUILD / "tests" / "scenarios" / "refuse-log.so"
IN_LAB = "/opt/lab/refuse-log.so"
# The lab's host: (Linux, KVM), and how often each is taken.
HOSTS = {("6.12", "stock"): 2, ("6.12", "patched"): 3, ("newest", "stock"): 2,
         ("newest", "patched"): 1}
# What is to be given as --kvm.
MODULES = {("6.12", "patched"): PATCHED_KVM,
           ("newest", "patched"): MAINLINE_KVM}
# Parameters of KVM that change how it protects and splits pages.
PARAMETERS = ((), (), ("kvm.eager_page_split=0",))
# Seconds: for the host and its guest to boot, and for each migration.  All of
# it is slow on a busy machine.
BOOT, EACH = 300, 240
# And for what should happen soon there: so many times as long as it takes.
PATIENCE = "6"
MARK = "# soak "


def known():
    """The hosts of HOSTS whose KVM is there."""
    return {host for host in HOSTS
            if host not in MODULES or MODULES[host].is_dir()}


def options(seed, hosts, cpus):
    """What lab this seed gets.  The same host on every machine that has it;
    else the simplest."""
    rng = random.Random(f"lab {seed}")
    linux, kvm = rng.choices(list(HOSTS), list(HOSTS.values()))[0]
    smp = rng.choice((1, 2))
    parameters = rng.choice(PARAMETERS)
    if (linux, kvm) not in hosts:
        linux, kvm = "6.12", "stock"
    return {"linux": linux, "kvm": kvm, "smp": min(smp, cpus),
            "parameters": list(parameters)}


def version():
    """What was tested: this tree's commit and the QEMU that is built."""
    said = subprocess.run(["git", "-c", "safe.directory=*", "describe",
                           "--always", "--dirty"], cwd=TOP, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False)
    qemu = BUILD / "qemu" / "qemu-system-x86_64"
    if not qemu.exists():
        sys.exit(f"{qemu} is not there: run make")
    return {"tree": said.stdout.strip(),
            "qemu": hashlib.sha256(qemu.read_bytes()).hexdigest()[:12]}


def command(seed, migrations, lab, fault=""):
    modules = MODULES.get((lab["linux"], lab["kvm"]), "stock")
    line = [str(RUN), "--linux", lab["linux"], "--kvm", str(modules),
            "--smp", str(lab["smp"]), "--timeout", str(BOOT + EACH * migrations)]
    for parameter in lab["parameters"]:
        line += ["--kvm-param", parameter]
    if REFUSE.exists():
        line += ["--copy", f"{REFUSE}:{IN_LAB}"]
    line += ["--", "python3", "/opt/lab/soak.py", "--seed", str(seed),
             "--migrations", str(migrations)]
    return line + (["--fault", fault] if fault else [])


def reason(status, text):
    """Why a lab failed, in a few words; "" if it did not."""
    if status == 0:
        return ""
    wrong = re.search(r"^not ok .*$", text, re.M)
    if wrong:
        return wrong[0][:300]
    if status == 124:
        return "it took too long"
    failure = re.search(r"^lab: (LAB FAILURE.*)$", text, re.M)
    return failure[1] if failure else f"it ended with status {status}"


def outcome(status, text, wanted):
    """What came of a lab, from its exit status and what it printed."""
    done = [json.loads(line[len(MARK):]) for line in text.splitlines()
            if line.startswith(MARK)]
    why = reason(status, text)
    if not why and len(done) != wanted:
        why = f"it made {len(done)} of {wanted} migrations and says all is well"
    return {"migrations": len(done), "failure": why,
            "differ": sum(each["differ"] for each in done),
            "pages": sum(each["pages"] for each in done), "each": done}


def run(seed, migrations, lab, log, fault="", echo=False):
    """Boot that lab and soak in it; returns the record of it.  All it prints
    goes to a file."""
    began = time.monotonic()
    tested = version()
    with open(log, "w", encoding="utf-8") as out, subprocess.Popen(
            command(seed, migrations, lab, fault), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={"LAB_PATIENCE": PATIENCE, **os.environ}) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                out.write(line)
                out.flush()
                if echo:
                    print(line, end="", flush=True)
        except BaseException:
            # The lab stops its machines when it is told to end.
            process.terminate()
            raise
    return {"seed": seed, **lab, **tested,
            **outcome(process.returncode, "".join(lines), migrations),
            "seconds": round(time.monotonic() - began)}
