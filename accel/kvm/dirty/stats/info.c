/*
 * KVM dirty page tracking: what the monitor shows
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-types-dirty-tracking.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/dirty-page-rate.h"
#include "info.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/ring/set.h"
#include "accel/kvm/dirty/stats/events.h"
#include "accel/kvm/dirty/stats/vcpu.h"

/* Nothing is said of what was never measured. */
static void reaper_info_add_timing(KvmDirtyReaperInfo *info,
                                   const DirtyPaceStats *stats)
{
    if (stats->lead_count) {
        info->has_lead_mean = info->has_lead_min = info->has_fill_mean = true;
        info->lead_mean = stats->lead_sum / stats->lead_count / SCALE_US;
        info->lead_min = stats->lead_min / SCALE_US;
        info->fill_mean = stats->fill_sum / stats->lead_count;
    }
    if (stats->late_count) {
        info->has_lateness_mean = info->has_lateness_max = true;
        info->lateness_mean = stats->late_sum / stats->late_count / SCALE_US;
        info->lateness_max = stats->late_max / SCALE_US;
    }
}

/* Called with the tracker lock held. */
static KvmDirtyReaperInfo *reaper_info(KVMDirtyTracker *t)
{
    KvmDirtyReaperInfo *info = g_new0(KvmDirtyReaperInfo, 1);
    const DirtyPace *pace = &t->rings->pace;
    const DirtyPaceStats *stats = &pace->stats;
    int64_t cpu = dirty_reaper_cpu(&t->rings->reaper);
    int64_t now = get_clock();

    info->wakeups = stat64_get(&t->rings->reaper.wakeups);
    info->early_wakeups = stats->early;
    info->harvests = stats->harvests;
    info->misses = stats->misses;
    info->calls = stat64_get(&t->rings->reaper.calls);
    info->delays = stats->delays;
    reaper_info_add_timing(info, stats);
    info->cpu_share = dirty_pace_share(pace, now, cpu);
    info->cpu_share_mean = dirty_pace_share_mean(pace, now, cpu);
    info->cpu_cap = DIRTY_PACE_CPU_CAP;
    return info;
}

/* Called with the tracker lock held. */
static KvmDirtyVcpuInfo *vcpu_info(const DirtyRing *ring, int64_t now)
{
    KvmDirtyVcpuInfo *info = g_new0(KvmDirtyVcpuInfo, 1);
    DirtyVcpuStats *stats = ring->stats;
    const CPUState *cpu = ring->owner;
    uint32_t fill = dirty_ring_fill(ring);

    dirty_vcpu_see(stats, now, fill);
    info->cpu_index = cpu->cpu_index;
    info->occupancy = fill;
    info->high_water = stats->high_water;
    info->harvested_pages = stats->harvested;
    info->full_exits = stats->full_exits;
    info->full_time = stats->full_time / SCALE_US;
    info->rate = g_new0(DirtyPageRate, 1);
    dirty_page_rate_add(info->rate, &stats->pushed, now,
                        stats->harvested + fill);
    return info;
}

/*
 * What a vCPU that was unplugged has done still counts.
 * Called with the tracker lock held.
 */
static void vcpus_info(KVMDirtyTracker *t, KvmDirtyRingInfo *info)
{
    KvmDirtyVcpuInfoList **tail = &info->vcpus;
    int64_t now = get_clock();
    int64_t full_time = 0;
    const DirtyRing *ring;
    guint i;

    DIRTY_RINGS_FOREACH(t->rings, i, ring) {
        info->harvested_pages += ring->stats->harvested;
        info->full_exits += ring->stats->full_exits;
        full_time += ring->stats->full_time;
        if (ring->gfns) {
            QAPI_LIST_APPEND(tail, vcpu_info(ring, now));
        }
    }
    info->full_time = full_time / SCALE_US;
}

static KvmDirtyRingInfo *ring_info(KVMDirtyTracker *t)
{
    KvmDirtyRingInfo *info = g_new0(KvmDirtyRingInfo, 1);

    info->size = t->ring_size;
    info->overflow_fetches = stat64_get(&t->counters.overflow_fetches);
    info->stray_entries = stat64_get(&t->counters.stray_entries);
    info->reprotections = stat64_get(&t->counters.reprotections);

    dirty_lock_acquire();
    info->reaper = reaper_info(t);
    info->harvest_time = t->rings->harvest_time / SCALE_US;
    info->overflowed_pages = t->rings->overflow.pages;
    info->resets = t->rings->stage.resets;
    info->short_resets = t->rings->stage.short_resets;
    vcpus_info(t, info);
    dirty_lock_release();
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

static KvmDirtyIoctlInfo *ioctl_info(const DirtyCountersIoctl *calls)
{
    KvmDirtyIoctlInfo *info = g_new0(KvmDirtyIoctlInfo, 1);

    info->count = stat64_get(&calls->count);
    info->time = stat64_get(&calls->ns) / SCALE_US;
    return info;
}

static KvmDirtyIoctls *ioctls_info(const DirtyCounters *counters)
{
    KvmDirtyIoctls *info = g_new0(KvmDirtyIoctls, 1);

    info->get_dirty_log = ioctl_info(&counters->get_log);
    info->clear_dirty_log = ioctl_info(&counters->clear_log);
    info->reset_dirty_rings = ioctl_info(&counters->reset_rings);
    info->write_protect_all = ioctl_info(&counters->protect_all);
    return info;
}

KvmDirtyTrackingInfo *dirty_stats_info(KVMDirtyTracker *t)
{
    KvmDirtyTrackingInfo *info = g_new0(KvmDirtyTrackingInfo, 1);
    bool lost = qatomic_read(&t->protection_lost);

    info->mode = t->mode;
    info->backend = t->backend->id;
    info->reason = g_strdup(lost ? DIRTY_EVENTS_PROTECTION_LOST : t->reason);
    info->fallback = t->fallback || lost;
    info->syncs = stat64_get(&t->counters.syncs);
    info->published_pages = stat64_get(&t->counters.published_pages);
    info->ioctls = ioctls_info(&t->counters);
    info->slot_size = t->late.part;
    info->late_slots = qatomic_read(&t->late.count);
    info->offered = features_info(&t->offered);
    info->features = features_info(&t->features);
    if (t->ring_size) {
        info->ring = ring_info(t);
    }
    return info;
}

/*
 * Rings are harvested at different times.  What each holds after its own time
 * is what it would hold after the mean of them, its rate being the weight.
 * Called with the tracker lock held.
 */
static void harvest_totals(const KVMDirtyTracker *t, KvmDirtyRingTotals *totals)
{
    const DirtyRing *ring;
    double rate = 0;
    guint i;

    DIRTY_RINGS_FOREACH(t->rings, i, ring) {
        const DirtyVcpuStats *stats = ring->stats;

        if (ring->gfns && stats->span > 0) {
            totals->harvest_pages += stats->span_pages;
            rate += stats->span_pages / (stats->span / 1e9);
        }
    }
    if (rate > 0) {
        totals->harvest_seconds = totals->harvest_pages / rate;
    }
}

void dirty_stats_totals(KVMDirtyTracker *t, KvmDirtyRingTotals *totals,
                        DirtyPageRate *overflows)
{
    *totals = (KvmDirtyRingTotals) {};
    dirty_lock_acquire();
    harvest_totals(t, totals);
    dirty_page_rate_add(overflows, &t->rings->overflow.history, get_clock(),
                        t->rings->overflow.pages);
    dirty_lock_release();
}
