/*
 * KVM dirty page tracking: a sync of the dirty log, by rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "system/runstate.h"
#include "overflow.h"
#include "set.h"
#include "sync.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/log/log.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/publish.h"
#include "accel/kvm/dirty/trace.h"

/* Entries in a ring that are worth a harvest before a sync */
#define PRESYNC_ENTRIES 512

static void do_nothing_on_cpu(CPUState *cpu, run_on_cpu_data arg)
{
}

/*
 * With page modification logging a vCPU in the guest has written pages that it
 * has not told yet, and tells when it leaves.  A stopped one is outside.  Ask
 * each vCPU, not the VM's run state: that changes before the vCPUs have
 * stopped.  Called with the BQL held.
 */
static void flush_vcpus_in_guest(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu->stopped && !cpu->unplug) {
            run_on_cpu(cpu, do_nothing_on_cpu, RUN_ON_CPU_NULL);
        }
    }
}

void dirty_sync_all(MemoryListener *listener, bool last_stage)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    /* Postcopy's only sync after the stop does not say that it is the last. */
    bool last = last_stage || !runstate_is_running();

    trace_kvm_dirty_ring_flush(0);
    if (last) {
        flush_vcpus_in_guest();
    }

    dirty_lock_acquire();
    dirty_fault_sync(&t->fault);
    dirty_rings_reap(t->rings, NULL, DIRTY_RINGS_ANY);
    dirty_overflow_fetch(t);
    if (t->rings->with_bitmap && last) {
        dirty_log_fetch_all(t);
    }
    dirty_memslots_for_each_logged(t, dirty_publish_untold);
    dirty_overflow_unlock_and_tell(t);
    trace_kvm_dirty_ring_flush(1);
}

/* Whether a page that the display logs is among those that came of late. */
static bool has_display_page(const DirtySlots *slots, DirtyRing *ring)
{
    DirtyKey keys[64];
    uint32_t count;
    bool found = false;

    do {
        count = dirty_ring_look(ring, keys, ARRAY_SIZE(keys));
        for (uint32_t i = 0; i < count; i++) {
            const DirtySlot *slot =
                dirty_slots_find(slots, dirty_key_slot(keys[i]),
                                 dirty_key_offset(keys[i]));

            found |= slot && (slot->clients & (1 << DIRTY_MEMORY_VGA));
        }
    } while (count == ARRAY_SIZE(keys));
    return found;
}

void dirty_sync_display(MemoryListener *listener, MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    bool found = false;
    DirtyRing *ring;
    guint i;

    dirty_lock_acquire();
    DIRTY_RINGS_FOREACH(t->rings, i, ring) {
        found |= has_display_page(&t->slots, ring);
    }
    if (found) {
        dirty_rings_reap(t->rings, NULL, DIRTY_RINGS_ANY);
    }
    if (t->features.overflow) {
        /* The display's pages, too, may have gone to the bitmap. */
        dirty_log_fetch_display(t);
    }
    dirty_memslots_for_each_logged(t, dirty_publish_untold);
    dirty_lock_release();
}

void dirty_sync_prepare(KVMDirtyTracker *t)
{
    const DirtyRing *ring;
    guint i;

    trace_kvm_dirty_presync(0);
    dirty_lock_acquire();
    DIRTY_RINGS_FOREACH(t->rings, i, ring) {
        if (dirty_ring_holds(ring, PRESYNC_ENTRIES)) {
            dirty_rings_reap(t->rings, NULL, DIRTY_RINGS_ANY);
            dirty_overflow_fetch(t);
            break;
        }
    }
    dirty_overflow_unlock_and_tell(t);
    trace_kvm_dirty_presync(1);
}
