/*
 * KVM dirty page tracking: a vCPU whose ring is full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/dirtylimit.h"
#include "full.h"
#include "limit.h"
#include "set.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/stats/events.h"
#include "accel/kvm/dirty/stats/vcpu.h"
#include "accel/kvm/dirty/trace.h"

/*
 * A vCPU stopped at @when as its ring @i is full: learn from it.
 * Called with the tracker lock held.
 */
static void learn(DirtyRings *rings, guint i, int64_t when)
{
    dirty_rings_was_full(rings, g_ptr_array_index(rings->list, i));
    dirty_rings_watch(rings, i, when);
    dirty_rings_watch_all(rings);
    dirty_pace_miss(&rings->pace, i);
}

/*
 * While a vCPU with a full ring waited for the lock somebody else may have made
 * room, and what came after that can wait; or have harvested, but the reset was
 * cut short.  If the vCPU comes back and nobody has harvested meanwhile, KVM
 * calls that full which we do not: believe it.
 */
static bool needs_room(const DirtyRings *rings, DirtyRing *ring)
{
    if (dirty_ring_holds(ring, dirty_rings_room(rings, ring) / 2) ||
        rings->stage.unfinished || ring->spared == ring->fetch) {
        return true;
    }
    ring->spared = ring->fetch;
    return false;
}

/* Called with the tracker lock held; @reaper: the thread looks at rings. */
static void make_room(DirtyRings *rings, DirtyRing *ring, bool reaper,
                      int64_t when)
{
    guint i;

    if (ring && reaper && g_ptr_array_find(rings->list, ring, &i)) {
        learn(rings, i, when);
    }
    if (ring && needs_room(rings, ring)) {
        dirty_rings_reap(rings, ring,
                         reaper ? DIRTY_RINGS_DUE : DIRTY_RINGS_NONE);
    }
    if (reaper) {
        dirty_rings_watch_all(rings);
        dirty_reaper_look_by(&rings->reaper,
                             dirty_pace_plan(&rings->pace, get_clock()).next);
    }
}

void dirty_full_exit(KVMDirtyTracker *t, CPUState *cpu)
{
    bool limited = dirtylimit_in_service();
    bool reaper = dirty_reaper_is_active(&t->rings->reaper);
    int64_t when = get_clock();
    DirtyVcpuFull full = {};
    DirtyRing *ring;
    int64_t took;

    trace_kvm_dirty_ring_full(cpu->cpu_index);

    dirty_lock_acquire();
    ring = dirty_rings_find(t->rings, kvm_arch_vcpu_id(cpu));
    make_room(t->rings, ring, reaper, when);
    took = get_clock() - when;
    if (ring) {
        dirty_limit_check(ring, get_clock());
        full = dirty_vcpu_was_full(ring->stats, when, when + took, limited);
    }
    dirty_lock_release();

    trace_kvm_dirty_ring_full_done(cpu->cpu_index, took / SCALE_US);
    if (full.often) {
        dirty_events_ring_full(cpu, &full);
    }
}
