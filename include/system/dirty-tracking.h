/*
 * KVM dirty page tracking: what migration calls
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_DIRTY_TRACKING_H
#define SYSTEM_DIRTY_TRACKING_H

/**
 * kvm_dirty_presync: a sync of the dirty log is about to come
 *
 * Does what can be done without the BQL, so that the sync itself, for which it
 * is held, finds little left to do.  Optional, and may be called at any time;
 * does nothing without KVM.
 *
 * Context: no locks held; takes the tracker lock.
 */
void kvm_dirty_presync(void);

#endif
