# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to break the dirty summary that the unit tests have to notice.

As in mutants.py.  A barrier that is missing shows on no x86 machine, as the
atomic operations before it are barriers there; an order that is wrong does.
"""

SOURCES = ['migration/dirty-summary']
SUPPORT = ['summary-model']

ALONE = ('test-dirty-summary', 'plain', None)
FIND = ('test-dirty-summary', 'plain', '/dirty-summary/find')
ASAN = ('test-dirty-summary', 'asan', None)
TURNS = ('test-summary-stress', 'plain', '/summary-stress/turns')
COLD_ASAN = ('test-summary-stress', 'asan', '/summary-stress/cold')
THREADS = ('test-summary-stress', 'plain', None)

C = 'migration/dirty-summary.c'
H = 'include/exec/dirty-summary.h'

SET = '    qatomic_or(&block[word], bits);\n'
MARK = '        qatomic_or(marks, BIT_MASK(chunk));\n'
UNMARK = '        qatomic_and(marks, ~(live & whole));\n'

# How often a test may be run until it notices, other than once: where threads
# have to meet at the right moment, which on a busy machine they seldom do.
CHANCES = {TURNS: 10, THREADS: 3}

MUTANTS = [
    # name, tests that all have to fail, edits

    # Setters
    ('no-mark', [ALONE, THREADS], [(H, MARK, '')]),
    ('mark-first', [TURNS], [
        (H, SET, ''),
        (H, MARK + '    }\n', MARK + '    }\n' + SET)]),
    ('mark-only-news', [ALONE], [
        (H, SET, '    if ((qatomic_fetch_or(&block[word], bits) & bits) == '
                 'bits) {\n        return;\n    }\n')]),
    ('mark-not-atomic', [THREADS], [
        (H, MARK, '        unsigned long was = qatomic_read(marks);\n'
                  '        sched_yield();\n'
                  '        qatomic_set(marks, was | BIT_MASK(chunk));\n')]),
    ('mark-next-chunk', [ALONE], [
        (H, 'word * BITS_PER_LONG >> DIRTY_CHUNK_SHIFT',
            '(word + 1) * BITS_PER_LONG >> DIRTY_CHUNK_SHIFT')]),
    ('set-first-word-only', [ALONE], [(H, '        n -= some;\n',
                                          '        n = 0;\n')]),
    ('set-from-bit-0', [ALONE], [(H, ' - some) << shift)', ' - some))')]),

    # Marks and the consumer
    ('unmark-what-is-shared', [ALONE, THREADS], [
        (C, UNMARK, '        qatomic_and(marks, ~(live & any));\n'),
        (C, 'if (live & whole)', 'if (live & any)')]),
    ('unmark-too-much', [ALONE], [
        (C, UNMARK, '        qatomic_and(marks, ~live);\n')]),
    ('unmark-all', [TURNS], [
        (C, UNMARK, '        qatomic_set(marks, 0);\n')]),
    ('unmark-never', [ALONE], [(C, UNMARK, '')]),
    ('unmark-afterwards', [TURNS], [
        (C, UNMARK, ''),
        (C, '    return live & any;\n',
         '    for (unsigned long l = live & any; l; l &= l - 1) {\n'
         '        unsigned long page = (word * BITS_PER_LONG + ctzl(l)) <<\n'
         '                             DIRTY_CHUNK_SHIFT;\n'
         '        take_bits(sync, &(Part) {\n'
         '            part->block, part->origin, MAX(part->from, page),\n'
         '            MIN(part->to, page + DIRTY_CHUNK_PAGES) });\n'
         '    }\n'
         '    qatomic_and(marks, ~(live & whole));\n'
         '    return 0;\n')]),
    ('ends-rounded-down', [ALONE], [
        (C, 'DIV_ROUND_UP(part->to, DIRTY_CHUNK_PAGES));\n    if (sync',
         'part->to >> DIRTY_CHUNK_SHIFT);\n    if (sync')]),
    ('first-chunk-is-whole', [ALONE], [
        (C, 'word_mask(word, DIV_ROUND_UP(part->from, DIRTY_CHUNK_PAGES),',
         'word_mask(word, part->from >> DIRTY_CHUNK_SHIFT,')]),
    ('last-chunk-is-whole', [ALONE], [
        (C, '                      part->to >> DIRTY_CHUNK_SHIFT);',
         '                      DIV_ROUND_UP(part->to, DIRTY_CHUNK_PAGES));')]),
    ('last-word-forgotten', [ALONE], [
        (C, 'for (; word <= last; word++)', 'for (; word < last; word++)')]),
    ('off-is-on', [ALONE], [
        (C, '    if (sync->scan_all) {\n', '    if (false) {\n')]),
    ('batch-lost', [ALONE, THREADS], [
        (C, '    take_batch(sync, &batch);\n}', '}')]),
    ('batch-too-small', [ALONE], [
        (C, '        take_batch(sync, batch);\n    }\n    batch->parts',
         '        batch->n = 0;\n    }\n    batch->parts')]),
    ('block-twice', [ALONE], [
        (C, '.block = sync->blocks[index],', '.block = sync->blocks[0],')]),
    ('ahead-of-the-end', [COLD_ASAN], [
        (C, '        if ((index + AHEAD) * DIRTY_SUMMARY_BLOCK_PAGES < end) {',
         '        if (true) {')]),

    # Taking bits
    ('take-not-atomic', [TURNS], [
        (C, 'qatomic_xchg(data, 0)',
         '({ unsigned long b = qatomic_read(data);'
         ' qatomic_set(data, 0); b; })')]),
    ('take-the-whole-word', [ALONE], [
        (C, 'bits = mask == ~0UL ? qatomic', 'bits = true ? qatomic')]),
    ('take-and-leave', [ALONE], [
        (C, 'qatomic_fetch_and(data, ~mask) & mask', '*data & mask')]),
    ('take-and-clear-others', [ALONE], [
        (C, 'qatomic_fetch_and(data, ~mask)', 'qatomic_fetch_and(data, mask)')]),
    ('taken-not-told', [ALONE], [(C, '            sync->taken = true;\n', '')]),
    ('mask-too-short', [ALONE], [
        (C, '(BITS_PER_LONG - (to - from)) << (from - base)',
         '(BITS_PER_LONG - (to - from)) >> (from - base)')]),

    # The sender's bitmap
    ('count-what-was-there', [ALONE], [
        (C, 'ctpopl(bits & ~old)', 'ctpopl(bits)')]),
    ('merge-overwrites', [ALONE], [(C, 'old | bits;', 'bits;')]),
    ('merge-half', [ALONE], [
        (C, 'if (shift && bits >> (BITS_PER_LONG - shift)) {',
         'if (false) {')]),
    ('merge-shift-64', [ASAN], [
        (C, 'if (shift && bits >>', 'if (bits >>')]),
    ('merge-no-mark', [ALONE, THREADS], [
        (C, '        set_bit(word * BITS_PER_LONG >> DIRTY_CHUNK_SHIFT, '
            'sync->bmap_summary);\n', '')]),
    ('find-unmarks-half-1', [FIND], [(C, 'start == first && ', '')]),
    ('find-unmarks-half-2', [FIND], [(C, ' && next <= end', '')]),
    ('find-never-unmarks', [FIND], [
        (C, '            clear_bit(chunk, summary);\n', '')]),
    ('find-skips', [FIND], [(C, 'chunks, chunk + 1);', 'chunks, chunk + 2);')]),
    ('mark-first-only', [FIND], [
        (C, 'bitmap_set(summary, chunk, last - chunk + 1);',
         'bitmap_set(summary, chunk, 1);')]),

    # The check itself
    ('check-blind', [ALONE], [
        (C, '        if (sync->unmarked || ms == SETTER_MS) {',
         '        if (ms == 0) {\n            return false;\n        }\n'
         '        if (sync->unmarked || ms == SETTER_MS) {')]),
    ('check-impatient', [ALONE], [
        (C, '#define SETTER_MS 1000', '#define SETTER_MS 0')]),
    ('check-loses', [ALONE], [
        (C, '            found |= chunks & -chunks;\n', '')]),
    ('repair-counts-marked', [ALONE], [
        (C, 'wrong += !test_and', 'wrong += 1 + !test_and')]),
]
