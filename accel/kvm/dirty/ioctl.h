/*
 * KVM dirty page tracking: ioctls that never wait
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * kvm_vm_ioctl() waits while vCPUs are kept out of KVM for a change of
 * memslots (accel_ioctl_inhibit_begin()), and the thread that keeps them out
 * may be waiting for us: it holds the tracker lock, or waits for a reset of
 * the rings.  The wait protects the memslots.  An ioctl that goes through here
 * either does not depend on which memslots there are, or is made while the
 * tracker lock is held, perhaps by the thread that waits for us: that protects
 * them as well.
 */

#ifndef ACCEL_KVM_DIRTY_IOCTL_H
#define ACCEL_KVM_DIRTY_IOCTL_H

#include "system/kvm_int.h"

/**
 * dirty_ioctl_vm: an ioctl on the VM's descriptor
 *
 * Context: any thread; see above for what must be held.
 * Returns: what the ioctl does, or -errno.
 */
int dirty_ioctl_vm(KVMState *s, unsigned long request, void *arg);

#endif
