/*
 * KVM dirty page tracking: the ring backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM tells of written pages in a ring for each vCPU (KVM API,
 * KVM_CAP_DIRTY_LOG_RING).  This file switches the rings on, maps and unmaps
 * them, and fills in the table of operations from the other files here: set.h
 * has the overview.
 */

#ifndef ACCEL_KVM_DIRTY_RING_BACKEND_H
#define ACCEL_KVM_DIRTY_RING_BACKEND_H

#include "accel/kvm/dirty/backend.h"

extern const KVMDirtyBackendOps dirty_ring_backend;

#endif
