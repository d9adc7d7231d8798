#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build, run meson's tests, and end with one line that counts them.

The counts come from meson's own log.  A test that speaks TAP counts once for
every subtest, any other test once.  The status is 0 only if something passed
and nothing failed.
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


def count_tap(output):
    """(passed, failed, skipped, planned) of a TAP program's output."""
    passed = failed = skipped = 0
    planned = None
    for line in output.splitlines():
        plan = re.match(r"1\.\.(\d+)\s*(#\s*skip)?", line, re.I)
        if plan:
            planned = int(plan.group(1))
            continue
        result = re.match(r"(not )?ok\b([^#]*)(?:#\s*(\w+))?", line)
        if not result:
            continue
        directive = (result.group(3) or "").lower()
        if directive.startswith("skip"):
            skipped += 1
        # A failure that is marked as expected is no failure; the reverse is.
        elif bool(result.group(1)) == (directive == "todo"):
            passed += 1
        else:
            failed += 1
    return passed, failed, skipped, planned


def test_name(entry):
    """Without project and suite, which the log puts in front."""
    return re.split(r" / |:", entry["name"])[-1].strip()


def count(entry, tap):
    """(passed, failed, skipped) of one test of the log."""
    result = entry["result"]
    if test_name(entry) in tap and entry.get("stdout"):
        passed, failed, skipped, planned = count_tap(entry["stdout"])
        if passed + failed + skipped:
            bad = result not in PASSED | SKIPPED
            if bad and not failed:
                # Crashed, timed out or stopped short of its plan.
                failed = max(1, (planned or 0) - passed - skipped)
            return passed, failed, skipped
    if result in PASSED:
        return 1, 0, 0
    if result in SKIPPED:
        return 0, 0, 1
    return 0, 1, 0


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
    """Totals, names of failed tests, and what those said."""
    total = [0, 0, 0]
    failures = []
    details = []
    tap = speaks_tap()
    try:
        with open(LOG, encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        entries = []
    for entry in entries:
        counted = count(entry, tap)
        total = [a + b for a, b in zip(total, counted)]
        if counted[1]:
            failures.append(f"{entry['name']} ({entry['result']})")
            if test_name(entry) in tap:
                details += [f"--- {entry['name']}", *explain(entry)]
    return total, failures, details


def finish(total):
    passed, failed, skipped = total
    line = f"{passed} passed, {failed} failed"
    if skipped:
        line += f", {skipped} skipped"
    with open(SUMMARY, "w", encoding="utf-8") as output:
        output.write(line + "\n")
    print(line, flush=True)


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
               "--print-errorlogs"] + sys.argv[1:]
    status = subprocess.run(command, stdin=subprocess.DEVNULL,
                            env=build_environment(), check=False).returncode
    total, failures, details = summarize()
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
    if total[2]:
        print("Skipped tests were not run to their end and prove nothing; "
              "the log says why.")
    say("Done")
    finish(total)
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    main(run)
