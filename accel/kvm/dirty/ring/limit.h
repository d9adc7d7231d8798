/*
 * KVM dirty page tracking: dirty limits
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A dirty limit (set-vcpu-dirty-limit, or migration's capability dirty-limit)
 * says how many MB/s a vCPU may dirty.  While there are limits the reaper looks
 * at the rings every millisecond or so.  A vCPU that has dirtied more than it
 * may (allowance.h) is held: it gets work to do, which is to sleep.
 *
 * A vCPU is held outside of KVM_RUN and of cpu_exec_start(), so nobody waits
 * for it: who wants it to stop, or has other work for it, wakes it up by the
 * usual kick.  If it still owes pages after that, it is held again.
 */

#ifndef ACCEL_KVM_DIRTY_RING_LIMIT_H
#define ACCEL_KVM_DIRTY_RING_LIMIT_H

#include "allowance.h"
#include "set.h"

/* One vCPU's; tracker lock, except as noted */
typedef struct DirtyHold {
    DirtyAllowance allowance;
    uint32_t pushed;            /* when it was last held: entries, ever */
    int64_t until;              /* it is held; 0: it is not; atomic */
} DirtyHold;

/**
 * dirty_limit_attached: @ring has got a vCPU, which is not held
 *
 * Called with the tracker lock held.
 */
void dirty_limit_attached(DirtyRing *ring);

/**
 * dirty_limit_check: hold the vCPU of @ring, an attached one, if it has
 * dirtied too much until @now
 *
 * Called with the tracker lock held.
 */
void dirty_limit_check(DirtyRing *ring, int64_t now);

/**
 * dirty_limit_check_all: the same for all vCPUs
 *
 * Returns: when to look again, ns of get_clock(); INT64_MAX: there are no
 * limits.  Called with the tracker lock held, in the reaper's thread.
 * Cost: O(vCPUs).
 */
int64_t dirty_limit_check_all(DirtyRings *rings);

#endif
