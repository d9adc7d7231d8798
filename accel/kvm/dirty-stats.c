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
#include "qemu/timer.h"
#include "system/kvm.h"
#include "dirty-backend.h"

static uint64_t mean_us(int64_t sum, uint64_t count)
{
    return count ? sum / count / SCALE_US : 0;
}

/* Called with the tracker lock held. */
static KvmDirtyReaperInfo *reaper_info(KVMDirtyTracker *t)
{
    KvmDirtyReaperInfo *info = g_new0(KvmDirtyReaperInfo, 1);
    const DirtyPace *pace = &t->ring.pace;
    const DirtyPaceStats *stats = &pace->stats;
    int64_t cpu = dirty_reaper_cpu(&t->ring.reaper);
    int64_t now = get_clock();

    info->wakeups = stat64_get(&t->ring.reaper.wakeups);
    info->early_wakeups = stats->early;
    info->harvests = stats->harvests;
    info->misses = stats->misses;
    info->calls = stat64_get(&t->ring.reaper.calls);
    info->delays = stats->delays;
    info->lead_mean = mean_us(stats->lead_sum, stats->lead_count);
    info->lead_min = stats->lead_min / SCALE_US;
    info->fill_mean = stats->lead_count ? stats->fill_sum / stats->lead_count
                                        : 0;
    info->lateness_mean = mean_us(stats->late_sum, stats->late_count);
    info->lateness_max = stats->late_max / SCALE_US;
    info->cpu_share = dirty_pace_share(pace, now, cpu);
    info->cpu_share_mean = dirty_pace_share_mean(pace, now, cpu);
    info->cpu_cap = DIRTY_PACE_CPU_CAP;
    return info;
}

static KvmDirtyRingInfo *ring_info(KVMDirtyTracker *t)
{
    KvmDirtyRingInfo *info = g_new0(KvmDirtyRingInfo, 1);

    info->size = t->ring_size;
    info->overflow_fetches = stat64_get(&t->stats.overflow_fetches);
    info->full_exits = stat64_get(&t->stats.ring_full_exits);
    info->stray_entries = stat64_get(&t->stats.stray_entries);
    info->reprotections = stat64_get(&t->stats.reprotections);

    kvm_dirty_lock();
    info->reaper = reaper_info(t);
    info->harvested_pages = t->ring.harvested;
    info->overflowed_pages = t->ring.overflowed;
    info->resets = t->ring.stage.resets;
    info->short_resets = t->ring.stage.short_resets;
    kvm_dirty_unlock();
    return info;
}

static KvmDirtyFeatureList *features_info(const DirtyFeatures *features)
{
    KvmDirtyFeatureList *list = NULL;

    if (features->wp_all) {
        QAPI_LIST_PREPEND(list, KVM_DIRTY_FEATURE_WRITE_PROTECT_ALL);
    }
    if (features->watermark) {
        QAPI_LIST_PREPEND(list, KVM_DIRTY_FEATURE_RING_WATERMARK);
    }
    if (features->overflow) {
        QAPI_LIST_PREPEND(list, KVM_DIRTY_FEATURE_RING_OVERFLOW);
    }
    return list;
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
    info->protect_alls = stat64_get(&t->stats.protect_alls);
    info->slot_size = t->late.part;
    info->late_slots = qatomic_read(&t->late.count);
    info->features = features_info(&t->features);
    if (t->ring_size) {
        info->ring = ring_info(t);
    }
    return info;
}
