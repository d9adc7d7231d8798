/*
 * KVM dirty page tracking: a sync of the dirty log, by rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A sync brings what KVM knows to QEMU's dirty memory.  Rings belong to vCPUs
 * and not to address spaces, so one sync serves all address spaces.
 *
 * A sync while the guest runs is out of date when it returns, so it leaves
 * vCPUs alone: what they have not told yet comes with the next.  One while the
 * guest does not run, or is about to stop, may be the last of a migration and
 * must have everything.
 */

#ifndef ACCEL_KVM_DIRTY_RING_SYNC_H
#define ACCEL_KVM_DIRTY_RING_SYNC_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_sync_all: empty all rings
 *
 * A MemoryListener's log_sync_global.  Context: BQL held; takes the tracker
 * lock.
 */
void dirty_sync_all(MemoryListener *listener, bool last_stage);

/**
 * dirty_sync_display: a refresh of the display
 *
 * A MemoryListener's log_sync_region.  It must not cost a migration its late
 * resets, so rings are emptied only if there is something in them to be shown.
 * Context: BQL held; takes the tracker lock.
 */
void dirty_sync_display(MemoryListener *listener, MemoryRegion *mr);

/**
 * dirty_sync_prepare: migration is about to sync
 *
 * It will hold the BQL meanwhile.  Most pages can be collected without it.
 * Does nothing if no ring holds many.  Context: no locks held; takes the
 * tracker lock.
 */
void dirty_sync_prepare(KVMDirtyTracker *t);

#endif
