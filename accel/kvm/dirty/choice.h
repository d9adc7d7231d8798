/*
 * KVM dirty page tracking: the choice of a backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which backend is used depends on the options (options.h), on what KVM
 * offers, and on what it accepts.  The choice is made once, when the VM is
 * created and before vCPUs and memslots are: with the ring on, x86's KVM
 * refuses the dirty log.
 */

#ifndef ACCEL_KVM_DIRTY_CHOICE_H
#define ACCEL_KVM_DIRTY_CHOICE_H

#include "accel/kvm/dirty/state.h"

/**
 * dirty_choice_make: choose the backend and switch it on in KVM
 *
 * Sets t->backend, t->reason, t->fallback and the features.  A fallback is
 * reported as a warning.
 *
 * On error the options ask for something that is not available; @errp names
 * it, and what is available.  Context: start-up, BQL held.
 *
 * Returns 0 or -errno.
 */
int dirty_choice_make(KVMDirtyTracker *t, Error **errp);

#endif
