/*
 * How fast a count has grown of late
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/dirty-history.h"

/* Over less than this a rate means nothing. */
#define SHORTEST INT64_C(20000000)

/* The slot written @back moments ago; the newest is 1. */
static unsigned slot(const DirtyHistory *h, unsigned back)
{
    return (h->next + DIRTY_HISTORY_SLOTS - back) % DIRTY_HISTORY_SLOTS;
}

static void add(DirtyHistory *h, int64_t now, uint64_t count)
{
    h->slots[h->next].when = now;
    h->slots[h->next].count = count;
    h->next = (h->next + 1) % DIRTY_HISTORY_SLOTS;
    h->used = MIN(h->used + 1, DIRTY_HISTORY_SLOTS);
}

void dirty_history_start(DirtyHistory *h, int64_t now, uint64_t count)
{
    h->used = 0;
    add(h, now, count);
}

void dirty_history_see(DirtyHistory *h, int64_t now, uint64_t count)
{
    if (h->used && now - h->slots[slot(h, 1)].when >= DIRTY_HISTORY_STEP) {
        add(h, now, count);
    }
}

uint64_t dirty_history_rate(const DirtyHistory *h, int64_t now, uint64_t count,
                            int64_t span)
{
    unsigned back, from;
    int64_t took;

    if (!h->used) {
        return 0;
    }
    for (back = 1; back < h->used; back++) {
        if (now - h->slots[slot(h, back)].when >= span) {
            break;
        }
    }
    from = slot(h, back);
    took = now - h->slots[from].when;
    if (took < SHORTEST) {
        return 0;
    }
    return (count - h->slots[from].count) * 1e9 / took;
}
