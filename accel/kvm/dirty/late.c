/*
 * KVM dirty page tracking: slots that are not logged yet
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When a slot begins to be logged KVM write-protects all of it: milliseconds a
 * GiB with the MMU lock held, and from then on a fault for each page that is
 * written.  With rings it cannot be told not to, as it can with the dirty log
 * (KVM_DIRTY_LOG_INITIALLY_SET).
 *
 * But a page that migration has not sent yet is going to be sent anyway, so
 * nobody needs to know of writes to it.  So RAM is cut into slots of moderate
 * size, and KVM is told to log one no sooner than the sender asks for some of
 * its pages to be protected, which it does before it reads the first of them
 * (memory_region_clear_dirty_bitmap(), listener callback log_clear).  Until
 * then the slot is "late".
 *
 * Invariant: no page of a late slot has been read by the sender since logging
 * began, unless no vCPU has run since.  What the guest wrote to it before KVM
 * logs it is read with it; what it writes after that faults, as KVM has
 * protected the slot and flushed the TLBs by the time the ioctl returns.
 *
 * Migration's sender makes that promise: all pages are dirty to begin with,
 * and all chunks of RAMBlock.clear_bmap are set by the first sync.  It is what
 * KVM_DIRTY_LOG_INITIALLY_SET relies on as well.  Others make no such promise:
 *
 *   COLO's secondary side starts with no page dirty, and does not call
 *   dirty_late_log_start(): nothing is late;
 *
 *   dirty-rate and dirty-limit count pages: if they join, dirty_late_log_all()
 *   logs what is late, slot by slot;
 *
 *   the display's slots are logged all the time: they do not start.
 *
 * While the guest stands still nobody writes unseen, so the sender may read a
 * late slot.  It is then "owed", and logged before the guest runs again, if it
 * ever does: after a checkpoint it does, and at the end of a migration, or in
 * postcopy, it seldom does.
 *
 * @count of late slots: changed with the tracker lock held.  Once logging is
 * on it only falls.  log_clear reads it without the lock: it is raised with the
 * BQL held before the sender runs, and lowered after KVM has protected the
 * slot (release), so a sender that sees 0 (acquire) finds all protected.
 */

#include "qemu/osdep.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "qemu/host-utils.h"
#include "hw/boards.h"
#include "system/kvm.h"
#include "late.h"
#include "late-part.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/blind.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/trace.h"

/*
 * In us: between slots that are logged one after the other, so that who waits
 * for the tracker lock gets it.
 */
#define LOG_PAUSE 50

/*
 * Called first when the first slot is made: only then is it known how much
 * memory the guest has, as a memory backend may say so.
 */
static uint64_t usual_part(KVMDirtyTracker *t)
{
    const MachineState *machine = current_machine;

    if (!t->late.part) {
        t->late.part = dirty_late_part(
            MAX(machine->ram_size, machine->maxram_size),
            kvm_check_extension(t->s, KVM_CAP_NR_MEMSLOTS));
    }
    return t->late.part;
}

static void block_removed(RAMBlockNotifier *notifier, void *host, size_t size,
                          size_t max_size)
{
    DirtyLateState *late = container_of(notifier, DirtyLateState, notifier);
    uint64_t *part = g_hash_table_lookup(late->blocks, host);

    if (part) {
        late->blocks_slots -= DIV_ROUND_UP(max_size, *part);
        g_hash_table_remove(late->blocks, host);
    }
}

/* What was decided when the first slot of @block was made stays so. */
static uint64_t block_part(KVMDirtyTracker *t, RAMBlock *block)
{
    DirtyLateState *late = &t->late;
    uint64_t *part;

    if (!late->blocks) {
        late->blocks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        late->notifier.ram_block_removed = block_removed;
        ram_block_notifier_add(&late->notifier);
    }
    part = g_hash_table_lookup(late->blocks, block->host);
    if (!part) {
        int slots = kvm_check_extension(t->s, KVM_CAP_NR_MEMSLOTS);

        part = g_new(uint64_t, 1);
        /* KVM maps no huge page across the border of two slots. */
        *part = MAX(usual_part(t), qemu_ram_pagesize(block));
        *part = dirty_late_block_part(*part, block->max_length,
                                      slots / 2 - late->blocks_slots);
        late->blocks_slots += DIV_ROUND_UP(block->max_length, *part);
        g_hash_table_insert(late->blocks, block->host, part);
    }
    return *part;
}

hwaddr dirty_late_slot_part(KVMDirtyTracker *t, const MemoryRegion *mr,
                            hwaddr start, hwaddr size)
{
    hwaddr part = DIRTY_LATE_SLOT_MAX;

    if (t->backend->late && !mr->ram_device) {
        part = mr->ram_block ? block_part(t, mr->ram_block) : usual_part(t);
    }
    return MIN(part - start % part, size);
}

