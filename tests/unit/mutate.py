#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break the code under test on purpose, and require that the tests notice.

Reports in TAP, one result a mutant.  A mutant whose text is not found, or
which does not compile, is a failure like one that survives.
"""

import argparse
import concurrent.futures
import importlib
import os
import shutil
import subprocess
import sys
import tempfile

# Leave no __pycache__ in the source directory.
sys.dont_write_bytecode = True

SANITIZE = {
    'plain': [],
    'asan': ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    'tsan': ['-fsanitize=thread'],
}
# Where the code under test is, below the root.
OURS = ['accel', 'include', 'migration', 'util']
RUN_TIMEOUT = 40                # seconds; a mutant may well hang


class Broken(Exception):
    """The mutation run itself does not work."""


def glib(what):
    return subprocess.check_output(['pkg-config', what, 'glib-2.0'],
                                   text=True).split()


class Builder:
    """Compiles and links the test programs, against any copy of the code."""

    def __init__(self, args, mutants, work):
        self.args = args
        self.mutants = mutants
        self.work = work
        self.whole = os.path.join(work, 'unchanged')    # the code as it is
        self.support = [os.path.join(args.tests, name + '.c')
                        for name in mutants.SUPPORT] + args.also
        self.cflags = glib('--cflags')
        self.libs = glib('--libs')
        self.objects = {}

    def run(self, command):
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Broken(f'{" ".join(command)}:\n{done.stdout}')

    def compile(self, source, variant, out_dir):
        """Headers in OUT_DIR come before all others."""
        name = os.path.basename(source).removesuffix('.c')
        if source.startswith(out_dir + os.sep):
            # Files of two directories may have one name.
            name = source[len(out_dir) + 1:-2].replace(os.sep, '_')
        out = os.path.join(out_dir, f'{name}-{variant}.o')
        options = [arg.startswith('-') for arg in self.args.cc + ['-']]
        first = options.index(True)
        self.run(self.args.cc[:first] + ['-iquote', out_dir] +
                 self.args.cc[first:] + SANITIZE[variant] +
                 ['-O1', '-g', '-w', '-pthread', '-I', self.args.tests] +
                 self.cflags + ['-c', source, '-o', out])
        return out

    def object(self, source, variant, out_dir):
        """Compile, but once: a mutant is linked to several programs."""
        key = source, variant, out_dir
        if key not in self.objects:
            self.objects[key] = self.compile(*key)
        return self.objects[key]

    def prepare(self, programs):
        """Compile what no mutant changes, and the code as it is."""
        jobs = set()
        for program, variant, _ in programs:
            own = os.path.join(self.args.tests, program + '.c')
            jobs |= {(source, variant, self.work)
                     for source in [own] + self.support}
            jobs |= {(os.path.join(self.whole, name + '.c'), variant,
                      self.whole) for name in self.mutants.SOURCES}

        def job(key):
            return self.object(*key)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(job, sorted(jobs)))

    def link(self, program, variant, source_dir, changed=()):
        """Of the code, the files CHANGED are to be taken from SOURCE_DIR.

        If a header is among them, whatever may include it is compiled again.
        """
        headers = any(file.endswith('.h') for file in changed)
        out = os.path.join(source_dir, f'{program}-{variant}')
        own = os.path.join(self.args.tests, program + '.c')
        objects = [self.object(source, variant,
                               source_dir if headers else self.work)
                   for source in [own] + self.support]
        for name in self.mutants.SOURCES:
            where = source_dir if headers or name + '.c' in changed \
                else self.whole
            objects.append(self.object(os.path.join(where, name + '.c'),
                                       variant, where))
        self.run(self.args.cc + SANITIZE[variant] + objects + ['-o', out] +
                 self.libs + ['-pthread', '-lm'])
        return out


def failure(program, path):
    """Run; what failed, or None if all is well."""
    env = dict(os.environ, LC_ALL='C')
    # Results are for us to judge, not for the environment to change.
    for name in ('DIRTY_SEED', 'DIRTY_STRESS_ROUNDS', 'DIRTY_FUZZ_SECONDS'):
        env.pop(name, None)
    command = [program] + (['-p', path] if path else [])
    if program.endswith('-tsan') and no_aslr_works():
        command = ['setarch', '-R'] + command
    try:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=RUN_TIMEOUT,
                              env=env, check=False, errors='replace')
    except subprocess.TimeoutExpired:
        return f'did not end within {RUN_TIMEOUT} s'
    if done.returncode == 0:
        return None
    for line in done.stdout.splitlines():
        for sign in ('FATAL-ERROR: ', 'Bail out! ERROR:', 'runtime error: ',
                     'ERROR: AddressSanitizer: ',
                     'WARNING: ThreadSanitizer: '):
            if sign in line:
                return line.split(sign, 1)[1]
    # On one line: it becomes a comment in our own output.
    return f'status {done.returncode}: {" ".join(done.stdout.split())[-300:]}'


def no_aslr_works():
    """Old thread sanitizers want fewer random address bits than some have."""
    return subprocess.run(['setarch', '-R', 'true'], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def headers(tree):
    """All of ours: a copied source finds those beside it only there."""
    for directory in OURS:
        for where, _, names in os.walk(os.path.join(tree, directory)):
            for name in names:
                if name.endswith('.h'):
                    yield os.path.relpath(os.path.join(where, name), tree)


def copy_code(args, mutants, to):
    """All that a mutant may edit, where '#include "..."' finds it first."""
    for name in [name + '.c' for name in mutants.SOURCES] + \
            list(headers(args.tree)):
        source = os.path.join(args.tree, name)
        if not os.path.exists(source):
            raise Broken(f'{name} is not in {args.tree}')
        # Files in include/ are included by their name below it.
        target = os.path.join(to, name.removeprefix('include/'))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(source, target)


def edit(directory, file, old, new):
    path = os.path.join(directory, file.removeprefix('include/'))
    with open(path, encoding='utf-8') as f:
        text = f.read()
    count = text.count(old)
    if count != 1:
        raise Broken(f'{file}: expected once, found {count} times: {old!r}; '
                     f'adapt the mutant to the code')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.replace(old, new))


def try_mutant(args, builder, mutant):
    """Returns (killed, report lines)."""
    name, programs, edits = mutant
    directory = os.path.join(builder.work, name)
    changed = {file for file, _, _ in edits}
    report = []
    killed = True
    try:
        copy_code(args, builder.mutants, directory)
        for file, old, new in edits:
            edit(directory, file, old, new)
        for program, variant, path in programs:
            built = builder.link(program, variant, directory, changed)
            chances = builder.mutants.CHANCES.get((program, variant, path), 1)
            for _ in range(chances):
                why = failure(built, path)
                if why:
                    break
            report.append(f'{program} ({variant}): {why or "NOT NOTICED"}')
            killed = killed and why is not None
    except Broken as e:
        return False, report + str(e).splitlines()
    return killed, report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mutants', default='mutants',
                        help='module that lists them')
    parser.add_argument('--tree', required=True,
                        help='root of the tree with the code under test')
    parser.add_argument('--also', default=[], action='append',
                        help='source file to link')
    parser.add_argument('--tests', required=True,
                        help='directory of the unit tests')
    parser.add_argument('--only', help='try this mutant alone')
    parser.add_argument('cc', nargs='+', help='compiler with its options')
    args = parser.parse_args()
    mutants = importlib.import_module(args.mutants)

    todo = [m for m in mutants.MUTANTS if args.only in (None, m[0])]
    if not todo:
        sys.exit(f'mutate.py: --only={args.only}: no such mutant; there are: '
                 + ' '.join(m[0] for m in mutants.MUTANTS))
    programs = {p for m in todo for p in m[1]}

    with tempfile.TemporaryDirectory(prefix='mutants-') as work:
        builder = Builder(args, mutants, work)
        print(f'1..{len(todo)}', flush=True)
        try:
            copy_code(args, mutants, builder.whole)
            builder.prepare(programs)
            for program, variant, path in programs:
                why = failure(builder.link(program, variant, builder.whole), path)
                if why:
                    raise Broken(f'{program} ({variant}) fails already '
                                 f'without a mutation: {why}')
        except Broken as e:
            print('\n'.join('# ' + line for line in str(e).splitlines()))
            print('Bail out! nothing to compare mutants with')
            return 1

        survived = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda m: try_mutant(args, builder, m), todo)
            for i, (mutant, (killed, report)) in enumerate(
                    zip(todo, results), 1):
                survived += not killed
                print(f'{"ok" if killed else "not ok"} {i} {mutant[0]}')
                for line in report:
                    print('# ' + line, flush=True)
    return 1 if survived else 0


if __name__ == '__main__':
    sys.exit(main())
