/*
 * KVM dirty page tracking: write-protecting all memory at once
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_WRITE_PROTECT_ALL_MEM of patches/linux as a library, for kernels that
 * have it: for the wp-all backend, and for the ring backend when slots begin
 * to be logged.
 *
 * If protecting fails, what is writable is unknown: from then on each sync
 * finds all logged memory dirty.
 */

#ifndef ACCEL_KVM_DIRTY_LOG_WP_ALL_H
#define ACCEL_KVM_DIRTY_LOG_WP_ALL_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_wp_all_protect: KVM_WRITE_PROTECT_ALL_MEM
 *
 * On return the next write to any page of a slot that is logged is seen.
 * Called with the tracker lock held.
 */
void dirty_wp_all_protect(KVMDirtyTracker *t);

/**
 * dirty_wp_all_log_start: all slots are about to begin to be logged
 *
 * If KVM can, they are then protected all at once by the next commit of a
 * listener, see dirty_wp_all_setup_commit().  Does nothing for a start by
 * migration's sender (late.h).
 * Called with BQL and tracker lock held.
 */
void dirty_wp_all_log_start(KVMDirtyTracker *t);

/**
 * dirty_wp_all_setup_commit: have @listener's commit do that
 *
 * Context: start-up; before @listener is registered.
 */
void dirty_wp_all_setup_commit(KVMDirtyTracker *t, MemoryListener *listener);

#endif
