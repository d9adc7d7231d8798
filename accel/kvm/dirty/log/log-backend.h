/*
 * KVM dirty page tracking: the log backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM keeps one bitmap per memslot (KVM API, KVM_GET_DIRTY_LOG); a sync copies
 * it out, slot by slot.  Every kernel has it.  Which of the modes of log.h is
 * used depends on what KVM offers; the monitor shows it as part of the reason.
 */

#ifndef ACCEL_KVM_DIRTY_LOG_LOG_BACKEND_H
#define ACCEL_KVM_DIRTY_LOG_LOG_BACKEND_H

#include "accel/kvm/dirty/backend.h"

extern const KVMDirtyBackendOps dirty_log_backend;

#endif
