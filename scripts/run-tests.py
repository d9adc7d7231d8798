#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build, run meson's tests, and end with one line that counts them.

The counts come from meson's own log.  A test that speaks TAP counts once for
every subtest, any other test once.  The status is 0 only if something passed
and nothing failed.

A skipped test proves nothing.  In CI (CI=true in the environment), which has
all that tests need, it counts as failed.
"""

import json
import os
import re
import subprocess
import sys

from common import BUILD, Failure, build_environment, main, read_json, say

LOG = os.path.join(BUILD, "meson-logs", "testlog.json")
SUMMARY = os.path.join(BUILD, "test-summary")

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}


def speaks_tap():
    """Names of the tests that speak TAP, as meson's log writes names."""
    tests = read_json(os.path.join(BUILD, "meson-info", "intro-tests.json"), [])
    return {test["name"] for test in tests if test["protocol"] == "tap"}


def in_ci():
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def skipped_by(line):
    """What a line of TAP says was skipped, and why; None if nothing was."""
    found = re.match(r"(?:1\.\.0|ok\b *\d*(?: -)?([^#]*))\s*#\s*skip\S*(.*)",
                     line, re.I)
    if not found:
        return None
    return ": ".join(part.strip() for part in found.groups(default="")
                     if part.strip())


def count_tap(output):
    """(passed, failed, skipped, planned) of a TAP program's output; skipped
    are texts."""
    passed = failed = 0
    skipped = []
    planned = None
    for line in output.splitlines():
        skip = skipped_by(line)
        plan = re.match(r"1\.\.(\d+)", line)
        result = re.match(r"(not )?ok\b[^#]*(?:#\s*(\w+))?", line)
        if plan:
            planned = int(plan.group(1))
        if skip is not None:
            skipped.append(skip)
        elif result:
            expected = (result.group(2) or "").lower() == "todo"
            # A failure that is marked as expected is no failure; the reverse
            # is.
            if bool(result.group(1)) == expected:
                passed += 1
            else:
                failed += 1
    return passed, failed, skipped, planned


def test_name(entry):
    """Without project and suite, which the log puts in front."""
    return re.split(r" / |:", entry["name"])[-1].strip()


def count(entry, tap):
    """(passed, failed, skipped) of one test of the log; skipped are texts."""
    result = entry["result"]
    said = entry.get("stdout", "")
    if test_name(entry) in tap and said:
        passed, failed, skipped, planned = count_tap(said)
        if passed + failed + len(skipped):
            bad = result not in PASSED | SKIPPED
            if bad and not failed:
                # Crashed, timed out or stopped short of its plan.
                failed = max(1, (planned or 0) - passed - len(skipped))
            return passed, failed, skipped
    if result in PASSED:
        return 1, 0, []
    if result in SKIPPED:
        # Its last words say why.
        lines = (said + entry.get("stderr", "")).strip().splitlines()
        return 0, 0, [lines[-1] if lines else "no reason given"]
    return 0, 1, []


def explain(entry):
    """What a failed TAP test said about it; meson shows only standard error."""
    lines = entry.get("stdout", "").splitlines()
    wrong = [i for i, line in enumerate(lines) if line.startswith("not ok")]
    shown = set(range(max(0, len(lines) - 20), len(lines))) if not wrong else set()
    for i in wrong:
        shown.add(i)
        # Diagnostics stand before the result or after it.
        for step in (-1, 1):
            j = i + step
            while 0 <= j < len(lines) and abs(j - i) <= 20 and \
                    lines[j].startswith("#"):
                shown.add(j)
                j += step
    return [lines[i] for i in sorted(shown)]


def summarize():
    """Totals, names of failed tests and of skipped ones, and what the failed
    ones said."""
    passed = failed = 0
    failures, skips, details = [], [], []
    tap = speaks_tap()
    try:
        with open(LOG, encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        entries = []
    for entry in entries:
        good, bad, skipped = count(entry, tap)
        passed += good
        failed += bad
        skips += [f"{entry['name']}: {text}" for text in skipped]
        if bad:
            failures.append(f"{entry['name']} ({entry['result']})")
            if test_name(entry) in tap:
                details += [f"--- {entry['name']}", *explain(entry)]
    if in_ci():
        failures += [f"skipped, in CI: {text}" for text in skips]
        failed += len(skips)
        skips = []
    return [passed, failed, len(skips)], failures, skips, details


def finish(total):
    passed, failed, skipped = total
    line = f"{passed} passed, {failed} failed"
    if skipped:
        line += f", {skipped} skipped"
    with open(SUMMARY, "w", encoding="utf-8") as output:
        output.write(line + "\n")
    print(line, flush=True)


def selected():
    """Names of the tests that meson would run.  Given names, it builds only
    what these need; of the slow tests one needs another QEMU."""
    listed = subprocess.run(
        ["/usr/bin/meson", "test", "-C", BUILD, "--list"] + sys.argv[1:],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env=build_environment(), check=False)
    return [line.rsplit(" / ", 1)[1] for line in listed.stdout.splitlines()
            if " / " in line]


def run():
    for stale in (LOG, SUMMARY):
        if os.path.exists(stale):
            os.unlink(stale)
    if subprocess.run(["ninja", "--quiet", "-C", BUILD], check=False,
                      env=build_environment()).returncode:
        print("The build failed; no test was run.")
        finish([0, 1, 0])
        return 1
    say("Running the tests")
    command = ["/usr/bin/meson", "test", "-C", BUILD,
               "--print-errorlogs"] + sys.argv[1:] + selected()
    status = subprocess.run(command, stdin=subprocess.DEVNULL,
                            env=build_environment(), check=False).returncode
    total, failures, skips, details = summarize()
    if status and not total[1]:
        failures.append(f"meson test ended with status {status}")
        total[1] += 1
    if not sum(total):
        raise Failure("no test was run")
    print()
    if failures:
        if details:
            print("\n".join(details) + "\n")
        print("Failed:")
        print("".join(f"  {name}\n" for name in failures), end="")
        print(f"Full output: {os.path.join(BUILD, 'meson-logs', 'testlog.txt')}")
    if skips:
        print("Not run to their end, and prove nothing:")
        print("".join(f"  {text}\n" for text in skips), end="")
    say("Done")
    finish(total)
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    main(run)
