/*
 * KVM dirty page tracking by write-protecting all memory at once
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A backend, for kernels with patches/linux.  KVM logs to a bitmap a memslot,
 * as for dirty-log.c, but a sync protects nothing page by page:
 *
 *   1. take the bitmaps of all slots of all address spaces; pages stay writable
 *   2. KVM_WRITE_PROTECT_ALL_MEM
 *   3. publish what was taken
 *
 * The order matters.  If memory were protected first, a page that is written
 * between the two would have its bit taken and stay writable: later writes
 * would be lost.  And a bit that is published before its page is protected
 * lets the sender read a page that changes unseen.  The tracker lock is held
 * throughout, so nobody sees the time in between.
 *
 * In the first sync, when slots are late (dirty-late.c), pages are protected
 * one by one: the guest would else fault on all the memory that nobody logs
 * yet.  The same goes for a refresh of the display, which is about its own
 * pages.
 *
 * If protecting fails, what is writable is unknown: from then on each sync
 * finds all logged memory dirty.
 */

#include "qemu/osdep.h"
#include <linux/kvm-dirty-tracking.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "exec/memory.h"
#include "dirty-backend.h"
#include "trace.h"

/* Called with the tracker lock held. */
static void protect_all(KVMDirtyTracker *t)
{
    int64_t start = get_clock();
    int ret = dirty_features_protect_all(t->s);

    if (ret < 0) {
        error_report_once("KVM_WRITE_PROTECT_ALL_MEM failed: %s; treating all "
                          "of the guest's memory as dirty", strerror(-ret));
        dirty_protection_lost(t);
    }
    dirty_ioctl_done(&t->stats.protect_all, start);
    trace_kvm_dirty_protect_all(ret, (get_clock() - start) / SCALE_US);
}

/* Called with BQL and tracker lock held, before slots begin to be logged. */
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
        kvm_dirty_lock();
        if (dirty_features_log_start(t->s, true) < 0) {
            /* Slots that begin to be logged would not be protected. */
            dirty_protection_lost(t);
        }
        protect_all(t);
        kvm_dirty_unlock();
    }
}

void dirty_wp_all_setup_commit(KVMDirtyTracker *t, MemoryListener *listener)
{
    if (t->features.wp_all) {
        t->wp_all.commit = listener->commit;
        listener->commit = commit;
    }
}

static void take_slot(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot)
{
    int ret;

    if (kvm_dirty_slot_is_untold(t, slot)) {
        return;
    }
    ret = dirty_log_get(t, slot, KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT);
    if (ret == -ENOENT) {
        /* KVM does not log it yet. */
        memset(slot->dirty_bmap, 0, slot->dirty_bmap_size);
    } else if (ret < 0) {
        bitmap_set(slot->dirty_bmap, 0, kvm_dirty_slot_pages(slot));
    }
}

static void publish_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                         KVMSlot *slot)
{
    if (kvm_dirty_slot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
    } else {
        dirty_log_publish(t, slot);
    }
}

static void wp_all_log_sync_global(MemoryListener *listener, bool last_stage)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    kvm_dirty_lock();
    dirty_fault_sync(&t->fault);
    if (t->wp_all.first && t->late.count) {
        dirty_log_fetch_all(t);
    } else {
        kvm_dirty_for_each_logged_slot(t, take_slot);
        protect_all(t);
        kvm_dirty_for_each_logged_slot(t, publish_slot);
    }
    t->wp_all.first = false;
    kvm_dirty_unlock();
}

static void wp_all_log_sync_region(MemoryListener *listener, MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    kvm_dirty_lock();
    dirty_log_fetch_display(t);
    kvm_dirty_unlock();
}

static bool wp_all_log_global_start(MemoryListener *listener, Error **errp)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    kvm_dirty_lock();
    dirty_fault_log_start(&t->fault);
    dirty_wp_all_log_start(t);
    t->wp_all.first = true;
    kvm_dirty_unlock();
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

const KVMDirtyBackendOps kvm_dirty_backend_wp_all = {
    .id = KVM_DIRTY_BACKEND_WP_ALL,
    .enable = wp_all_enable,
    .setup_listener = wp_all_setup_listener,
    .slot_logged = dirty_log_slot_alloc,
    .slot_drain = dirty_log_fetch,
    .sync_once = true,
    .late = true,
};
