# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to break the tracker that the unit tests have to notice.

Each mutant is a set of edits (file, text, replacement), where the text must
occur exactly once in the file.  When the code has changed so that it does not,
adapt the mutant; do not drop it.
"""

# What runs against a mutant: (program, how it is built, GTest path or None)
RING = ('test-dirty-ring', 'plain', None)
RING_ASAN = ('test-dirty-ring', 'asan', None)
SCHEDULE = ('test-ring-schedule', 'plain', '/ring-schedule/fixed')
BARRIERS = ('test-ring-stress', 'tsan', '/ring-stress/barriers')
SLOTS = ('test-dirty-slots', 'plain', None)
SLOTS_ASAN = ('test-dirty-slots', 'asan', None)

R = 'dirty-ring.c'
S = 'dirty-slots.c'

PUBLISH = '    stage->ops->publish(stage->opaque, stage->entries, ' \
          'stage->used);\n'

MUTANTS = [
    # name, tests that all have to fail, edits
    ('publish-before-reset', [RING, SCHEDULE], [
        (R, PUBLISH, ''),
        (R, 'void dirty_ring_stage_commit(DirtyRingStage *stage)\n{\n',
         'void dirty_ring_stage_commit(DirtyRingStage *stage)\n{\n' +
         '    if (stage->used)\n' + PUBLISH)]),
    ('publish-nothing', [RING, SCHEDULE], [
        (R, PUBLISH, '')]),
    ('publish-twice', [RING], [
        (R, '    stage->used = 0;\n', '')]),
    ('skip-an-entry', [RING, SCHEDULE], [
        (R, '        ring->fetch++;\n',
         '        ring->fetch += count == 2 ? 2 : 1;\n')]),
    ('lose-the-last-entry', [RING, SCHEDULE], [
        (R, '    stage->used += count;\n',
         '    stage->used += count - (count > 3);\n')]),
    ('stop-early', [RING], [
        (R, 'count < ring->size;', 'count < ring->size - 1;')]),
    ('no-bound', [RING], [
        (R, 'count < ring->size;', 'true;')]),
    ('wrong-wrap', [RING, SCHEDULE], [
        (R, 'index & (ring->size - 1)', 'index % (ring->size - 1)')]),
    ('replug-starts-at-0', [RING, SCHEDULE], [
        (R, '    ring->owner = owner;\n',
         '    ring->owner = owner;\n    ring->fetch = 0;\n')]),
    ('detached-is-harvested', [RING], [
        (R, '    ring->gfns = NULL;\n', '')]),
    ('short-reset-is-fine', [RING, SCHEDULE], [
        (R, '    return false;\n', '    return true;\n')]),
    ('no-reprotect', [RING, SCHEDULE], [
        (R, '        stage->ops->reprotect(stage->opaque);\n', '')]),
    ('reset-for-ever', [RING], [
        (R, '++idle == RESET_TRIES', 'idle == RESET_TRIES')]),
    ('forget-unfinished-reset', [RING, SCHEDULE], [
        (R, 'if (!stage->used && !stage->unfinished)', 'if (!stage->used)')]),
    ('trust-number-after-unfinished', [RING], [
        (R, 'ret == left && !stage->unfinished', 'ret == left')]),
    ('not-marked', [RING, SCHEDULE], [
        (R, '        gfn_set_harvested(gfn);\n', '')]),
    ('marked-without-release', [BARRIERS], [
        (R, 'qatomic_store_release(&gfn->flags', 'qatomic_set(&gfn->flags')]),
    ('read-without-acquire', [BARRIERS], [
        (R, 'qatomic_load_acquire(&gfn->flags)',
         'qatomic_read(&gfn->flags)')]),
    ('read-after-mark', [BARRIERS], [
        (R, '        gfn_set_harvested(gfn);\n', ''),
        (R, '        out[count].slot = gfn->slot;\n',
         '        gfn_set_harvested(gfn);\n'
         '        out[count].slot = gfn->slot;\n')]),
    ('holds-off-by-one', [RING], [
        (R, 'ring->fetch + n - 1', 'ring->fetch + n')]),
    ('stage-too-small', [RING_ASAN], [
        (R, 'stage_reserve(stage, ring->size)',
         'stage_reserve(stage, ring->size - 1)')]),

    ('slots-one-page-too-many', [SLOTS, RING], [
        (S, 'offset >= map->', 'offset > map->')]),
    ('slots-one-space', [SLOTS, SCHEDULE], [
        (S, '    return key >> 16;\n', '    return key >> 17;\n')]),
    ('slots-unknown-space', [SLOTS_ASAN], [
        (S, 'if (as >= DIRTY_SLOTS_AS_MAX || id >=', 'if (id >=')]),
    ('slots-table-not-cleared', [SLOTS_ASAN], [
        (S, 'memset(&map->as[as].slots[old], 0, '
         '(grown - old) * sizeof(DirtySlot));', '')]),
    ('slots-table-too-small', [SLOTS_ASAN], [
        (S, 'MAX(id + 1, old * 2)', 'MAX(id, old * 2)')]),
    ('slots-table-end', [SLOTS_ASAN], [
        (S, 'id >= map->as[as].allocated', 'id > map->as[as].allocated')]),
]