/* Of its flags only this one is to change. */
static bool starts_to_log(const KVMSlot *slot)
{
    return dirty_memslot_is_logged(slot) &&
           (slot->flags ^ slot->old_flags) == KVM_MEM_LOG_DIRTY_PAGES;
}

void dirty_late_forget(KVMDirtyTracker *t, KVMSlot *slot)
{
    if (slot->dirty_late) {
        slot->dirty_late = false;
        slot->dirty_owed = false;
        qatomic_store_release(&t->late.count, t->late.count - 1);
    }
}

static bool may_be_late(uint8_t clients)
{
    return clients == 1 << DIRTY_MEMORY_MIGRATION;
}

bool dirty_late_begin(KVMDirtyTracker *t, KVMSlot *slot, MemoryRegion *mr)
{
    if (t->late.promised && t->backend->late && !slot->dirty_late &&
        starts_to_log(slot) &&
        may_be_late(memory_region_get_dirty_log_mask(mr))) {
        slot->dirty_late = true;
        dirty_blind_forget(slot);
        qatomic_set(&t->late.count, t->late.count + 1);
        trace_kvm_dirty_late(slot->as_id, slot->slot, slot->start_addr,
                             slot->memory_size);
    }
    return slot->dirty_late;
}

/* If KVM refuses, the slot is blind from now on: see memslots.h. */
static void log_now(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot)
{
    if (slot->dirty_late && !dirty_fault_stays_late(&t->fault)) {
        int ret = kvm_set_user_memory_region(kml, slot, false);

        trace_kvm_dirty_late_log(slot->as_id, slot->slot);
        dirty_late_forget(t, slot);
        dirty_blind_told(t, slot, ret);
    }
}

void dirty_late_update(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot, uint8_t clients)
{
    if (!dirty_memslot_is_logged(slot)) {
        dirty_late_forget(t, slot);
    } else if (!may_be_late(clients)) {
        log_now(t, kml, slot);
    }
}

/*
 * The sender is about to read some of the slot.  While no vCPU runs nobody
 * writes to it unseen, and most often none runs again here: put it off.
 */
static void log_or_owe(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot)
{
    if (t->late.stopped) {
        slot->dirty_owed = slot->dirty_late;
    } else {
        log_now(t, kml, slot);
    }
}

static void log_owed(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot)
{
    if (slot->dirty_owed) {
        log_now(t, kml, slot);
    }
}

void dirty_late_set_running(KVMDirtyTracker *t, bool running)
{
    dirty_lock_acquire();
    t->late.stopped = !running;
    if (running && t->late.count) {
        dirty_memslots_for_each_logged(t, log_owed);
    }
    dirty_lock_release();
}

void dirty_late_log_clear(MemoryListener *listener,
                          MemoryRegionSection *section)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    KVMMemoryListener *kml = container_of(listener, KVMMemoryListener,
                                          listener);

    if (!qatomic_load_acquire(&t->late.count)) {
        return;
    }
    dirty_lock_acquire();
    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        if (dirty_memslot_overlaps(&kml->slots[i], section)) {
            log_or_owe(t, kml, &kml->slots[i]);
        }
    }
    dirty_lock_release();
}

bool dirty_late_log_start(KVMDirtyTracker *t, Error **errp)
{
    bool ok;

    t->late.promised = true;
    ok = memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, errp);
    t->late.promised = false;
    return ok;
}

/* Returns: whether there was a slot @i to look at */
static bool log_one(KVMDirtyTracker *t, KVMMemoryListener *kml, unsigned i)
{
    bool logged = false, found;

    dirty_lock_acquire();
    found = i < kml->nr_slots_allocated;
    if (found && dirty_memslot_is_logged(&kml->slots[i])) {
        logged = kml->slots[i].dirty_late;
        log_now(t, kml, &kml->slots[i]);
    }
    dirty_lock_release();
    if (logged) {
        g_usleep(LOG_PAUSE);
    }
    return found;
}

void dirty_late_log_all(KVMDirtyTracker *t)
{
    for (int as = 0; as < t->s->nr_as; as++) {
        KVMMemoryListener *kml = t->s->as[as].ml;
        unsigned i = 0;

        while (kml && qatomic_load_acquire(&t->late.count) &&
               log_one(t, kml, i)) {
            i++;
        }
    }
}

uint8_t dirty_late_clear_shift(KVMDirtyTracker *t, uint8_t shift)
{
    return MIN(shift, ctz64(usual_part(t) >> TARGET_PAGE_BITS));
}
