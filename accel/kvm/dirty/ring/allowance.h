/*
 * How many pages a vCPU may dirty
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arithmetic of a dirty limit, and nothing else: no thread, no lock, no
 * clock.  A vCPU earns entries of its ring at the rate of its limit, and spends
 * them by writing.  It may save up a few; who has spent too many stands still
 * until it has earned them, and a few more, so that it does not stop for each
 * page.
 *
 * What counts is the number of entries ever pushed.  So neither the size of the
 * ring matters nor who harvests it and when.
 */

#ifndef ACCEL_KVM_DIRTY_RING_ALLOWANCE_H
#define ACCEL_KVM_DIRTY_RING_ALLOWANCE_H

typedef struct DirtyAllowance {
    int64_t at;                 /* when @left was computed; 0: not yet */
    uint32_t pushed;            /* entries ever pushed until then; wraps */
    double left;                /* entries to spend; < 0: it owes them */
} DirtyAllowance;

/**
 * dirty_allowance_spend: @pushed entries were pushed in all until @now
 * @now: ns, of a clock that does not jump
 * @rate: entries/s that are allowed; 0: any number
 *
 * If the last call is longer ago than a second, everything starts anew.
 *
 * Returns: for how many ns the vCPU has to stand still from @now on; 0: it may
 * go on.
 */
int64_t dirty_allowance_spend(DirtyAllowance *allowance, int64_t now,
                              uint32_t pushed, double rate);

#endif
