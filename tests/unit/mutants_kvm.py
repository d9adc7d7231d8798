# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to break the tracker that the tests on a model of KVM have to notice.

As in mutants.py.
"""

ROOMS = 'accel/kvm/dirty/'
SOURCES = ['util/dirty-history'] + [ROOMS + name for name in (
    'blind', 'choice', 'features', 'late', 'lock', 'memslots', 'publish',
    'slots', 'tracker', 'tracking', 'log/log', 'log/log-backend', 'log/wp-all',
    'log/wp-all-backend', 'ring/allowance', 'ring/backend', 'ring/full',
    'ring/limit', 'ring/overflow', 'ring/pace', 'ring/reset', 'ring/ring',
    'ring/set', 'ring/signals', 'ring/sort', 'ring/sync', 'ring/turn',
    'stats/vcpu')]
SUPPORT = ['kvm-caps', 'kvm-fixture', 'kvm-model', 'kvm-world',
           'kvm-world-sender', 'log-model', 'qemu-stubs', 'ring-model',
           'tracker-stubs']

LATE = ('test-kvm-late', 'plain', None)
LOG = ('test-kvm-log', 'plain', None)
OVERFLOW = ('test-kvm-overflow', 'plain', None)
OWED = ('test-kvm-owed', 'plain', None)
PARTS = ('test-kvm-parts', 'plain', None)
LIMIT = ('test-kvm-limit', 'plain', None)
RESET = ('test-kvm-reset', 'plain', None)
TRACKER = ('test-kvm-tracker', 'plain', None)
WP_ALL = ('test-kvm-wp-all', 'plain', None)
SCHEDULE = ('test-kvm-schedule', 'plain', None)

BLIND_C = ROOMS + 'blind.c'
CHOICE_C = ROOMS + 'choice.c'
FEATURES_C = ROOMS + 'features.c'
LATE_C = ROOMS + 'late.c'
LOCK_C = ROOMS + 'lock.c'
MEMSLOTS_C = ROOMS + 'memslots.c'
PUBLISH_C = ROOMS + 'publish.c'
TRACKER_C = ROOMS + 'tracker.c'
LOG_C = ROOMS + 'log/log.c'
LOG_BACKEND_C = ROOMS + 'log/log-backend.c'
WP_ALL_C = ROOMS + 'log/wp-all.c'
WP_ALL_BACKEND_C = ROOMS + 'log/wp-all-backend.c'
RING_BACKEND_C = ROOMS + 'ring/backend.c'
FULL_C = ROOMS + 'ring/full.c'
LIMIT_C = ROOMS + 'ring/limit.c'
OVERFLOW_C = ROOMS + 'ring/overflow.c'
RESET_C = ROOMS + 'ring/reset.c'
RING_C = ROOMS + 'ring/ring.c'
SET_C = ROOMS + 'ring/set.c'
SIGNALS_C = ROOMS + 'ring/signals.c'
SYNC_C = ROOMS + 'ring/sync.c'
TURN_C = ROOMS + 'ring/turn.c'

CHANCES = {}

TAKE = '        dirty_memslots_for_each_logged(t, take_slot);\n'
PROTECT = '        dirty_wp_all_protect(t);\n'
PUBLISH = '        dirty_memslots_for_each_logged(t, publish_slot);\n'
COMMIT = '    stage->ops->publish(stage->opaque, stage->keys, stage->used);\n'

MUTANTS = [
    # name, tests that all have to fail, edits

    # Write-protect-all: take, protect, publish
    ('publish-then-protect', [WP_ALL, SCHEDULE], [
        (WP_ALL_BACKEND_C, PROTECT + PUBLISH, PUBLISH + PROTECT)]),
    ('protect-then-take', [WP_ALL, SCHEDULE], [
        (WP_ALL_BACKEND_C, TAKE + PROTECT, PROTECT + TAKE)]),
    ('no-protection', [WP_ALL, SCHEDULE], [
        (WP_ALL_BACKEND_C, PROTECT, '')]),
    ('protection-failed-unnoticed', [WP_ALL, SCHEDULE], [
        (WP_ALL_C, '''strerror(-ret));
        dirty_memslots_protection_lost(t);''', 'strerror(-ret));')]),
    ('protect-all-in-first-sync', [WP_ALL], [
        (WP_ALL_BACKEND_C, 'if (t->wp_all.first && t->late.count)',
         'if (false)')]),
    ('first-for-ever', [WP_ALL], [
        (WP_ALL_BACKEND_C, '    t->wp_all.first = false;\n', '')]),
    ('stale-bitmap', [WP_ALL], [
        (WP_ALL_BACKEND_C,
         '        memset(slot->dirty_bmap, 0, slot->dirty_bmap_size);\n', '')]),
    ('take-failed-unnoticed', [WP_ALL, SCHEDULE], [
        (WP_ALL_BACKEND_C, '    } else if (ret < 0) {', '    } else if (0) {')]),
    ('wp-all-blind-not-published', [WP_ALL], [
        (WP_ALL_BACKEND_C, '        dirty_publish_slot(t, slot);\n', '')]),
    ('take-protects', [WP_ALL], [
        (WP_ALL_BACKEND_C,
         'dirty_log_get(t, slot, KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT)',
         'dirty_log_get(t, slot, 0)')]),

    # All slots begin to be logged together.
    ('log-start-unprotected', [WP_ALL, SCHEDULE], [
        (WP_ALL_C, '        dirty_wp_all_protect(t);\n', '')]),
    ('log-start-for-good', [WP_ALL], [
        (WP_ALL_C, 'if (dirty_features_log_start(t->s, true) < 0) {',
         'if (false) {')]),
    ('log-start-stuck-unnoticed', [WP_ALL], [
        (WP_ALL_C, '''not be protected. */
            dirty_memslots_protection_lost(t);''', 'not be protected. */')]),
    ('log-start-late-unprotected', [WP_ALL], [
        (WP_ALL_C, ' && !t->late.promised', '')]),
    ('log-start-refused-unnoticed', [WP_ALL], [
        (WP_ALL_C, 'dirty_features_log_start(t->s, false) >= 0',
         'dirty_features_log_start(t->s, false) != 1')]),
    ('no-log-start', [WP_ALL], [
        (WP_ALL_C, '    if (t->features.wp_all && !t->late.promised) {',
         '    if (false) {')]),

    # Late slots
    ('read-unlogged', [LATE, WP_ALL, SCHEDULE], [
        (LATE_C, '            log_or_owe(t, kml, &kml->slots[i]);\n', '')]),
    ('read-unlogged-in-other-space', [SCHEDULE, LATE], [
        (LATE_C, '            log_or_owe(t, kml, &kml->slots[i]);\n',
         '            if (!kml->as_id)\n' +
         '            log_or_owe(t, kml, &kml->slots[i]);\n')]),
    ('forgotten-and-not-logged', [LATE, SCHEDULE], [
        (LATE_C, 'int ret = kvm_set_user_memory_region(kml, slot, false);',
         'int ret = 0;')]),
    ('forgotten-before-told', [LATE], [
        (LATE_C, 'int ret = kvm_set_user_memory_region(kml, slot, false);',
         '''int ret = (dirty_late_forget(t, slot),
                   kvm_set_user_memory_region(kml, slot, false));''')]),
    ('removed-late-not-published', [LATE], [
        (TRACKER_C, '        dirty_publish_slot(t, slot);\n', '')]),

    # Blind slots
    ('refusal-unnoticed', [LATE], [
        (LATE_C, '        dirty_blind_told(t, slot, ret);\n', '')]),
    ('refusal-told-each-time', [LATE], [
        (BLIND_C, '        t->refused = true;\n', '')]),
    ('new-refusal-unnoticed', [LATE], [
        (BLIND_C, '            refused(t, slot);\n', '')]),
    ('new-refusal-loses-flags', [LATE], [
        (BLIND_C, '        slot->flags = flags;\n', '')]),
    ('taken-and-not-published', [LATE], [
        (BLIND_C, '        dirty_publish_slot(t, slot);\n', '')]),
    ('logged-all-at-once', [LATE], [
        (LATE_C, 'if (dirty_memslot_overlaps(&kml->slots[i], section)) {',
         'if (true) {')]),
    ('late-unpromised', [LATE], [
        (LATE_C, 'if (t->late.promised && ', 'if (')]),
    ('promised-for-ever', [LATE], [
        (LATE_C, '    t->late.promised = false;\n', '')]),
    ('display-is-late', [LATE], [
        (LATE_C, '''        starts_to_log(slot) &&
        may_be_late(memory_region_get_dirty_log_mask(mr))) {''',
         '        starts_to_log(slot)) {')]),
    ('display-does-not-join', [LATE], [
        (LATE_C, '    } else if (!may_be_late(clients)) {\n        log_now',
         '    } else if (0) {\n        log_now')]),
    ('others-do-not-join', [LATE, OWED], [
        (LATE_C, '        log_now(t, kml, &kml->slots[i]);\n', '')]),
    ('stopped-stays-late', [LATE], [
        (LATE_C, '        dirty_late_forget(t, slot);\n    } else',
         '    } else')]),
    ('removed-stays-late', [LATE], [
        (TRACKER_C, '    dirty_late_forget(t, slot);\n', '')]),
    ('count-not-lowered', [LATE], [
        (LATE_C,
         '        qatomic_store_release(&t->late.count, t->late.count - 1);\n',
         '')]),
    ('count-lowered-twice', [LATE, SCHEDULE], [
        (LATE_C, 't->late.count - 1)', 't->late.count - 2)')]),
    ('count-is-the-last', [LATE, SCHEDULE], [
        (LATE_C, 'if (!qatomic_load_acquire(&t->late.count)) {',
         'if (qatomic_load_acquire(&t->late.count) <= 1) {')]),
    ('count-not-looked-at', [LATE], [
        (LATE_C, 'if (!qatomic_load_acquire(&t->late.count)) {',
         'if (false) {')]),
    ('part-ignores-huge-pages', [PARTS], [
        (LATE_C, 'MAX(usual_part(t), qemu_ram_pagesize(block))',
         'usual_part(t)')]),
    ('part-not-aligned', [PARTS], [
        (LATE_C, 'MIN(part - start % part, size)', 'MIN(part, size)')]),
    ('owed-and-not-logged', [OWED], [
        (LATE_C, '    if (running && t->late.count) {', '    if (false) {')]),
    ('stopped-not-told', [OWED], [
        (RING_BACKEND_C, '        dirty_late_set_running(t, running);\n', '')]),
    ('all-logged-when-guest-goes-on', [OWED], [
        (LATE_C, '    if (slot->dirty_owed) {', '    if (true) {')]),
    ('join-in-one-go', [OWED], [
        (LATE_C, '    for (int as = 0; as < t->s->nr_as; as++) {',
         '    dirty_lock_acquire();\n'
         '    dirty_memslots_for_each_logged(t, log_now);\n'
         '    dirty_lock_release();\n'
         '    for (int as = 0; as < t->s->nr_as; as++) {')]),
    ('block-forgets-its-part', [PARTS], [
        (LATE_C, '        g_hash_table_insert(late->blocks, block->host, part);'
         '\n', '')]),
    ('block-keeps-its-slots', [PARTS], [
        (LATE_C,
         '        late->blocks_slots -= DIV_ROUND_UP(max_size, *part);\n',
         '')]),
    ('slot-of-any-size', [PARTS], [
        (LATE_C, 'hwaddr part = DIRTY_LATE_SLOT_MAX;',
         'hwaddr part = 1ULL << 60;')]),

    # Dirty limits
    ('limit-by-what-waits', [LIMIT], [
        (LIMIT_C, 'ring->fetch + dirty_ring_fill(ring)',
         'dirty_ring_fill(ring)')]),
    ('held-twice', [LIMIT], [
        (LIMIT_C, ' && !qatomic_read(&held->until)', '')]),
    ('queue-without-end', [LIMIT], [
        (LIMIT_C, ' && qatomic_read(&cpu->running)', '')]),
    ('held-once', [LIMIT], [
        (LIMIT_C, '''    qatomic_set(&held->until, 0);
    dirty_reaper_look_by''', '    dirty_reaper_look_by')]),
    ('replugged-as-held', [LIMIT], [
        (LIMIT_C, '    qatomic_set(&ring->hold->until, 0);\n', '')]),
    ('replugged-with-debt', [LIMIT], [
        (LIMIT_C, '    ring->hold->allowance.at = 0;\n', '')]),
    ('stop-waits-for-limit', [LIMIT], [
        (LIMIT_C, '!cpu->stop && ', '')]),
    ('unplug-waits-for-limit', [LIMIT], [
        (LIMIT_C, ' && !cpu->unplug', '')]),
    ('work-waits-for-limit', [LIMIT], [
        (LIMIT_C, 'cpu_work_list_empty(cpu) && ', '')]),
    ('held-without-limit', [LIMIT], [
        (LIMIT_C, ' && entries_per_second(cpu)', '')]),
    ('full-ring-not-charged', [LIMIT], [
        (FULL_C, '        dirty_limit_check(ring, get_clock());\n', '')]),
    ('reaper-ignores-limits', [LIMIT], [
        (TURN_C, '    *next = MIN(*next, dirty_limit_check_all(t->rings));\n',
         '')]),

    # Resets and what follows a bad one
    ('no-reprotection', [RESET, SCHEDULE], [
        (RESET_C, '    dirty_memslots_for_each_logged(t, reprotect_slot);\n',
         '')]),
    ('reprotection-not-published', [RESET, SCHEDULE], [
        (RESET_C, '    dirty_publish_slot(t, slot);\n', '')]),
    ('reprotection-without-off', [RESET], [
        (RESET_C, 'flags & ~KVM_MEM_LOG_DIRTY_PAGES', 'flags')]),
    ('not-reprotected-unnoticed', [RESET], [
        (RESET_C, '        dirty_memslots_protection_lost(t);\n', '')]),
    ('not-switched-off-unnoticed', [RESET], [
        (RESET_C, ' < 0 || ret < 0)', ' < 0)')]),
    ('late-is-reprotected', [RESET], [
        (RESET_C, 'if (slot->dirty_late || ', 'if (')]),
    ('blind-is-reprotected', [RESET], [
        (RESET_C, ' || dirty_memslot_is_blind(slot)', '')]),
    ('short-is-fine', [RESET, SCHEDULE], [
        (RING_C, '    return false;\n', '    return true;\n')]),
    ('reset-in-a-vcpu-with-task-work', [RESET], [
        (RESET_C, 'if (current_cpu && dirty_signals_only())',
         'if (current_cpu)')]),
    ('reset-in-a-vcpu-with-signals', [RESET], [
        (SIGNALS_C, '    pthread_sigmask(SIG_SETMASK, &all, &old);\n', '')]),
    ('sleep-unnoticed', [RESET], [
        (RESET_C, '        t->rings->stage.doubtful = true;\n', '')]),
    ('doubt-is-fine', [RESET], [
        (RING_C, '        return !stage->doubtful;\n',
         '        return true;\n')]),
    ('doubt-for-ever', [RESET], [
        (RING_C, '    stage->doubtful = false;\n', '')]),
    ('room-not-learnt', [RESET], [
        (FULL_C, '    dirty_rings_was_full(rings, '
         'g_ptr_array_index(rings->list, i));\n', '')]),
    ('room-learnt-from-one', [RESET], [
        (SET_C, '    return second;\n', '    return smallest;\n')]),
    ('reset-in-the-main-thread', [RESET], [
        (RESET_C, 'if (current_cpu || main_thread)', 'if (current_cpu)')]),
    ('vcpu-waits-for-the-reaper', [RESET], [
        (RESET_C, 'if (current_cpu && dirty_signals_only())',
         'if (false)')]),
    ('all-resets-by-the-reaper', [RESET], [
        (RESET_C, 'if (current_cpu || main_thread)', 'if (true)')]),
    ('publish-before-reset', [SCHEDULE], [
        (RING_C, COMMIT, ''),
        (RING_C, '    protected = stage_reset(stage);\n',
         COMMIT + '    protected = stage_reset(stage);\n')]),
    ('unlocked', [RESET, TRACKER], [
        (LOCK_C, '    qemu_mutex_lock(&kml_slots_lock);\n', ''),
        (LOCK_C, '    qemu_mutex_unlock(&kml_slots_lock);\n', '')]),
    ('lost-is-not-told', [RESET], [
        (MEMSLOTS_C, '        dirty_events_protection_lost(t);\n', '')]),
    ('lost-is-forgotten', [RESET, WP_ALL], [
        (MEMSLOTS_C, '        qatomic_set(&t->protection_lost, true);\n', '')]),

    # Rings
    ('unplug-without-harvest', [RESET, SCHEDULE], [
        (RING_BACKEND_C,
         '        dirty_rings_reap(t->rings, ring, DIRTY_RINGS_NONE);\n', '')]),
    ('vcpus-in-guest-not-asked', [SCHEDULE], [
        (SYNC_C, '        flush_vcpus_in_guest();\n', '')]),
    ('untold-not-published', [LATE, SCHEDULE], [
        (SYNC_C, '    dirty_memslots_for_each_logged(t, ' +
         'dirty_publish_untold);\n    dirty_overflow', '    dirty_overflow')]),
    ('untold-not-shown', [LATE], [
        (SYNC_C, '    dirty_memslots_for_each_logged(t, ' +
         'dirty_publish_untold);\n    dirty_lock', '    dirty_lock')]),
    ('untold-not-drained', [LATE], [
        (RING_BACKEND_C, '    dirty_publish_untold(t, NULL, slot);\n', '')]),
    ('back-up-bitmap-not-fetched', [OVERFLOW], [
        (SYNC_C, 'if (t->rings->with_bitmap && last) {',
         'if (false) {')]),
    ('back-up-bitmap-in-last-stage-only', [OVERFLOW], [
        (SYNC_C, 'if (t->rings->with_bitmap && last) {',
         'if (t->rings->with_bitmap && last_stage) {')]),
    ('back-up-bitmap-each-sync', [OVERFLOW], [
        (SYNC_C, 'if (t->rings->with_bitmap && last) {',
         'if (t->rings->with_bitmap) {')]),
    ('presync-too-early', [TRACKER], [
        (SYNC_C, 'dirty_ring_holds(ring, PRESYNC_ENTRIES)',
         'dirty_ring_holds(ring, 1)')]),
    ('display-empties-rings', [RESET], [
        (SYNC_C, '    if (found) {', '    if (true) {')]),
    ('display-finds-nothing', [RESET], [
        (SYNC_C, '    if (found) {', '    if (false) {')]),
    ('wrong-vcpu', [SCHEDULE], [
        (SET_C, '        if (ring->vcpu_id == vcpu_id) {',
         '        if (ring->vcpu_id != vcpu_id) {')]),
    ('full-ring-left-alone', [SCHEDULE, RESET], [
        (FULL_C, 'if (ring && needs_room(rings, ring)) {', 'if (false) {')]),

    # Overflow
    ('count-ignored', [OVERFLOW, SCHEDULE], [
        (OVERFLOW_C, '|| overflow->pages != overflow->fetched ||',
         '|| false ||')]),
    ('missed-is-forgotten', [OVERFLOW], [
        (OVERFLOW_C, 'overflow->missed = !dirty_log_fetch_all(t);',
         'dirty_log_fetch_all(t);')]),
    ('missed-for-ever', [OVERFLOW], [
        (LOG_C, '    t->log_missed = false;\n', '')]),
    ('count-not-kept', [OVERFLOW], [
        (OVERFLOW_C, '        overflow->fetched = overflow->pages;\n', '')]),
    ('count-unknown-unnoticed', [OVERFLOW], [
        (OVERFLOW_C, 'if (dirty_reset_rings(t) < 0 || ',
         'if (dirty_reset_rings(t) == 1 || ')]),
    ('count-of-entries', [OVERFLOW], [
        (FEATURES_C, '*overflowed = reset.overflowed;',
         '*overflowed = reset.count;')]),
    ('drain-without-bitmap', [OVERFLOW, SCHEDULE], [
        (RING_BACKEND_C, '        dirty_log_fetch(t, slot);\n', '')]),
    ('display-without-bitmap', [OVERFLOW], [
        (SYNC_C, '        dirty_log_fetch_display(t);\n', '')]),
    ('limits-do-not-stop', [OVERFLOW], [
        (OVERFLOW_C, 'dirty_features_enable_overflow(t->s, stop)',
         'dirty_features_enable_overflow(t->s, false)')]),
    ('limits-stop-for-ever', [OVERFLOW], [
        (OVERFLOW_C, '        overflow->stopped_by_full = stop;\n', '')]),
    ('limits-let-overflow', [OVERFLOW], [
        (TURN_C, 'dirty_overflow_stop_by_full(t, dirtylimit_in_service() ||',
         'dirty_overflow_stop_by_full(t, false ||')]),
    ('told-under-the-lock', [OVERFLOW], [
        (OVERFLOW_C, '''    dirty_lock_release();
    dirty_events_overflow(pages);''', '''    dirty_events_overflow(pages);
    dirty_lock_release();''')]),

    # Slots that go, and the slot table
    ('no-drain', [RESET, LOG, WP_ALL, SCHEDULE], [
        (TRACKER_C, '        t->backend->slot_drain(t, slot);\n', '')]),
    ('slot-stays-in-table', [RESET], [
        (TRACKER_C, '''    dirty_slots_set(&t->slots, dirty_memslot_key(slot),
                    &(DirtySlot) {});
''', '')]),
    ('cleared-before-drained', [RESET, SCHEDULE], [
        (TRACKER_C, '''    if (dirty_memslot_is_logged(slot)) {
        t->backend->slot_drain''',
         '''    dirty_slots_set(&t->slots, dirty_memslot_key(slot),
                    &(DirtySlot) {});
    if (dirty_memslot_is_logged(slot)) {
        t->backend->slot_drain''')]),
    ('vcpus-not-stopped', [TRACKER, SCHEDULE], [
        (TRACKER_C, 'if (section_is_logged(kml, &update->section)) {',
         'if (false) {')]),
    ('vcpus-always-stopped', [TRACKER], [
        (TRACKER_C, 'if (section_is_logged(kml, &update->section)) {',
         'if (true) {')]),
    ('one-address-space', [OWED], [
        (MEMSLOTS_C, 'as < t->s->nr_as; as++', 'as < 1; as++')]),
    ('bitmap-outlives-slot', [LOG], [
        (TRACKER_C, '''    dirty_blind_forget(slot);
    g_free(slot->dirty_bmap);
    slot->dirty_bmap = NULL;
''', '    dirty_blind_forget(slot);\n')]),
    ('bitmap-outlives-logging', [LOG], [
        (TRACKER_C, '''        dirty_blind_forget(slot);
        g_free(slot->dirty_bmap);
        slot->dirty_bmap = NULL;
''', '        dirty_blind_forget(slot);\n')]),

    # The dirty log
    ('clear-unseen', [LOG, SCHEDULE], [
        (LOG_C, 'bitmap_copy(some, seen, to - from);',
         'bitmap_fill(some, to - from);')]),
    ('clear-more-than-asked', [LOG], [
        (LOG_C, '        bitmap_clear(some, 0, first - from);\n', '')]),
    ('clear-more-at-the-end', [LOG], [
        (LOG_C, '        bitmap_clear(some, end - from, to - end);\n', '')]),
    ('clear-is-not-remembered', [LOG], [
        (LOG_C, '    bitmap_clear(slot->dirty_bmap, first, end - first);\n',
         '')]),
    ('clear-beyond-the-slot', [LOG], [
        (LOG_C, 'MIN(ROUND_UP(end, CLEAR_PAGES), dirty_memslot_pages(slot))',
         'ROUND_UP(end, CLEAR_PAGES)')]),
    ('clear-nothing', [LOG], [
        (LOG_BACKEND_C, '''kml, section,
                       dirty_log_clear);''', '''kml, section,
                       fetch_pages);''')]),
    ('clear-in-the-last-pass', [LOG], [
        (LOG_BACKEND_C, '    if (is_last_pass()) {', '    if (false) {')]),
    ('get-failed-unnoticed', [LOG, SCHEDULE], [
        (LOG_C, '    } else if (ret != -ENOENT) {\n', '    } else if (0) {\n')]),
    ('log-blind-not-published', [LOG, SCHEDULE], [
        (LOG_C, '''        dirty_publish_slot(t, slot);
        return;''', '        return;')]),
    ('display-fetches-all', [LOG], [
        (LOG_BACKEND_C, 'if (from < to && slot->dirty_bmap',
         'if (slot->dirty_bmap')]),

    # The choice
    ('unknown-is-not-told-from-refused', [TRACKER], [
        (RING_BACKEND_C, '''strerror(-ret));
        return ret == -ENOTSUP ? -EINVAL : ret;''', '''strerror(-ret));
        return ret;''')]),
    ('no-fallback', [TRACKER], [
        (CHOICE_C, '        if (ret == -ENOTSUP) {\n            warn',
         '        if (false) {\n            warn')]),
    ('fallback-is-not-told', [TRACKER], [
        (CHOICE_C, '            t->fallback = true;\n', '')]),
    ('half-of-wp-all', [TRACKER], [
        (FEATURES_C, '.wp_all = wp && take', '.wp_all = wp')]),
    ('overflow-without-count', [TRACKER], [
        (FEATURES_C, '.overflow = reset && kvm', '.overflow = kvm')]),
    ('watermark-without-overflow', [TRACKER], [
        (RING_BACKEND_C,
         'if (!t->features.overflow || !t->features.watermark) {',
         'if (!t->features.watermark) {')]),
    ('clients-mixed-up', [TRACKER], [
        (PUBLISH_C, 'if (clients & (1 << DIRTY_MEMORY_VGA)) {',
         'if (true) {')]),
]
