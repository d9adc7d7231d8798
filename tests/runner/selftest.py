#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does scripts/run-tests.py count right?  Prints TAP.

It runs the tests of a small meson project, which pass, fail and are skipped in
all the ways there are.  In CI a skipped test has failed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "lib")]

from dirtylab.tap import Tap            # noqa: E402

# name: what the test prints, its status, its protocol
TESTS = {
    "good": ("ok 1 - one\nok 2 - two\n1..2", 0, "tap"),
    "bad": ("ok 1 - one\nnot ok 2 - two\n1..2", 1, "tap"),
    "short": ("1..3\nok 1 - one", 1, "tap"),
    "some": ("ok 1 - one\nok 2 - two # SKIP no such mode\n1..2", 0, "tap"),
    "glib": ("1..1\nok 1 /a/b # SKIP no KVM", 0, "tap"),
    "whole": ("1..0 # SKIP needs root", 0, "tap"),
    "status": ("cannot run here: no svm", 77, "exitcode"),
    "plain": ("fine", 0, "exitcode"),
}
# What is said of each skipped one.
SKIPS = ["some: two: no such mode", "glib: /a/b: no KVM", "whole: needs root",
         "status: cannot run here: no svm"]

# A slow test that needs what takes long to build; here it cannot be built.
DEAR = """
dear = custom_target(output: 'dear', command: 'false', build_by_default: false)
test('slow-one', files('plain.sh'), suite: 'slow', depends: dear)
add_test_setup('default', is_default: true, exclude_suites: 'slow')
"""

# run-tests.py, with another build directory.
RUN = """
import importlib.util, os, sys
sys.path[:0] = [sys.argv[1]]
spec = importlib.util.spec_from_file_location(
    "run_tests", os.path.join(sys.argv[1], "run-tests.py"))
run_tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_tests)
run_tests.BUILD = sys.argv[2]
run_tests.LOG = os.path.join(sys.argv[2], "meson-logs", "testlog.json")
run_tests.SUMMARY = os.path.join(sys.argv[2], "test-summary")
del sys.argv[1:3]
sys.exit(run_tests.run())
"""


def project(where):
    """A meson project with all these tests, set up."""
    lines = ["project('counted')\n"]
    for name, (said, status, protocol) in TESTS.items():
        script = where / f"{name}.sh"
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {status}\n")
        script.chmod(0o755)
        lines.append(f"test('{name}', files('{name}.sh'), "
                     f"protocol: '{protocol}')\n")
    lines.append(DEAR)
    (where / "meson.build").write_text("".join(lines))
    subprocess.run(["/usr/bin/meson", "setup", where / "build", where],
                   check=True, stdout=subprocess.DEVNULL)
    return where / "build"


def counted(build, names, ci):
    """(status, what run-tests.py says, its summary) with CI as given."""
    env = {k: v for k, v in os.environ.items() if k != "CI"}
    if ci is not None:
        env["CI"] = ci
    done = subprocess.run(
        [sys.executable, "-c", RUN, TOP / "scripts", build, *names], env=env,
        text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout, (build / "test-summary").read_text()


def told(tap, what, found, status, summary, words=()):
    missing = [word for word in words if word not in found[1]]
    tap.ok(found[0] == status and found[2] == summary + "\n" and
           found[1].endswith(found[2]) and not missing,
           f"{what}: {summary}", [f"status {found[0]}, {found[2].strip()}",
                                  f"missing: {missing}",
                                  *found[1].splitlines()])


def main():
    tap = Tap()
    good = ["good", "plain"]
    skipped = ["some", "glib", "whole", "status"]
    with tempfile.TemporaryDirectory() as temp:
        build = project(Path(temp))
        told(tap, "all pass", counted(build, good, "true"), 0,
             "3 passed, 0 failed")
        # One of short's three was reported, the other two were not.
        told(tap, "some fail",
             counted(build, [*good, "bad", "short", *skipped], None), 1,
             "6 passed, 3 failed, 4 skipped",
             ["Failed:", "bad (ERROR)", "short (ERROR)", "not ok 2 - two",
              *SKIPS])
        told(tap, "skipped", counted(build, [*good, *skipped], "false"), 0,
             "4 passed, 0 failed, 4 skipped", SKIPS)
        told(tap, "one fails, and what slow tests need is not built",
             counted(build, [], "false"), 1,
             "6 passed, 3 failed, 4 skipped")
        told(tap, "skipped in CI", counted(build, [*good, *skipped], "true"),
             1, "4 passed, 4 failed", ["Failed:", *SKIPS])
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
