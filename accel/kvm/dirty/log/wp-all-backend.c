/*
 * KVM dirty page tracking: the write-protect-all backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm-dirty-tracking.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "log.h"
#include "wp-all.h"
#include "wp-all-backend.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/publish.h"

static void take_slot(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot)
{
    int ret;

    if (dirty_memslot_is_untold(t, slot)) {
        return;
    }
    ret = dirty_log_get(t, slot, KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT);
    if (ret == -ENOENT) {
        /* KVM does not log it yet. */
        memset(slot->dirty_bmap, 0, slot->dirty_bmap_size);
    } else if (ret < 0) {
        bitmap_set(slot->dirty_bmap, 0, dirty_memslot_pages(slot));
    }
}

static void publish_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                         KVMSlot *slot)
{
    if (dirty_memslot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
    } else {
        dirty_publish_bitmap(t, slot);
    }
}

static void wp_all_log_sync_global(MemoryListener *listener, bool last_stage)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    dirty_lock_acquire();
    dirty_fault_sync(&t->fault);
    if (t->wp_all.first && t->late.count) {
        dirty_log_fetch_all(t);
    } else {
        dirty_memslots_for_each_logged(t, take_slot);
        dirty_wp_all_protect(t);
        dirty_memslots_for_each_logged(t, publish_slot);
    }
    t->wp_all.first = false;
    dirty_lock_release();
}

static void wp_all_log_sync_region(MemoryListener *listener, MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    dirty_lock_acquire();
    dirty_log_fetch_display(t);
    dirty_lock_release();
}

static bool wp_all_log_global_start(MemoryListener *listener, Error **errp)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    dirty_lock_acquire();
    dirty_fault_log_start(&t->fault);
    dirty_wp_all_log_start(t);
    t->wp_all.first = true;
    dirty_lock_release();
    return true;
}

static int wp_all_enable(KVMDirtyTracker *t, Error **errp)
{
    int ret;

    if (!t->features.wp_all) {
        error_setg(errp, "this kernel's KVM does not offer "
                   "KVM_CAP_X86_WRITE_PROTECT_ALL_MEM (patches/linux of "
                   "qemu-dirtytrack do), or does not use the TDP MMU");
        return -ENOTSUP;
    }
    ret = dirty_features_enable_wp_all(t->s);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM_CAP_X86_WRITE_PROTECT_ALL_MEM is "
                         "offered but cannot be enabled");
        return ret == -ENOTSUP ? -EINVAL : ret;
    }
    t->features = (DirtyFeatures) { .wp_all = true };
    return 0;
}

static void wp_all_setup_listener(KVMDirtyTracker *t, MemoryListener *listener)
{
    listener->log_global_start = wp_all_log_global_start;
    listener->log_sync_global = wp_all_log_sync_global;
    listener->log_sync_region = wp_all_log_sync_region;
}

const KVMDirtyBackendOps dirty_wp_all_backend = {
    .id = KVM_DIRTY_BACKEND_WP_ALL,
    .enable = wp_all_enable,
    .setup_listener = wp_all_setup_listener,
    .slot_logged = dirty_log_slot_alloc,
    .slot_drain = dirty_log_fetch,
    .sync_once = true,
    .late = true,
};
