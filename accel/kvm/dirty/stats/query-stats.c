/*
 * KVM dirty page tracking: what query-stats shows of it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Appended to what the provider "kvm" tells of the VM and of each vCPU, as
 * that is what libvirt asks for.
 */

#include "qemu/osdep.h"
#include "qapi/qapi-types-stats.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include "system/stats.h"
#include "query-stats.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/state.h"
#include "accel/kvm/dirty/ring/set.h"
#include "accel/kvm/dirty/stats/vcpu.h"

typedef struct DirtyStatDesc {
    const char *name;
    StatsTarget target;
    StatsType type;
    bool us;                    /* a time, in microseconds */
    bool ring;                  /* only where there are rings */
    uint64_t (*value)(KVMDirtyTracker *t, const DirtyRing *ring);
} DirtyStatDesc;

static uint64_t syncs(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return stat64_get(&t->counters.syncs);
}

static uint64_t published(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return stat64_get(&t->counters.published_pages);
}

static uint64_t overflowed(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return t->rings->overflow.pages;
}

static uint64_t occupancy(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return dirty_ring_fill(ring);
}

static uint64_t high_water(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return ring->stats->high_water;
}

static uint64_t harvested(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return ring->stats->harvested;
}

static uint64_t full_exits(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return ring->stats->full_exits;
}

static uint64_t full_time(KVMDirtyTracker *t, const DirtyRing *ring)
{
    return ring->stats->full_time / SCALE_US;
}

static uint64_t rate(KVMDirtyTracker *t, const DirtyRing *ring)
{
    uint32_t fill = dirty_ring_fill(ring);
    int64_t now = get_clock();

    dirty_vcpu_see(ring->stats, now, fill);
    return dirty_history_rate(&ring->stats->pushed, now,
                              ring->stats->harvested + fill,
                              NANOSECONDS_PER_SECOND);
}

static const DirtyStatDesc descs[] = {
    { "dirty_tracking_syncs", STATS_TARGET_VM, STATS_TYPE_CUMULATIVE,
      .value = syncs },
    { "dirty_tracking_published_pages", STATS_TARGET_VM, STATS_TYPE_CUMULATIVE,
      .value = published },
    { "dirty_ring_overflowed_pages", STATS_TARGET_VM, STATS_TYPE_CUMULATIVE,
      .ring = true, .value = overflowed },
    { "dirty_ring_occupancy", STATS_TARGET_VCPU, STATS_TYPE_INSTANT,
      .ring = true, .value = occupancy },
    { "dirty_ring_high_water", STATS_TARGET_VCPU, STATS_TYPE_INSTANT,
      .ring = true, .value = high_water },
    { "dirty_ring_harvested_pages", STATS_TARGET_VCPU, STATS_TYPE_CUMULATIVE,
      .ring = true, .value = harvested },
    { "dirty_ring_full_exits", STATS_TARGET_VCPU, STATS_TYPE_CUMULATIVE,
      .ring = true, .value = full_exits },
    { "dirty_ring_full_time", STATS_TARGET_VCPU, STATS_TYPE_CUMULATIVE,
      .us = true, .ring = true, .value = full_time },
    { "dirty_ring_pages_per_second", STATS_TARGET_VCPU, STATS_TYPE_INSTANT,
      .ring = true, .value = rate },
};

static bool is_shown(const KVMDirtyTracker *t, const DirtyStatDesc *desc,
                     StatsTarget target)
{
    return desc->target == target && (!desc->ring || t->ring_size);
}

static Stats *new_stat(const char *name, uint64_t value)
{
    Stats *stats = g_new0(Stats, 1);

    stats->name = g_strdup(name);
    stats->value = g_new0(StatsValue, 1);
    stats->value->type = QTYPE_QNUM;
    stats->value->u.scalar = value;
    return stats;
}

/* Called with the tracker lock held. */
static const DirtyRing *ring_of(KVMDirtyTracker *t, const CPUState *cpu)
{
    const DirtyRing *ring;
    guint i;

    if (!cpu || !t->rings) {
        return NULL;
    }
    DIRTY_RINGS_FOREACH(t->rings, i, ring) {
        if (ring->gfns && ring->owner == cpu) {
            return ring;
        }
    }
    return NULL;
}

StatsList *kvm_dirty_query_stats(StatsList *list, StatsTarget target,
                                 const CPUState *cpu, strList *names)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    const DirtyRing *ring;

    dirty_lock_acquire();
    ring = ring_of(t, cpu);
    for (int i = 0; i < ARRAY_SIZE(descs); i++) {
        if (is_shown(t, &descs[i], target) && (!cpu || ring) &&
            apply_str_list_filter(descs[i].name, names)) {
            QAPI_LIST_PREPEND(list, new_stat(descs[i].name,
                                             descs[i].value(t, ring)));
        }
    }
    dirty_lock_release();
    return list;
}

StatsSchemaValueList *kvm_dirty_query_stats_schema(StatsSchemaValueList *list,
                                                   StatsTarget target)
{
    const KVMDirtyTracker *t = kvm_state->dirty_tracker;

    for (int i = 0; i < ARRAY_SIZE(descs); i++) {
        StatsSchemaValue *value;

        if (!is_shown(t, &descs[i], target)) {
            continue;
        }
        value = g_new0(StatsSchemaValue, 1);
        value->name = g_strdup(descs[i].name);
        value->type = descs[i].type;
        if (descs[i].us) {
            value->has_unit = true;
            value->unit = STATS_UNIT_SECONDS;
            value->has_base = true;
            value->base = 10;
            value->exponent = -6;
        }
        QAPI_LIST_PREPEND(list, value);
    }
    return list;
}
