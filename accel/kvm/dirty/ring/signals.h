/*
 * KVM dirty page tracking: what may interrupt a reset in a vCPU's thread
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux from 6.17 on stops a reset of rings when the thread has something to
 * deliver: a signal, which can be blocked, or task work, which cannot.  Task
 * work is what the kernel has a thread do on its way out of a system call; here
 * it is io_uring that leaves some for the thread that submitted a request.
 */

#ifndef ACCEL_KVM_DIRTY_RING_SIGNALS_H
#define ACCEL_KVM_DIRTY_RING_SIGNALS_H

/**
 * dirty_signals_only: nothing but signals can interrupt the calling vCPU
 *
 * False if the vCPU may have submitted requests to io_uring, as it does when it
 * emulates a disk that has aio=io_uring and no thread of its own.
 * Context: thread of a vCPU.
 */
bool dirty_signals_only(void);

/**
 * dirty_signals_blocked_call: call @fn(@opaque) with all signals blocked
 *
 * A signal that comes meanwhile, such as a kick of the vCPU, is delivered
 * after that.  Context: any thread.
 *
 * Returns: what @fn returns.
 */
int dirty_signals_blocked_call(int (*fn)(void *opaque), void *opaque);

/**
 * dirty_signals_stop_resets: whether this kernel's KVM stops a reset for them
 *
 * Linux 6.17 and later do; whether it carries patches/linux-mainline cannot be
 * asked.
 */
bool dirty_signals_stop_resets(void);

/**
 * dirty_signals_sleeps: how often the calling thread has slept so far
 *
 * A signal that cannot be blocked, a tracer or a freezer stops the thread
 * before a system call returns, and then the number has changed.  It also
 * changes if the system call had to wait for something.
 */
long dirty_signals_sleeps(void);

#endif
