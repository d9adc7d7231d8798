/*
 * From KVM's memslots to QEMU's RAM pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "slots.h"

static inline uint32_t key_as(uint32_t key)
{
    return key >> 16;
}

static inline uint32_t key_id(uint32_t key)
{
    return key & 0xffff;
}

void dirty_slots_set(DirtySlots *map, uint32_t key, const DirtySlot *slot)
{
    uint32_t as = key_as(key), id = key_id(key), old;

    assert(as < DIRTY_SLOTS_AS_MAX);

    old = map->as[as].allocated;
    if (id >= old && !slot->npages) {
        return;
    }
    if (id >= old) {
        uint32_t grown = MAX(id + 1, old * 2);

        map->as[as].slots = g_renew(DirtySlot, map->as[as].slots, grown);
        memset(&map->as[as].slots[old], 0, (grown - old) * sizeof(DirtySlot));
        map->as[as].allocated = grown;
    }
    map->as[as].slots[id] = *slot;
}

const DirtySlot *dirty_slots_find(const DirtySlots *map, uint32_t key,
                                  uint64_t offset)
{
    uint32_t as = key_as(key), id = key_id(key);

    if (as >= DIRTY_SLOTS_AS_MAX || id >= map->as[as].allocated ||
        offset >= map->as[as].slots[id].npages) {
        return NULL;
    }
    return &map->as[as].slots[id];
}

void dirty_slots_destroy(DirtySlots *map)
{
    for (int as = 0; as < DIRTY_SLOTS_AS_MAX; as++) {
        g_free(map->as[as].slots);
    }
    memset(map, 0, sizeof(*map));
}
