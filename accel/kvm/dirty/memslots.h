/*
 * KVM dirty page tracking: KVM's memslots, and what is known of them
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a slot is with respect to dirty page tracking:
 *
 *   logged   somebody wants to know which of its pages are written
 *   late     ... but nobody needs to yet, so KVM has not been told (late.c)
 *   blind    ... but KVM refused: nobody knows what is written there
 *   untold   blind, or its protection is in doubt: all of its pages count as
 *            dirty in each sync
 */

#ifndef ACCEL_KVM_DIRTY_MEMSLOTS_H
#define ACCEL_KVM_DIRTY_MEMSLOTS_H

#include "accel/kvm/dirty/state.h"

static inline bool dirty_memslot_is_logged(const KVMSlot *slot)
{
    return slot->memory_size && (slot->flags & KVM_MEM_LOG_DIRTY_PAGES);
}

/*
 * KVM refused to log a slot that should be: nobody knows what is written
 * there, so all of it counts as dirty in each sync.
 */
static inline bool dirty_memslot_is_blind(const KVMSlot *slot)
{
    return dirty_memslot_is_logged(slot) &&
           !(slot->old_flags & KVM_MEM_LOG_DIRTY_PAGES) && !slot->dirty_late;
}

/* Nobody can say which pages of @slot are dirty: all of them count. */
static inline bool dirty_memslot_is_untold(const KVMDirtyTracker *t,
                                           const KVMSlot *slot)
{
    return t->protection_lost || dirty_memslot_is_blind(slot);
}

static inline uint64_t dirty_memslot_pages(const KVMSlot *slot)
{
    return slot->memory_size / qemu_real_host_page_size();
}

/* The key KVM knows a slot by: address space << 16 | slot id */
static inline uint32_t dirty_memslot_key(const KVMSlot *slot)
{
    return slot->slot | slot->as_id << 16;
}

static inline bool dirty_memslot_overlaps(const KVMSlot *slot,
                                          const MemoryRegionSection *section)
{
    hwaddr start = section->offset_within_address_space;
    hwaddr last = start + int128_get64(section->size) - 1;

    return slot->memory_size && slot->start_addr <= last &&
           start <= slot->start_addr + slot->memory_size - 1;
}

typedef void DirtyMemslotFn(KVMDirtyTracker *t, KVMMemoryListener *kml,
                            KVMSlot *slot);

/**
 * dirty_memslots_for_each_logged: call @fn for the logged slots of all address
 * spaces
 *
 * Cost: O(memslots).  Called with the tracker lock held.
 */
void dirty_memslots_for_each_logged(KVMDirtyTracker *t, DirtyMemslotFn *fn);

/**
 * dirty_memslots_protection_lost: note that nobody can tell any more which
 * pages are writable
 *
 * From now on each sync finds all logged memory dirty: a migration that ends
 * so sends a lot while the guest is stopped, but it loses nothing.  An event
 * says so.  Called with the tracker lock held.
 */
void dirty_memslots_protection_lost(KVMDirtyTracker *t);

#endif
