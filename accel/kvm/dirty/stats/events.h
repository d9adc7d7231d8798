/*
 * KVM dirty page tracking: events for those who watch
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The QMP events of qapi/dirty-tracking.json.  Monitors have locks of their
 * own, so none is sent with the tracker lock held.
 */

#ifndef ACCEL_KVM_DIRTY_STATS_EVENTS_H
#define ACCEL_KVM_DIRTY_STATS_EVENTS_H

#include "accel/kvm/dirty/state.h"
#include "accel/kvm/dirty/stats/vcpu.h"

#define DIRTY_EVENTS_PROTECTION_LOST \
    "KVM could not protect memory: all of it counts as dirty in each sync"

/**
 * dirty_events_start: tell of a fallback when the guest first runs
 *
 * Context: BQL held.
 */
void dirty_events_start(KVMDirtyTracker *t);

#define DIRTY_EVENTS_REFUSED \
    "KVM refused to log some of the guest's memory: that counts as dirty in " \
    "each sync"

/**
 * dirty_events_refused: tell that KVM refused to log a memslot
 *
 * The main loop sends the event later, so that the caller may hold any lock.
 */
void dirty_events_refused(KVMDirtyTracker *t);

/**
 * dirty_events_protection_lost: tell that KVM could not protect memory
 *
 * The main loop sends the event later, so that the caller may hold any lock.
 */
void dirty_events_protection_lost(KVMDirtyTracker *t);

/**
 * dirty_events_overflow: tell of @pages that found no room in a ring
 *
 * @pages: how many in all, so far; 0: there is nothing to tell.
 * Context: the tracker lock is not held.  Takes no lock of ours, so that the
 * reaper can call it.
 */
void dirty_events_overflow(uint64_t pages);

/**
 * dirty_events_ring_full: tell of a vCPU whose ring is full again and again
 *
 * Context: the tracker lock is not held.
 */
void dirty_events_ring_full(const CPUState *cpu, const DirtyVcpuFull *full);

#endif
