/*
 * KVM dirty page tracking: slots that are not logged yet
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A slot is late when somebody wants to know of writes to it, but the sender
 * has read none of its pages yet, so that KVM has not been told to log it.
 * Invariant 7 of docs/protocol.md: of a late slot the sender has read no page
 * since logging began, unless no vCPU has run since.
 */

#ifndef ACCEL_KVM_DIRTY_LATE_H
#define ACCEL_KVM_DIRTY_LATE_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_late_slot_part: how much of a region goes into one memslot
 * @mr: the region to be mapped
 * @start: guest physical address
 * @size: bytes of @mr from there on
 *
 * Returns how many of these bytes, at least a page.  The answer does not
 * change, so that slots are found again.  Context: BQL held.
 */
hwaddr dirty_late_slot_part(KVMDirtyTracker *t, const MemoryRegion *mr,
                            hwaddr start, hwaddr size);

/**
 * dirty_late_log_start: start dirty logging for migration's sender
 *
 * The sender promises that all pages are dirty to begin with, and that it
 * calls memory_region_clear_dirty_bitmap() for a page before it reads it.
 * With a backend that allows it (KVMDirtyBackendOps.late), slots are late then.
 *
 * Returns false with @errp set if logging cannot be started.
 * Context: BQL held.
 */
bool dirty_late_log_start(KVMDirtyTracker *t, Error **errp);

/**
 * dirty_late_begin: make @slot, which begins to be logged, late if it may be
 * @mr: the region it maps
 *
 * Returns whether it is late, also if it was before: then KVM need not be told
 * now.  Called with BQL and tracker lock held, after dirty_late_update().
 */
bool dirty_late_begin(KVMDirtyTracker *t, KVMSlot *slot, MemoryRegion *mr);

/**
 * dirty_late_update: the flags of @slot have changed, or its clients
 * @clients: who wants to know of writes, 1 << DIRTY_MEMORY_*
 *
 * If it was late and should not be any more, KVM is told.  Called with the
 * tracker lock held.
 */
void dirty_late_update(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot, uint8_t clients);

/**
 * dirty_late_forget: @slot is late no longer
 *
 * KVM has been told to log it, or nobody logs it any more.  Called with the
 * tracker lock held.
 */
void dirty_late_forget(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_late_log_clear: pages of @section are about to be read
 *
 * A MemoryListener's log_clear: on return KVM logs the late slots there, unless
 * the guest stands still: then it will when the guest goes on.
 * Context: any thread, with or without the BQL; takes the tracker lock.
 */
void dirty_late_log_clear(MemoryListener *listener,
                          MemoryRegionSection *section);

/**
 * dirty_late_log_all: have KVM log all that is late
 *
 * For who joins a dirty log that was started late, and counts pages.
 * Context: no locks held, or else others wait for them, for seconds if the
 * guest is large; takes the tracker lock, for one slot at a time.
 */
void dirty_late_log_all(KVMDirtyTracker *t);

/**
 * dirty_late_set_running: vCPUs run from now on, or have stopped
 *
 * Context: BQL held, no vCPU runs; takes the tracker lock.
 */
void dirty_late_set_running(KVMDirtyTracker *t, bool running);

/**
 * dirty_late_clear_shift: how much to protect at a time, before it is sent
 * @shift: log2 of the number of pages, at most
 *
 * Returns log2 of the number of pages: no more than a slot has.
 * Context: BQL held.
 */
uint8_t dirty_late_clear_shift(KVMDirtyTracker *t, uint8_t shift);

#endif
