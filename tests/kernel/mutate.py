#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break patches/linux on purpose, and require that the selftests notice.

Each mutant of mutants.py is a series with one patch more, compiled by
scripts/kvm_modules.py and loaded in a lab of its own.  Prints TAP: the series
as it is, which must pass, then a result for each mutant.  A mutant whose text
is not found, or which does not compile, is a failure like one that survives.

Noticed means that the check fails: the program by an assertion, its own alarm,
or the check's limit.  A host that panics counts, and is told; a lab that runs
into its own limit does not.
"""

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Leave no __pycache__ in the source directory.
sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(TOP / 'scripts')]

import linux_source                                             # noqa: E402
import linux_tree                                               # noqa: E402
from common import Failure, build_lock                          # noqa: E402
from mutants import MUTANTS                                     # noqa: E402

LAB = TOP / 'tests' / 'lab' / 'run'
BUILD = TOP / 'scripts' / 'kvm_modules.py'
SELFTESTS = TOP / 'build' / 'lab' / 'kvm-selftests'
CHECK_LIMIT = 120               # seconds; on an idle machine 20 at most
LAB_FAILED = 125
RESULT = re.compile(r'(ok|not ok) \d+ - ([\w-]+): ')
RESULT_OF_OTHERS = re.compile(r'(ok|not ok) \d+')


class Broken(Exception):
    """The mutation run itself does not work."""


def patched_source(names):
    """{file: its text with patches/linux}"""
    linux_source.ensure()
    with build_lock('kernel mutants', 'kvm'):
        linux_tree.apply(linux_tree.series())
        found = {name: Path(linux_tree.SCRATCH, name).read_text('utf-8')
                 for name in names}
        shutil.rmtree(linux_tree.SCRATCH)
    return found


def edited(text, file, old, new):
    count = text.count(old)
    if count != 1:
        raise Broken(f'{file}: expected once, found {count} times: {old!r}; '
                     'adapt the mutant to the code')
    return text.replace(old, new)


def write_patch(path, name, source, edits):
    """What 'git am' takes, to come after the series."""
    texts = {}
    for file, old, new in edits:
        texts[file] = edited(texts.get(file, source[file]), file, old, new)
    with open(path, 'w', encoding='utf-8') as out:
        out.write(f'From: mutant <none>\nSubject: [PATCH] {name}\n\n---\n')
        for file, text in texts.items():
            out.write(f'diff --git a/{file} b/{file}\n')
            out.writelines(difflib.unified_diff(
                source[file].splitlines(True), text.splitlines(True),
                f'a/{file}', f'b/{file}'))


def build(name, source, edits, work):
    """The mutant's modules; returns their directory."""
    series = work / 'series'
    series.mkdir()
    for patch in linux_tree.series():
        shutil.copy(patch, series)
    write_patch(series / '9999-mutant.patch', name, source, edits)
    done = subprocess.run([BUILD, '--patches', series, '--out', work / 'kvm'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Broken('it does not compile:\n' + done.stdout)
    return work / 'kvm'


def run_checks(kvm, cpus, checks):
    """({check: (outcome, what it said)}, how the host died, if it did)"""
    command = [LAB, '--where', 'nested', '--kvm', kvm, '--smp', str(cpus),
               '--timeout', str(60 + CHECK_LIMIT * len(checks)),
               '--copy', f'{SELFTESTS}:/opt/kselftest', '--',
               'python3', '/opt/lab/kselftest.py',
               '--limit', str(CHECK_LIMIT), *checks]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    found = {}
    last = None
    for line in done.stdout.splitlines():
        result = RESULT.match(line)
        if result:
            last = result[2]
            outcome = 'skipped' if line.endswith(' skips itself') and \
                result[1] == 'ok' else result[1]
            found[last] = (outcome, [])
        elif RESULT_OF_OTHERS.match(line):
            last = None
        elif last and line.startswith('# '):
            found[last][1].append(line[2:])
    died = re.search(r'L1 kernel died.*', done.stderr)
    if died and done.returncode == LAB_FAILED:
        return found, died[0]
    if not set(checks) <= set(found):
        raise Broken(f'the lab ended with status {done.returncode}:\n' +
                     done.stdout[-2000:] + done.stderr[-2000:])
    return found, None


def reason(lines):
    """The most telling line of a check that failed."""
    signs = re.compile(r'took longer|the kernel said|status -')
    for i, line in enumerate(lines):
        if '==== Test Assertion Failure' in line:
            # Where it is, and last what it says; a backtrace in between.
            report = [text for text in lines[i + 1:] if text.startswith(' ')]
            return ' '.join(f'{report[0]} {report[-1]}'.split())
    return next((line for line in lines if signs.search(line)),
                lines[0] if lines else 'no reason given')


def judge(kvm, cpus, checks):
    """(whether every check failed, report lines)"""
    found, died = run_checks(kvm, cpus, checks)
    report = []
    noticed = True
    for check in checks:
        if check in found and found[check][0] == 'not ok':
            report.append(f'{check}: {reason(found[check][1])}')
        elif check in found or not died:
            noticed = False
            report.append(f'{check}: NOT NOTICED, {found[check][0]}')
    if died:
        noticed = True
        report.append(f'the host died: {died}')
    return noticed, report


def try_mutant(mutant, source):
    name, cpus, checks, edits = mutant
    with tempfile.TemporaryDirectory(prefix='kernel-mutant-') as work:
        try:
            return judge(build(name, source, edits, Path(work)), cpus, checks)
        except Broken as err:
            return False, str(err).splitlines()


def try_unbroken(mutants):
    """All the checks used must pass with the series as it is."""
    report = []
    good = True
    for cpus in sorted({m[1] for m in mutants}):
        checks = sorted({c for m in mutants if m[1] == cpus for c in m[2]})
        try:
            found, died = run_checks('patched', cpus, checks)
        except Broken as err:
            return False, str(err).splitlines()
        if died:
            return False, [died]
        for check in checks:
            outcome, lines = found[check]
            good &= outcome == 'ok'
            report.append(f'{check}, {cpus} CPU: {outcome}' + (
                '' if outcome == 'ok' else f', {reason(lines)}'))
    return good, report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('only', nargs='*', metavar='MUTANT',
                        help='of ' + ', '.join(m[0] for m in MUTANTS))
    args = parser.parse_args()
    unknown = set(args.only) - {m[0] for m in MUTANTS}
    if unknown:
        parser.error(f'no such mutant: {", ".join(sorted(unknown))}')
    todo = [m for m in MUTANTS if not args.only or m[0] in args.only]
    print(f'1..{len(todo) + 1}', flush=True)

    failed = 0

    def result(number, good, name, report):
        nonlocal failed
        failed += not good
        print(f'{"ok" if good else "not ok"} {number} - {name}')
        print('\n'.join('# ' + line for line in report), flush=True)

    good, report = try_unbroken(todo)
    result(1, good, 'the series as it is passes', report)
    if not good:
        print('Bail out! nothing to compare mutants with')
        return 1
    try:
        source = patched_source({e[0] for m in todo for e in m[3]})
    except Failure as err:
        print(f'Bail out! {" ".join(str(err).split())}')
        return 1
    for number, mutant in enumerate(todo, 2):
        noticed, report = try_mutant(mutant, source)
        result(number, noticed, mutant[0], report)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
