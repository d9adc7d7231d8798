/*
 * How fast a count has grown of late
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Remembers what a count was at some moments of the last seconds, a tenth of a
 * second apart or more.  Whoever changes the count, or looks at it, says what
 * it is: no timer is needed, and no more work than there is to be seen.
 *
 * Nothing here takes a lock: calls must not overlap.  Times are nanoseconds of
 * any clock that does not go backwards.
 */

#ifndef QEMU_DIRTY_HISTORY_H
#define QEMU_DIRTY_HISTORY_H

#include <stdint.h>

/* How far apart moments are in ns, and how many are kept: 12.8 seconds */
#define DIRTY_HISTORY_STEP INT64_C(100000000)
#define DIRTY_HISTORY_SLOTS 128

typedef struct DirtyHistory {
    struct {
        int64_t when;
        uint64_t count;
    } slots[DIRTY_HISTORY_SLOTS];
    unsigned used;              /* slots, of the newest moments */
    unsigned next;              /* slot to be written */
} DirtyHistory;

/**
 * dirty_history_start: forget what was; the count is @count @now
 */
void dirty_history_start(DirtyHistory *h, int64_t now, uint64_t count);

/**
 * dirty_history_see: the count is @count @now
 *
 * Does nothing unless dirty_history_start() was called.
 */
void dirty_history_see(DirtyHistory *h, int64_t now, uint64_t count);

/**
 * dirty_history_rate: how much was added each second
 * @now: when the count was @count
 * @span: over how long, at least, in ns
 *
 * Over less, if the history is shorter; over more, if nobody looked in time.
 */
uint64_t dirty_history_rate(const DirtyHistory *h, int64_t now, uint64_t count,
                            int64_t span);

#endif
