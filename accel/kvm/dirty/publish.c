/*
 * Dirty pages on their way from KVM to QEMU's dirty memory
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cost: O(1) a page, less for neighbours.  No bitmap of the slot lies between:
 * an entry is looked up in the slot table and its bit set where migration,
 * dirty-rate and the display look for it.
 */

#include "qemu/osdep.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "exec/target_page.h"
#include "publish.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/trace.h"
#include "accel/kvm/dirty/words.h"

/*
 * The clients of a slot that want to know now.
 * @tracking: global_dirty_tracking
 */
static inline uint8_t clients_now(uint8_t clients, unsigned tracking)
{
    /*
     * Migration's bit in the slot follows global_dirty_tracking only at the
     * next update of the memory map, so ask the original.  No BQL is needed:
     * a page written before tracking starts is copied after, and one bit too
     * many does no harm.
     */
    clients &= ~(1 << DIRTY_MEMORY_MIGRATION);
    if (tracking) {
        clients |= 1 << DIRTY_MEMORY_MIGRATION;
    }
    return clients & DIRTY_CLIENTS_NOCODE;
}

static void count_published(KVMDirtyTracker *t, uint64_t pages)
{
    stat64_add(&t->counters.published_pages, pages);
    trace_kvm_dirty_publish(pages);
    if (qatomic_read(&global_dirty_tracking) & GLOBAL_DIRTY_DIRTY_RATE) {
        /* An estimate: its other writers hold the BQL, we need not. */
        total_dirty_pages +=
            pages * (qemu_real_host_page_size() / TARGET_PAGE_SIZE);
    }
}

/* Take the pages out that a test wants to be lost. */
static void drop_faults(KVMDirtyTracker *t, DirtyWord *word)
{
    for (uint64_t left = word->mask; left; left &= left - 1) {
        if (dirty_fault_drop_page(&t->fault, word->word * 64 + ctz64(left))) {
            word->mask &= ~(left & -left);
        }
    }
}

/* Pages of the host are as large as those of the target. */
static uint64_t publish_words(KVMDirtyTracker *t, const DirtyKey *keys,
                              size_t n)
{
    bool any_fault = dirty_fault_is_armed(&t->fault);
    unsigned tracking = qatomic_read(&global_dirty_tracking);
    unsigned long *const *migration, *const *vga;
    DirtyWords walk;
    DirtyWord word;
    uint64_t soon;

    RCU_READ_LOCK_GUARD();
    migration = qatomic_rcu_read(
        &ram_list.dirty_memory[DIRTY_MEMORY_MIGRATION])->blocks;
    vga = qatomic_rcu_read(&ram_list.dirty_memory[DIRTY_MEMORY_VGA])->blocks;

    dirty_words_init(&walk, &t->slots, keys, n, TARGET_PAGE_BITS);
    while (dirty_words_next(&walk, &word)) {
        uint8_t clients = clients_now(word.clients, tracking);

        if (dirty_words_ahead(&walk, &soon)) {
            dirty_word_prefetch(migration, soon);
        }
        if (unlikely(any_fault)) {
            drop_faults(t, &word);
        }
        if (clients & (1 << DIRTY_MEMORY_MIGRATION)) {
            dirty_word_set(migration, word.word, word.mask);
        }
        if (clients & (1 << DIRTY_MEMORY_VGA)) {
            dirty_word_set(vga, word.word, word.mask);
        }
    }
    stat64_add(&t->counters.stray_entries, walk.strays);
    return n - walk.strays;
}

/* Pages of the host are larger: each is several of the target. */
static uint64_t publish_one_by_one(KVMDirtyTracker *t, const DirtyKey *keys,
                                   size_t n)
{
    unsigned tracking = qatomic_read(&global_dirty_tracking);
    size_t page_size = qemu_real_host_page_size();
    uint64_t published = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t offset = dirty_key_offset(keys[i]);
        const DirtySlot *slot = dirty_slots_find(&t->slots,
                                                 dirty_key_slot(keys[i]),
                                                 offset);

        if (slot) {
            cpu_physical_memory_set_dirty_range(
                slot->ram_addr + offset * page_size, page_size,
                clients_now(slot->clients, tracking));
            published++;
        }
    }
    stat64_add(&t->counters.stray_entries, n - published);
    return published;
}

void dirty_publish_pages(void *opaque, const DirtyKey *keys, size_t n)
{
    KVMDirtyTracker *t = opaque;
    bool words = qemu_real_host_page_size() == TARGET_PAGE_SIZE;

    count_published(t, words ? publish_words(t, keys, n)
                             : publish_one_by_one(t, keys, n));
}

void dirty_publish_slot(KVMDirtyTracker *t, const KVMSlot *slot)
{
    const DirtySlot *where =
        dirty_slots_find(&t->slots, dirty_memslot_key(slot), 0);

    if (where) {
        uint8_t clients = clients_now(where->clients,
                                      qatomic_read(&global_dirty_tracking));

        cpu_physical_memory_set_dirty_range(slot->ram_start_offset,
                                            slot->memory_size, clients);
        count_published(t, dirty_memslot_pages(slot));
    }
}

void dirty_publish_bitmap(KVMDirtyTracker *t, const KVMSlot *slot)
{
    uint64_t pages = cpu_physical_memory_set_dirty_lebitmap(
        slot->dirty_bmap, slot->ram_start_offset, dirty_memslot_pages(slot));

    stat64_add(&t->counters.published_pages, pages);
}
