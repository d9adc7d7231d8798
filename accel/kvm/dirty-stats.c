/*
 * KVM dirty page tracking: what the monitor shows
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-dirty-tracking.h"
#include "system/kvm.h"
#include "dirty-backend.h"

static KvmDirtyRingInfo *ring_info(KVMDirtyTracker *t)
{
    KvmDirtyRingInfo *info = g_new0(KvmDirtyRingInfo, 1);

    info->size = t->ring_size;
    info->full_exits = stat64_get(&t->stats.ring_full_exits);
    info->stray_entries = stat64_get(&t->stats.stray_entries);
    info->reprotections = stat64_get(&t->stats.reprotections);
    info->reaper_wakeups = stat64_get(&t->ring.reaper.wakeups);
    info->reaper_harvests = stat64_get(&t->ring.reaper.harvests);

    kvm_dirty_lock();
    info->harvested_pages = t->ring.harvested;
    info->resets = t->ring.stage.resets;
    info->short_resets = t->ring.stage.short_resets;
    kvm_dirty_unlock();
    return info;
}

KvmDirtyTrackingInfo *qmp_query_kvm_dirty_tracking(Error **errp)
{
    KvmDirtyTrackingInfo *info;
    KVMDirtyTracker *t;

    if (!kvm_enabled()) {
        error_setg(errp, "dirty page tracking of KVM is not in use: the "
                   "accelerator is not kvm");
        return NULL;
    }

    t = kvm_state->dirty_tracker;
    info = g_new0(KvmDirtyTrackingInfo, 1);
    info->mode = t->mode;
    info->backend = t->backend->id;
    info->reason = g_strdup(t->reason);
    info->syncs = stat64_get(&t->stats.syncs);
    info->published_pages = stat64_get(&t->stats.published_pages);
    if (t->ring_size) {
        info->ring = ring_info(t);
    }
    return info;
}
