/*
 * KVM dirty page tracking: the reaper's turn
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the reaper thread (reaper.h) does when it wakes up: look at all rings,
 * and empty those that will soon be full (pace.h).  Where KVM signals that a
 * ring has reached its watermark, it empties the rings that have.
 */

#ifndef ACCEL_KVM_DIRTY_RING_TURN_H
#define ACCEL_KVM_DIRTY_RING_TURN_H

#include "reaper.h"

/**
 * dirty_turn_look: one turn
 * @opaque: the KVMDirtyTracker
 * @next: set to when the next turn is wanted, ns of get_clock()
 *
 * A DirtyReaperLook.  Context: the reaper's thread, without locks; tries to
 * take the tracker lock, and does not wait for it.
 *
 * Returns false if nothing was done: somebody else had the lock, or dirty
 * limits are in force.
 */
bool dirty_turn_look(void *opaque, const DirtyReaperTurn *turn, int64_t *next);

#endif
