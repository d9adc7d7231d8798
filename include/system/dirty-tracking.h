/*
 * KVM dirty page tracking: what migration and the monitor call
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_DIRTY_TRACKING_H
#define SYSTEM_DIRTY_TRACKING_H

#include "qapi/qapi-types-dirty-tracking.h"

/**
 * kvm_dirty_tracking_info: how dirty pages are tracked, for the monitor
 *
 * Returns NULL if the accelerator is not KVM, else what the caller frees with
 * qapi_free_KvmDirtyTrackingInfo().
 *
 * Context: BQL held, so that vCPUs stay; takes the tracker lock.
 */
KvmDirtyTrackingInfo *kvm_dirty_tracking_info(void);

/* The last harvest of each ring, all of them taken together */
typedef struct KvmDirtyRingTotals {
    double harvest_seconds;     /* since the one before; 0: unknown */
    double harvest_pages;       /* what was written to meanwhile */
} KvmDirtyRingTotals;

/**
 * kvm_dirty_tracking_totals: what cannot be told of one vCPU alone
 * @overflows: where to add the rate of pages that are in bitmaps, not in rings
 *
 * Of those nobody knows which vCPU wrote them.  With rings only.
 * Context: BQL held; takes the tracker lock.
 */
void kvm_dirty_tracking_totals(KvmDirtyRingTotals *totals,
                               DirtyPageRate *overflows);

/**
 * kvm_dirty_tracking_presync: a sync of the dirty log is about to come
 *
 * Does what can be done without the BQL, so that the sync itself, for which it
 * is held, finds little left to do.  Optional, and may be called at any time;
 * does nothing without KVM.
 *
 * Context: no locks held; takes the tracker lock.
 */
void kvm_dirty_tracking_presync(void);

/**
 * kvm_dirty_tracking_start_late: start dirty logging for migration's sender
 *
 * As memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION), for a caller that
 * takes all pages as dirty to begin with, and calls
 * memory_region_clear_dirty_bitmap() for a page before it reads it.  Writes to
 * a page before that call need not be seen.
 *
 * Context: BQL held.
 */
bool kvm_dirty_tracking_start_late(Error **errp);

/**
 * kvm_dirty_tracking_log_all: see all writes from now on
 *
 * For who joins a dirty log that was started late, and counts pages.
 * Context: no locks held, or else others wait for them; takes the tracker lock.
 */
void kvm_dirty_tracking_log_all(void);

/**
 * kvm_dirty_tracking_clear_shift: how much to protect at a time, before it is
 * sent
 * @shift: log2 of the number of pages, at most
 *
 * The smaller, the longer the guest can write without faults to pages that are
 * yet to be sent.  Context: BQL held.
 */
uint8_t kvm_dirty_tracking_clear_shift(uint8_t shift);

#endif
