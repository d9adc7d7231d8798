/*
 * KVM dirty page tracking: what migration and the monitor call
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The door for all of QEMU that is not KVM's accelerator.  Nothing is done
 * here but to find the tracker, if there is one, and to hand on.
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "system/kvm.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/late.h"
#include "accel/kvm/dirty/stats/info.h"

static KVMDirtyTracker *tracker(void)
{
    return kvm_enabled() ? kvm_state->dirty_tracker : NULL;
}

KvmDirtyTrackingInfo *kvm_dirty_tracking_info(void)
{
    KVMDirtyTracker *t = tracker();

    return t ? dirty_stats_info(t) : NULL;
}

void kvm_dirty_tracking_totals(KvmDirtyRingTotals *totals,
                               DirtyPageRate *overflows)
{
    dirty_stats_totals(kvm_state->dirty_tracker, totals, overflows);
}

void kvm_dirty_tracking_presync(void)
{
    KVMDirtyTracker *t = tracker();

    if (t && t->backend->presync) {
        t->backend->presync(t);
    }
}

bool kvm_dirty_tracking_start_late(Error **errp)
{
    KVMDirtyTracker *t = tracker();

    return t ? dirty_late_log_start(t, errp)
             : memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, errp);
}

void kvm_dirty_tracking_log_all(void)
{
    KVMDirtyTracker *t = tracker();

    if (!t) {
        return;
    }
    dirty_late_log_all(t);
    if (t->backend->joined) {
        t->backend->joined(t);
    }
}

uint8_t kvm_dirty_tracking_clear_shift(uint8_t shift)
{
    KVMDirtyTracker *t = tracker();

    return t ? dirty_late_clear_shift(t, shift) : shift;
}

/* The last two are declared in system/kvm.h: upstream's API. */

bool kvm_dirty_ring_enabled(void)
{
    return kvm_state && kvm_dirty_ring_size();
}

uint32_t kvm_dirty_ring_size(void)
{
    return kvm_state->dirty_tracker->ring_size;
}
