# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to break the tracker that the unit tests have to notice.

Each mutant is a set of edits (file, text, replacement), where the text must
occur exactly once in the file.  When the code has changed so that it does not,
adapt the mutant; do not drop it.
"""

# What mutants edit, besides headers, and what the programs need: without .c
ROOMS = 'accel/kvm/dirty/'
SOURCES = [ROOMS + name for name in ('ring/pace', 'ring/ring', 'ring/sort',
                                     'slots')]
SUPPORT = ['ring-model', 'log-model', 'ring-recorder', 'dirty-sim', 'pace-sim',
           'pace-run']

# What runs against a mutant: (program, how it is built, GTest path or None)
RING = ('test-dirty-ring', 'plain', None)
ORDER = ('test-ring-order', 'plain', None)
RING_SLOTS = ('test-ring-slots', 'plain', None)
RESET = ('test-ring-reset', 'plain', None)
RING_ASAN = ('test-dirty-ring', 'asan', None)
ORDER_ASAN = ('test-ring-order', 'asan', None)
RING_SLOTS_ASAN = ('test-ring-slots', 'asan', None)
SCHEDULE = ('test-ring-schedule', 'plain', '/ring-schedule/fixed')
BARRIERS = ('test-ring-stress', 'tsan', '/ring-stress/barriers')
SLOTS = ('test-dirty-slots', 'plain', None)
SLOTS_ASAN = ('test-dirty-slots', 'asan', None)
SORT = ('test-dirty-sort', 'plain', None)
PACE = ('test-dirty-pace', 'plain', None)
PACE_RINGS = ('test-pace-rings', 'plain', None)
PACE_HOST = ('test-pace-host', 'plain', None)

# For what shows wherever rings, or rates, are tested
RINGS = [RING, ORDER, RING_SLOTS, RESET]
PACES = [PACE, PACE_RINGS, PACE_HOST]

R = ROOMS + 'ring/ring.c'
S = ROOMS + 'slots.c'
P = ROOMS + 'ring/pace.c'
O = ROOMS + 'ring/sort.c'
W = ROOMS + 'words.h'

PUBLISH = '    stage->ops->publish(stage->opaque, stage->keys, ' \
          'stage->used);\n'

# How often a test may be run until it notices, other than once: where threads
# have to meet at the right moment, which on a busy machine they seldom do.
CHANCES = {BARRIERS: 3}

MUTANTS = [
    # name, tests that all have to fail, edits
    ('publish-before-reset', [RING, ORDER, RESET, SCHEDULE], [
        (R, PUBLISH, ''),
        (R, 'void dirty_ring_stage_commit(DirtyRingStage *stage)\n{\n',
         'void dirty_ring_stage_commit(DirtyRingStage *stage)\n{\n' +
         '    if (stage->used)\n' + PUBLISH)]),
    ('publish-nothing', RINGS + [SCHEDULE], [
        (R, PUBLISH, '')]),
    ('publish-twice', RINGS, [
        (R, '    stage->used = 0;\n', '')]),
    ('skip-an-entry', [RING, ORDER, RING_SLOTS, SCHEDULE], [
        (R, '    ring->fetch += count;\n',
         '    ring->fetch += count + (count == 3);\n')]),
    ('lose-the-last-entry', RINGS + [SCHEDULE], [
        (R, '    stage->used += count;\n',
         '    stage->used += count - (count > 3);\n')]),
    ('stop-early', [RING, ORDER, RING_SLOTS], [
        (R, 'ring->fetch, keys, ring->size, &stray)',
         'ring->fetch, keys, ring->size - 1, &stray)')]),
    ('no-bound', [RING], [
        (R, 'count < max;', 'true;')]),
    ('wrong-wrap', RINGS + [SCHEDULE], [
        (R, 'index & (ring->size - 1)', 'index % (ring->size - 1)')]),
    ('replug-starts-at-0', RINGS + [SCHEDULE], [
        (R, '    ring->owner = owner;\n',
         '    ring->owner = owner;\n    ring->fetch = 0;\n')]),
    ('detached-is-harvested', [RING], [
        (R, '    ring->gfns = NULL;\n', '')]),
    ('short-reset-is-fine', [RESET, SCHEDULE], [
        (R, '    return false;\n', '    return true;\n')]),
    ('no-reprotect', [RESET, SCHEDULE], [
        (R, '        stage->ops->reprotect(stage->opaque);\n', '')]),
    ('reset-for-ever', [RESET], [
        (R, '++idle == RESET_TRIES', 'idle == RESET_TRIES')]),
    ('forget-unfinished-reset', [RESET, SCHEDULE], [
        (R, 'if (!stage->used && !stage->unfinished)', 'if (!stage->used)')]),
    ('trust-number-after-unfinished', [RESET], [
        (R, 'ret == left && !stage->unfinished', 'ret == left')]),
    ('not-marked', RINGS + [SCHEDULE], [
        (R, '        gfn_set_harvested(gfn);\n', '')]),
    ('marked-without-release', [BARRIERS], [
        (R, 'qatomic_store_release(&gfn->flags', 'qatomic_set(&gfn->flags')]),
    ('read-without-acquire', [BARRIERS], [
        (R, 'qatomic_load_acquire(&gfn->flags)',
         'qatomic_read(&gfn->flags)')]),
    ('write-after-mark', [BARRIERS], [
        (R, '        gfn_set_harvested(gfn);\n', ''),
        (R, '        if (keys) {\n',
         '        gfn_set_harvested(gfn);\n        if (keys) {\n')]),
    ('holds-off-by-one', RINGS, [
        (R, 'ring->fetch + n - 1', 'ring->fetch + n')]),
    ('stage-too-small', [RING_ASAN, ORDER_ASAN, RING_SLOTS_ASAN], [
        (R, 'stage_reserve(stage, ring->size)',
         'stage_reserve(stage, ring->size - 1)')]),

    ('fill-off-by-one', [RING], [
        (R, 'high = middle - 1;', 'high = middle;\n            break;')]),
    ('look-again', [ORDER], [
        (R, '    ring->looked += count;\n', '')]),
    ('look-behind-harvest', [ORDER], [
        (R, 'if (ring->looked - ring->fetch > ring->size)', 'if (false)')]),
    ('look-when-detached', [ORDER], [
        (R, '    bool stray;\n\n    if (!ring->gfns) {\n'
         '        return 0;\n', '    bool stray;\n\n'
         '    if (false) {\n')]),
    ('sorted-not-kept', [ORDER], [
        (R, '        memcpy(keys, sorted, count * sizeof(*keys));\n', '')]),
    ('not-written-back', [ORDER], [
        (R, '    ring_mark(ring, sorted, count);\n',
         '    ring_mark(ring, NULL, count);\n')]),
    ('sort-what-does-not-fit', [ORDER], [
        (R, '    if (!stray) {\n', '    {\n')]),
    ('not-sorted', [ORDER], [
        (R, '    if (!stray) {\n', '    if (false) {\n')]),

    ('sort-few-only', [SORT], [
        (O, 'if (n < FEW) {', 'if (true) {'),
        (O, 'size_t j = i;', 'size_t j = i < FEW ? i : 0;')]),
    ('sort-first-digit-only', [SORT], [
        (O, '    *bits = rest;\n', '    *bits = 0;\n')]),
    ('sort-loses-digit', [SORT], [
        (O, '        rest &= ~mask;\n', '        rest = 0;\n')]),
    ('sort-wrong-room', [SORT], [
        (O, '        keys = sorted;\n', '')]),
    ('words-lost-at-change', [SORT], [
        (W, 'while (++walk->next < walk->end && *walk->next - first < ',
         'while (++walk->next < walk->end && *walk->next++ - first < ')]),
    ('words-beyond-slot', [SORT], [
        (W, 'MIN(64 - page % 64, walk->slot->npages - offset)',
         '64 - page % 64')]),
    ('words-before-slot', [SORT], [
        (W, 'MIN(page % 64, offset)', 'page % 64')]),
    ('words-stale-slot', [SORT], [
        (W, 'walk->slot && walk->slot_key == slot_key', 'walk->slot')]),
    ('words-end-of-slot', [SORT], [
        (W, 'return offset < walk->slot->npages;', 'return true;')]),
    ('words-one-by-one', [SORT], [
        (W, '< before + after)', '< 0)')]),

    ('slots-one-page-too-many', [SLOTS, RING_SLOTS], [
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

    ('pace-no-reserve', PACES, [
        (P, 'return MAX(ring->room - reserve,', 'return MAX(ring->room,')]),
    ('pace-half-full', PACES, [
        (P, 'return MAX(ring->room - reserve,', 'return MAX(0,')]),
    ('pace-no-half', PACES, [
        (P, 'MAX(ring->room - reserve, ring->room / 2 + ring_slack(ring))',
         'ring->room - reserve')]),
    ('pace-lateness-ignored', [PACE, PACE_HOST], [
        (P, '    max_add(&pace->late, now, late);\n', '')]),
    ('pace-late-for-ever', [PACE, PACE_HOST], [
        (P, '        max->recent = 0;\n', '')]),
    ('pace-duration-ignored', PACES, [
        (P, '        max_add(&pace->work, now, (now - begin) * 1000 / used);\n',
         '')]),
    ('pace-rate-rises-slowly', PACES, [
        (P, 'MAX(rate, decay(ring->rate, dt, PACE_RATE_DECAY))',
         '(rate + 7 * ring->rate) / 8')]),
    ('pace-rate-for-ever', [PACE], [
        (P, 'decay(ring->rate, dt, PACE_RATE_DECAY)', 'ring->rate')]),
    ('pace-rate-forgotten', [PACE], [
        (P, 'MAX(rate, decay(ring->rate, dt, PACE_RATE_DECAY))', 'rate')]),
    ('pace-no-floor', [PACE], [
        (P, 'return MAX(ring->rate, PACE_RATE_FLOOR);',
         'return MAX(ring->rate, 1);')]),
    ('pace-no-probe', [PACE, PACE_RINGS], [
        (P, '    if (ring->probe) {', '    if (false) {')]),
    ('pace-always-probe', [PACE, PACE_HOST], [
        (P, '    if (ring->probe) {', '    if (true) {')]),
    ('pace-no-slack', [PACE, PACE_HOST], [
        (P, 'ring_target(pace, ring) - ring_slack(ring);',
         'ring_target(pace, ring);')]),
    ('pace-one-at-a-time', [PACE_RINGS], [
        (P, 'ring->fill >= ring_target(pace, ring) * 3 / 4;',
         'ring_is_due(pace, ring);')]),
    ('pace-take-all', [PACE_RINGS], [
        (P, 'ring->fill >= ring_target(pace, ring) * 3 / 4;', 'true;')]),
    ('pace-first-ring-only', [PACE_RINGS], [
        (P, '        if (mine < sleep) {', '        if (mine < sleep && !i) {')]),
    ('pace-detached-is-watched', [PACE_RINGS], [
        (P, '        ring->since = 0;\n    }\n    ring->room',
         '    }\n    ring->room')]),
    ('pace-standstill-counts', [PACE, PACE_RINGS], [
        (P, '        /* The vCPU stands still: that time does not count. */\n'
         '        pace_ring(pace, i)->since = 0;\n', '')]),
    ('pace-no-cap', [PACE_HOST], [
        (P, '    pace->budget -= spent;\n', '')]),
    ('pace-cap-twice', [PACE_HOST], [
        (P, '/ 1000 * DIRTY_PACE_CPU_CAP;', '/ 500 * DIRTY_PACE_CPU_CAP;')]),
    ('pace-budget-saved-up', [PACE_HOST], [
        (P, 'MIN(pace->budget + earned, PACE_BUDGET_MAX)',
         'pace->budget + earned')]),
    ('pace-looks-at-any-price', [PACE_HOST], [
        (P, 'if (sleep < pace->look * PACE_LOOK_SLEEP) {', 'if (false) {')]),
    ('pace-misses-not-counted', [PACE_RINGS], [
        (P, '    pace->stats.misses++;\n', '')]),
    ('pace-early-miscounted', [PACE_HOST], [
        (P, 'if (pace->timed && !pace->due)', 'if (pace->timed)')]),
    ('pace-lead-miscounted', [PACE_HOST], [
        (P, '    stats->lead_sum += lead;\n', '')]),
    ('pace-share-since-start', [PACE_HOST], [
        (P, 'if (now - pace->slots[pace->slot].when >= PACE_SLOT) {',
         'if (!pace->slots[pace->slot].when) {')]),
]
