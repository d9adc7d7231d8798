/*
 * KVM dirty page tracking: the reaper's turn
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "exec/memory.h"
#include "system/dirtylimit.h"
#include "limit.h"
#include "overflow.h"
#include "set.h"
#include "turn.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/state.h"
#include "accel/kvm/dirty/trace.h"

/*
 * How long the reaper sleeps, in ns, while vCPUs stop at full rings that could
 * overflow;
 */
#define STOPPED_SLEEP (100 * SCALE_MS)
/* and when somebody else has the lock: most likely to empty the rings. */
#define LOCKED_SLEEP (1 * SCALE_MS)

/* Called with the tracker lock held, in the reaper's thread. */
static int64_t plan_next(DirtyRings *rings)
{
    int64_t now = get_clock();
    DirtyPacePlan plan;
    int64_t own, all;

    own = dirty_reaper_own_cpu(&rings->reaper, &all);
    plan = dirty_pace_end(&rings->pace, now, own, all);
    if (plan.ring >= 0) {
        const DirtyRing *ring = g_ptr_array_index(rings->list, plan.ring);

        trace_kvm_dirty_reaper_plan((plan.next - now) / SCALE_US,
                                    ring->vcpu_id, plan.rate, plan.delayed);
    }
    return plan.next;
}

/*
 * KVM has told that a ring reached its watermark.  Being late is no harm: what
 * a ring has no room for goes to the bitmap.
 * Called with the tracker lock held, in the reaper's thread.  Returns when to
 * look again, unless KVM tells before.
 */
static int64_t reap_marked(DirtyRings *rings, int64_t now)
{
    if (dirty_rings_reap(rings, NULL, DIRTY_RINGS_MARKED)) {
        rings->pace.stats.harvests++;
    }
    dirty_rings_see(rings, now);
    dirty_pace_note_cpu(&rings->pace, now, dirty_reaper_cpu(&rings->reaper));
    /* Nobody tells when a measurement ends. */
    return rings->overflow.stopped_by_full ? now + STOPPED_SLEEP : INT64_MAX;
}

/*
 * Also just to look at the rings the lock is taken: it keeps them mapped and
 * their indices in step, and costs those who want it meanwhile less than a
 * microsecond per ring.
 * Called with the tracker lock held, in the reaper's thread.
 */
static int64_t look_locked(DirtyRings *rings, const DirtyReaperTurn *turn,
                           int64_t now)
{
    DirtyPace *pace = &rings->pace;

    if (!rings->watermark) {
        dirty_pace_begin(pace, now, turn->planned);
    }
    if (turn->logging_started || turn->vm_started) {
        dirty_pace_start(pace, now, turn->logging_started,
                         dirty_reaper_cpu(&rings->reaper));
    }
    if (rings->watermark) {
        return reap_marked(rings, now);
    }
    dirty_rings_watch_all(rings);
    if (dirty_pace_is_due(pace)) {
        dirty_rings_reap(rings, NULL, DIRTY_RINGS_DUE);
        dirty_pace_harvested(pace, now, get_clock());
        dirty_rings_watch_all(rings);
    }
    return plan_next(rings);
}

/*
 * Dirty-rate and dirty-limit count what is pushed into rings: nothing is to
 * overflow while they do.
 */
bool dirty_turn_look(void *opaque, const DirtyReaperTurn *turn, int64_t *next)
{
    KVMDirtyTracker *t = opaque;
    int64_t now = get_clock();
    unsigned tracking;

    if (dirty_fault_reaper_is_idle(&t->fault)) {
        *next = INT64_MAX;
        return true;
    }
    tracking = qatomic_read(&global_dirty_tracking);
    dirty_overflow_stop_by_full(t, dirtylimit_in_service() ||
        (tracking & (GLOBAL_DIRTY_LIMIT | GLOBAL_DIRTY_DIRTY_RATE)));

    /* The lock's holder is most likely about to empty the rings anyway. */
    if (!dirty_lock_try()) {
        *next = now + LOCKED_SLEEP;
        return false;
    }
    *next = look_locked(t->rings, turn, now);
    *next = MIN(*next, dirty_limit_check_all(t->rings));
    dirty_overflow_unlock_and_tell(t);
    return true;
}
