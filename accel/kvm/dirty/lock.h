/*
 * KVM dirty page tracking: the tracker lock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One lock for memslots and tracking state: they change together.  It is
 * kvm-all.c's kvm_slots_lock().
 *
 * Lock order: BQL, then tracker lock.  Whoever holds the tracker lock neither
 * takes the BQL nor waits for a vCPU, with one exception: kvm-all.c waits
 * for vCPUs to leave their ioctls while it changes memslots.  So no thread may
 * wait for the tracker lock inside an ioctl of KVM's.
 *
 * The holder may wait for the reaper thread (ring/reset.c).  So the reaper
 * never waits for the lock: it tries.
 */

#ifndef ACCEL_KVM_DIRTY_LOCK_H
#define ACCEL_KVM_DIRTY_LOCK_H

/**
 * dirty_lock_acquire: wait for the tracker lock
 *
 * Context: any thread that has not called dirty_lock_never_wait().
 */
void dirty_lock_acquire(void);

/**
 * dirty_lock_try: take the tracker lock if it is free
 *
 * Returns: whether the caller has it now.
 */
bool dirty_lock_try(void);

void dirty_lock_release(void);

/**
 * dirty_lock_never_wait: the calling thread never waits for the lock
 *
 * For the thread that the lock's holder may be waiting for.  A later
 * dirty_lock_acquire() of this thread is a mistake in QEMU, and stops it.
 */
void dirty_lock_never_wait(void);

#endif
