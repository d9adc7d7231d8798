/*
 * KVM dirty page tracking: what kvm-all.c lends to it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Both are kvm-all.c's own, and static there in upstream's QEMU.
 */

#ifndef ACCEL_KVM_DIRTY_KVM_ALL_H
#define ACCEL_KVM_DIRTY_KVM_ALL_H

#include "system/kvm_int.h"

/* The tracker lock: use lock.h. */
extern QemuMutex kml_slots_lock;

/**
 * kvm_set_user_memory_region: tell KVM of a memslot, or of its new flags
 * @new: the slot is new
 *
 * slot->old_flags are those that KVM knows; they change only if KVM accepts.
 * Source: KVM API, KVM_SET_USER_MEMORY_REGION.
 *
 * Called with the tracker lock held.  Returns 0 or -errno, which is reported.
 */
int kvm_set_user_memory_region(KVMMemoryListener *kml, KVMSlot *slot,
                               bool new);

#endif
