/*
 * KVM dirty page tracking: write-protecting all memory at once
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "wp-all.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/trace.h"

void dirty_wp_all_protect(KVMDirtyTracker *t)
{
    int64_t start = get_clock();
    int ret = dirty_features_protect_all(t->s);

    if (ret < 0) {
        error_report_once("KVM_WRITE_PROTECT_ALL_MEM failed: %s; treating all "
                          "of the guest's memory as dirty", strerror(-ret));
        dirty_memslots_protection_lost(t);
    }
    dirty_counters_ioctl(&t->counters.protect_all, start);
    trace_kvm_dirty_protect_all(ret, (get_clock() - start) / SCALE_US);
}

void dirty_wp_all_log_start(KVMDirtyTracker *t)
{
    if (t->features.wp_all && !t->late.promised) {
        t->wp_all.starting = dirty_features_log_start(t->s, false) >= 0;
    }
}

/* The memory core has told KVM of all slots that are logged. */
static void commit(MemoryListener *listener)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    t->wp_all.commit(listener);
    if (t->wp_all.starting) {
        t->wp_all.starting = false;
        dirty_lock_acquire();
        if (dirty_features_log_start(t->s, true) < 0) {
            /* Slots that begin to be logged would not be protected. */
            dirty_memslots_protection_lost(t);
        }
        dirty_wp_all_protect(t);
        dirty_lock_release();
    }
}

void dirty_wp_all_setup_commit(KVMDirtyTracker *t, MemoryListener *listener)
{
    if (t->features.wp_all) {
        t->wp_all.commit = listener->commit;
        listener->commit = commit;
    }
}
