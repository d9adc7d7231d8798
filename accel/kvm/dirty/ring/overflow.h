/*
 * KVM dirty page tracking: pages that found no room in a ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With patches/linux a full ring need not stop its vCPU: KVM records the page
 * in the memslot's bitmap and counts it.  As long as the count stays, the
 * bitmaps need not be looked at.  With vCPUs stopped the count is exact;
 * otherwise what comes later is found later.
 */

#ifndef ACCEL_KVM_DIRTY_RING_OVERFLOW_H
#define ACCEL_KVM_DIRTY_RING_OVERFLOW_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_overflow_fetch: publish what went to bitmaps since the last time
 *
 * Called with the tracker lock held.
 */
void dirty_overflow_fetch(KVMDirtyTracker *t);

/**
 * dirty_overflow_stop_by_full: whether a full ring stops its vCPU from now on
 *
 * Dirty limits need that.  So do dirty rates, which count what is harvested
 * from a vCPU's ring: of a page in a bitmap nobody knows who wrote it.
 * Context: the reaper's thread, without locks.
 */
void dirty_overflow_stop_by_full(KVMDirtyTracker *t, bool stop);

/**
 * dirty_overflow_unlock_and_tell: release the tracker lock, and send an event
 * if pages went to bitmaps of late
 *
 * Monitors have locks of their own, so no event is sent under ours.
 * Called with the tracker lock held, which is released on return.
 */
void dirty_overflow_unlock_and_tell(KVMDirtyTracker *t);

#endif
