/*
 * KVM dirty page tracking: slots that KVM refused to log
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM may refuse to log a memslot, for lack of memory say.  Such a slot is
 * blind (memslots.h): nobody knows what is written there, so all of it counts
 * as dirty in each sync.  When KVM takes the slot after all, it ceases to be
 * blind; but what was written since the last sync was logged by nobody, so all
 * of it is published once more, after it is logged.
 *
 * KVM is asked again when the slot's flags change, and not before: a migration
 * that goes on meanwhile sends the slot in each pass.
 */

#ifndef ACCEL_KVM_DIRTY_BLIND_H
#define ACCEL_KVM_DIRTY_BLIND_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_blind_new: give @slot to KVM, without a log if it refuses to log it
 *
 * Called with the tracker lock held.
 *
 * Returns 0, or -errno if KVM does not take it at all.
 */
int dirty_blind_new(KVMDirtyTracker *t, KVMMemoryListener *kml, KVMSlot *slot);

/**
 * dirty_blind_told: KVM was told of the flags of @slot
 * @ret: 0, or -errno if KVM refused
 *
 * The first time that a slot becomes blind an event says so.  Called with the
 * tracker lock held.
 */
void dirty_blind_told(KVMDirtyTracker *t, KVMSlot *slot, int ret);

/**
 * dirty_blind_forget: what was written to @slot so far is of no interest
 *
 * It is logged no longer, goes away, or is going to be sent anyway.  Called
 * with the tracker lock held.
 */
void dirty_blind_forget(KVMSlot *slot);

#endif
