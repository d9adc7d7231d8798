/*
 * KVM dirty page tracking: dirty limits
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "exec/target_page.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/dirtylimit.h"
#include "limit.h"
#include "accel/kvm/dirty/state.h"
#include "accel/kvm/dirty/trace.h"

/*
 * How long until the next look, in ns: the shorter, the less a vCPU can dirty
 * before it is noticed.  Longer if nobody dirties anything, and if a look takes
 * so long that looking would take a twentieth of a CPU.
 */
#define LOOK_MIN (1 * SCALE_MS)
#define LOOK_MAX (8 * SCALE_MS)
#define LOOK_SHARE 20
/* How long a held vCPU sleeps at a time, ms: its limit may be gone. */
#define SLEEP_MAX 100

static double entries_per_second(const CPUState *cpu)
{
    return dirtylimit_vcpu_quota(cpu->cpu_index) *
        (double)(MiB >> TARGET_PAGE_BITS);
}

/*
 * Work of a vCPU, called with the BQL held.  It ends when somebody has other
 * work for the vCPU, which comes to it only then.
 */
static void hold(CPUState *cpu, run_on_cpu_data data)
{
    DirtyReaper *reaper = &kvm_state->dirty_tracker->rings->reaper;
    DirtyHold *held = data.host_ptr;
    int64_t end = qatomic_read(&held->until);
    int64_t left;

    while ((left = end - get_clock()) > 0 && !cpu->stop && !cpu->unplug &&
           cpu_work_list_empty(cpu) && entries_per_second(cpu)) {
        left = DIV_ROUND_UP(left, SCALE_MS);
        qemu_cond_timedwait_bql(cpu->halt_cond, MIN(left, SLEEP_MAX));
    }
    qatomic_set(&held->until, 0);
    dirty_reaper_look_by(reaper, get_clock() + LOOK_MIN);
}

/*
 * What query-migrate tells: how long the vCPU stands still for the entries of
 * a whole ring.
 */
static void tell_pause(CPUState *cpu, const DirtyRing *ring, uint32_t pushed,
                       int64_t wait)
{
    uint32_t spent = MAX(pushed - ring->hold->pushed, 1);

    qatomic_set(&cpu->throttle_us_per_full,
                (int64_t)((double)wait / SCALE_US * ring->size / spent));
}

void dirty_limit_attached(DirtyRing *ring)
{
    if (!ring->hold) {
        ring->hold = g_new0(DirtyHold, 1);
    }
    ring->hold->allowance.at = 0;
    /* The work went with the vCPU that was unplugged. */
    qatomic_set(&ring->hold->until, 0);
}

void dirty_limit_check(DirtyRing *ring, int64_t now)
{
    uint32_t pushed = ring->fetch + dirty_ring_fill(ring);
    DirtyHold *held = ring->hold;
    CPUState *cpu = ring->owner;
    int64_t wait;

    if (!held->allowance.at) {
        held->pushed = pushed;
    }
    wait = dirty_allowance_spend(&held->allowance, now, pushed,
                                 entries_per_second(cpu));
    /*
     * Not while it works off its queue, which would have no end, and whoever
     * waits for some work would wait for that.
     */
    if (wait && !qatomic_read(&held->until) && qatomic_read(&cpu->running)) {
        trace_kvm_dirty_limit_hold(cpu->cpu_index, pushed - held->pushed,
                                   wait / SCALE_US);
        tell_pause(cpu, ring, pushed, wait);
        held->pushed = pushed;
        qatomic_set(&held->until, now + wait);
        async_run_on_cpu(cpu, hold, RUN_ON_CPU_HOST_PTR(held));
    }
}

int64_t dirty_limit_check_all(DirtyRings *rings)
{
    int64_t now = get_clock();
    uint32_t pushed = 0;
    int64_t pause, took;
    DirtyRing *ring;
    guint i;

    if (!dirtylimit_in_service()) {
        return INT64_MAX;
    }
    DIRTY_RINGS_FOREACH(rings, i, ring) {
        if (ring->gfns) {
            dirty_limit_check(ring, now);
            pushed += ring->hold->allowance.pushed;
        }
    }
    pause = pushed != rings->limit_sum ? LOOK_MIN : rings->limit_pause * 2;
    rings->limit_sum = pushed;
    rings->limit_pause = CLAMP(pause, LOOK_MIN, LOOK_MAX);
    took = get_clock() - now;
    return now + MAX(rings->limit_pause, took * LOOK_SHARE);
}
