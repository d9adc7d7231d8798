/*
 * KVM dirty page tracking: the dirty log, one bitmap per memslot
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG as a library: for the log backend,
 * for write-protect-all, and for the bitmaps that back up the rings.
 *
 * KVM_GET_DIRTY_LOG copies a slot's bitmap out.  What happens to protection
 * depends on what KVM offers (KVM API, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2):
 *
 *   legacy          GET also clears the kernel's bits and protects the pages
 *   manual protect  GET only copies; KVM_CLEAR_DIRTY_LOG clears and protects,
 *                   for the pages the sender is about to read
 *   initially set   besides, a slot starts out all dirty and unprotected, so
 *                   that starting to log does not walk the guest's memory
 *
 * In the manual modes KVMSlot.dirty_bmap remembers which bits user space has
 * seen.  Invariant: CLEAR is given only bits that are set there.  A bit the
 * kernel has set since the last GET would otherwise be cleared unseen.
 *
 * All functions are called with the tracker lock held.
 */

#ifndef ACCEL_KVM_DIRTY_LOG_LOG_H
#define ACCEL_KVM_DIRTY_LOG_LOG_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_log_slot_alloc: allocate the bitmap of a slot, unless it has one
 */
void dirty_log_slot_alloc(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_log_get: KVM_GET_DIRTY_LOG of a slot, to its bitmap
 * @flags: KVM_DIRTY_LOG_*; 0 where the kernel has none
 *
 * The bitmap must be there (dirty_log_slot_alloc()).
 * Returns 0, -ENOENT if KVM does not log the slot, or another -errno, which is
 * reported.
 */
int dirty_log_get(KVMDirtyTracker *t, KVMSlot *slot, uint32_t flags);

/**
 * dirty_log_fetch: KVM_GET_DIRTY_LOG of a slot, published
 *
 * If KVM fails, the whole slot is published: too much is safe.
 */
void dirty_log_fetch(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_log_fetch_all: the same, for all logged slots
 *
 * Returns false if KVM failed for one of them: it still has its bits, and the
 * pages are not protected, so they must be fetched again.
 */
bool dirty_log_fetch_all(KVMDirtyTracker *t);

/**
 * dirty_log_fetch_display: the same, for those that the display logs
 */
void dirty_log_fetch_display(KVMDirtyTracker *t);

/**
 * dirty_log_clear: KVM_CLEAR_DIRTY_LOG of pages that are known to be dirty
 * @first: the first page, counted from the start of the slot
 * @end: the page after the last
 *
 * Those that are set in the slot's bitmap, which must be there, are protected
 * and no longer set on return.  If KVM fails, that is reported, and KVM will
 * tell of them again.
 */
void dirty_log_clear(KVMDirtyTracker *t, KVMSlot *slot, uint64_t first,
                     uint64_t end);

#endif
