/*
 * Dirty pages on their way from KVM to QEMU's dirty memory
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cost: O(1) a page.  No bitmap of the slot lies between: an entry is looked
 * up in the slot table and its bit set where migration, dirty-rate and the
 * display look for it.
 */

#include "qemu/osdep.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "exec/target_page.h"
#include "dirty-backend.h"
#include "dirty-fault.h"

/* The clients of a slot that want to know now. */
static uint8_t clients_now(uint8_t clients)
{
    /*
     * Migration's bit in the slot follows global_dirty_tracking only at the
     * next update of the memory map, so ask the original.  No BQL is needed:
     * a page written before tracking starts is copied after, and one bit too
     * many does no harm.
     */
    clients &= ~(1 << DIRTY_MEMORY_MIGRATION);
    if (qatomic_read(&global_dirty_tracking)) {
        clients |= 1 << DIRTY_MEMORY_MIGRATION;
    }
    return clients & DIRTY_CLIENTS_NOCODE;
}

static void count_published(KVMDirtyTracker *t, uint64_t pages)
{
    stat64_add(&t->stats.published_pages, pages);
    if (qatomic_read(&global_dirty_tracking) & GLOBAL_DIRTY_DIRTY_RATE) {
        /* An estimate: its other writers hold the BQL, we need not. */
        total_dirty_pages +=
            pages * (qemu_real_host_page_size() / TARGET_PAGE_SIZE);
    }
}

void dirty_publish_entries(void *opaque, const DirtyRingEntry *entries,
                           size_t n)
{
    KVMDirtyTracker *t = opaque;
    size_t page_size = qemu_real_host_page_size();
    uint64_t published = 0;

    for (size_t i = 0; i < n; i++) {
        const DirtySlot *slot = dirty_slots_find(&t->slots, entries[i].slot,
                                                 entries[i].offset);

        if (!slot) {
            stat64_add(&t->stats.stray_entries, 1);
            continue;
        }
        if (dirty_fault_drop_page(&t->fault.drop)) {
            continue;
        }
        cpu_physical_memory_set_dirty_range(
            slot->ram_addr + entries[i].offset * page_size, page_size,
            clients_now(slot->clients));
        published++;
    }
    count_published(t, published);
}

void dirty_publish_slot(KVMDirtyTracker *t, const KVMSlot *slot)
{
    const DirtySlot *where =
        dirty_slots_find(&t->slots, kvm_dirty_slot_key(slot->as_id, slot), 0);

    if (where) {
        cpu_physical_memory_set_dirty_range(slot->ram_start_offset,
                                            slot->memory_size,
                                            clients_now(where->clients));
        count_published(t, kvm_dirty_slot_pages(slot));
    }
}
