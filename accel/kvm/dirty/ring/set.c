/*
 * KVM dirty page tracking: the rings of all vCPUs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "set.h"
#include "accel/kvm/dirty/stats/vcpu.h"
#include "accel/kvm/dirty/trace.h"

/*
 * Entries the kernel keeps free: a ring counts as full that early.  With page
 * modification logging, which AMD's processors do not have as yet, it also
 * keeps what one VM exit can add.  What cannot be foreseen is learnt.
 */
#define RING_RESERVED 64
#define RING_RESERVED_PML 512

DirtyRings *dirty_rings_new(const DirtyRingOps *ops, void *opaque,
                            size_t bytes)
{
    DirtyRings *rings = g_new0(DirtyRings, 1);

    rings->bytes = bytes;
    rings->list = g_ptr_array_new();
    dirty_ring_stage_init(&rings->stage, ops, opaque);
    dirty_pace_init(&rings->pace);
    memset(rings->full_at, 0xff, sizeof(rings->full_at));
    return rings;
}

void dirty_rings_free(DirtyRings *rings)
{
    DirtyRing *ring;
    guint i;

    DIRTY_RINGS_FOREACH(rings, i, ring) {
        g_free(ring->stats);
        g_free(ring->hold);
        dirty_ring_free(ring);
    }
    g_ptr_array_free(rings->list, true);
    dirty_ring_stage_destroy(&rings->stage);
    dirty_pace_destroy(&rings->pace);
    g_free(rings);
}

DirtyRing *dirty_rings_find(const DirtyRings *rings, unsigned long vcpu_id)
{
    DirtyRing *ring;
    guint i;

    DIRTY_RINGS_FOREACH(rings, i, ring) {
        if (ring->vcpu_id == vcpu_id) {
            return ring;
        }
    }
    return NULL;
}

static uint32_t reserved(void)
{
#ifdef TARGET_I386
    if (!__builtin_cpu_is("amd")) {
        return RING_RESERVED + RING_RESERVED_PML;
    }
#endif
    return RING_RESERVED;
}

/* The second smallest, so that one that is wrong does no harm. */
static uint32_t learnt_room(const DirtyRings *rings)
{
    uint32_t smallest = UINT32_MAX, second = UINT32_MAX;

    for (int i = 0; i < ARRAY_SIZE(rings->full_at); i++) {
        if (rings->full_at[i] < smallest) {
            second = smallest;
            smallest = rings->full_at[i];
        } else {
            second = MIN(second, rings->full_at[i]);
        }
    }
    return second;
}

uint32_t dirty_rings_room(const DirtyRings *rings, const DirtyRing *ring)
{
    uint32_t free = reserved();

    /* KVM makes no ring that is not larger than what it keeps free. */
    if (free >= ring->size) {
        free = RING_RESERVED;
    }
    return MIN(ring->size - free, learnt_room(rings));
}

void dirty_rings_was_full(DirtyRings *rings, const DirtyRing *ring)
{
    uint32_t fill = dirty_ring_fill(ring);

    if (fill >= ring->size / 4) {
        rings->full_at[rings->full_next++ % ARRAY_SIZE(rings->full_at)] = fill;
    }
}

void dirty_rings_watch(DirtyRings *rings, guint i, int64_t now)
{
    const DirtyRing *ring = g_ptr_array_index(rings->list, i);
    uint32_t fill = dirty_ring_fill(ring);

    dirty_vcpu_see(ring->stats, now, fill);
    dirty_pace_see(&rings->pace, i, now,
                   ring->gfns ? dirty_rings_room(rings, ring) : 0,
                   ring->fetch + fill, fill);
}

void dirty_rings_watch_all(DirtyRings *rings)
{
    int64_t now = get_clock();

    for (guint i = 0; i < rings->list->len; i++) {
        dirty_rings_watch(rings, i, now);
    }
}

void dirty_rings_see(DirtyRings *rings, int64_t now)
{
    const DirtyRing *ring;
    guint i;

    DIRTY_RINGS_FOREACH(rings, i, ring) {
        dirty_vcpu_see(ring->stats, now, dirty_ring_fill(ring));
    }
}

static bool is_due(const DirtyRings *rings, guint i, DirtyRingsFill fill)
{
    const DirtyRing *ring = g_ptr_array_index(rings->list, i);

    switch (fill) {
    case DIRTY_RINGS_ANY:
        return dirty_ring_holds(ring, 1);
    case DIRTY_RINGS_DUE:
        return dirty_pace_take(&rings->pace, i);
    case DIRTY_RINGS_MARKED:
        return dirty_ring_holds(ring, rings->watermark);
    default:
        return false;
    }
}

static void trace_entries(const DirtyRing *ring, const DirtyRingStage *stage,
                          uint32_t count)
{
    const DirtyKey *keys = &stage->keys[stage->used - count];
    CPUState *cpu = ring->owner;

    for (uint32_t i = 0; i < count; i++) {
        trace_kvm_dirty_ring_page(cpu->cpu_index, ring->fetch - count + i,
                                  dirty_key_offset(keys[i]));
    }
}

static uint32_t harvest_one(DirtyRings *rings, DirtyRing *ring, int64_t now)
{
    CPUState *cpu = ring->owner;
    uint32_t count;

    trace_kvm_dirty_ring_reap_vcpu(cpu->cpu_index);
    count = dirty_ring_harvest(ring, &rings->stage);
    if (count && trace_event_get_state_backends(TRACE_KVM_DIRTY_RING_PAGE)) {
        trace_entries(ring, &rings->stage, count);
    }

    /* For dirty-limit and dirty-rate, which read it without the lock. */
    cpu->dirty_pages += count;
    dirty_vcpu_harvested(ring->stats, now, count);

    if (rings->stage.used >= DIRTY_RING_STAGE_MAX) {
        dirty_ring_stage_commit(&rings->stage);
    }
    return count;
}

uint64_t dirty_rings_reap(DirtyRings *rings, DirtyRing *own,
                          DirtyRingsFill others)
{
    int64_t resets = rings->reset_time;
    int64_t start = get_clock();
    uint64_t total = 0;
    DirtyRing *ring;
    int64_t took;
    guint i;

    DIRTY_RINGS_FOREACH(rings, i, ring) {
        if (is_due(rings, i, ring == own ? DIRTY_RINGS_ANY : others)) {
            total += harvest_one(rings, ring, start);
        }
    }
    dirty_ring_stage_commit(&rings->stage);

    if (total) {
        took = get_clock() - start;
        resets = rings->reset_time - resets;
        rings->harvest_time += took - resets;
        trace_kvm_dirty_ring_reap(total, took / 1000);
        trace_kvm_dirty_ring_reap_time((took - resets) / 1000, resets / 1000);
    }
    return total;
}

void dirty_rings_start_history(DirtyRings *rings)
{
    int64_t now = get_clock();
    const DirtyRing *ring;
    guint i;

    DIRTY_RINGS_FOREACH(rings, i, ring) {
        dirty_vcpu_start(ring->stats, now, dirty_ring_fill(ring));
    }
    dirty_history_start(&rings->overflow.history, now, rings->overflow.pages);
}
