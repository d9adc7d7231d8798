/*
 * KVM dirty page tracking: slots that KVM refused to log
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "blind.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/publish.h"
#include "accel/kvm/dirty/trace.h"
#include "accel/kvm/dirty/stats/events.h"

static void refused(KVMDirtyTracker *t, KVMSlot *slot)
{
    trace_kvm_dirty_refused(slot->as_id, slot->slot, slot->start_addr,
                            slot->memory_size);
    slot->dirty_blind = true;
    if (!t->refused) {
        t->refused = true;
        dirty_events_refused(t);
    }
}

int dirty_blind_new(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot)
{
    int flags = slot->flags;
    int ret = kvm_set_user_memory_region(kml, slot, true);

    if (ret < 0 && dirty_memslot_is_logged(slot)) {
        slot->flags = flags & ~KVM_MEM_LOG_DIRTY_PAGES;
        ret = kvm_set_user_memory_region(kml, slot, true);
        slot->flags = flags;
        if (ret >= 0) {
            refused(t, slot);
        }
    }
    return ret;
}

void dirty_blind_told(KVMDirtyTracker *t, KVMSlot *slot, int ret)
{
    if (ret < 0 && dirty_memslot_is_blind(slot)) {
        refused(t, slot);
    } else if (slot->dirty_blind &&
               (slot->old_flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        slot->dirty_blind = false;
        dirty_publish_slot(t, slot);
    }
}

void dirty_blind_forget(KVMSlot *slot)
{
    slot->dirty_blind = false;
}
