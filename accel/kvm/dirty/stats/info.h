/*
 * KVM dirty page tracking: what query-dirty-tracking shows of it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_STATS_INFO_H
#define ACCEL_KVM_DIRTY_STATS_INFO_H

#include "system/dirty-tracking.h"
#include "accel/kvm/dirty/state.h"

/**
 * dirty_stats_info: see kvm_dirty_tracking_info()
 *
 * Context, for both: BQL held; takes the tracker lock.
 */
KvmDirtyTrackingInfo *dirty_stats_info(KVMDirtyTracker *t);

/**
 * dirty_stats_totals: see kvm_dirty_tracking_totals()
 *
 * With rings only.
 */
void dirty_stats_totals(KVMDirtyTracker *t, KvmDirtyRingTotals *totals,
                        DirtyPageRate *overflows);

#endif
