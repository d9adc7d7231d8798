/*
 * KVM dirty page tracking: a vCPU whose ring is full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_RUN returned KVM_EXIT_DIRTY_RING_FULL, and does so again until there is
 * room (KVM API, KVM_CAP_DIRTY_LOG_RING).  The vCPU empties its ring itself,
 * and the reaper's policy learns that it should have come earlier.
 */

#ifndef ACCEL_KVM_DIRTY_RING_FULL_H
#define ACCEL_KVM_DIRTY_RING_FULL_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_full_exit: make room in the ring of @cpu
 *
 * With dirty limits in force the vCPU then sleeps as long as they want it to.
 * Context: the vCPU's thread without the BQL; takes the tracker lock.
 */
void dirty_full_exit(KVMDirtyTracker *t, CPUState *cpu);

#endif
