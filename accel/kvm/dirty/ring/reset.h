/*
 * KVM dirty page tracking: resetting the rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A reset has KVM protect the pages of all marked entries again.  This file
 * makes the ioctl, says who may make it, and makes up for one that was cut
 * short.
 *
 * Who may reset.  Linux from 6.17 on stops a reset when a signal, or task work
 * such as that of io_uring, is pending.  Coming at the wrong moment, that
 * leaves up to 64 pages unprotected without showing in the result.  The
 * threads that QEMU creates for itself, such as that of migration, have all
 * signals blocked, and those that sync do not use io_uring while the guest
 * runs.  A vCPU blocks its signals for the time of the reset: it must not wait
 * for another thread to be scheduled, with the tracker lock held.  The main
 * thread, and a vCPU that may have used io_uring, let the reaper thread do it.
 * What cannot be blocked, such as SIGSTOP, a tracer or a freezer, stops the
 * thread before the ioctl returns: if the thread has slept, the reset is as
 * good as short.
 *
 * Invariant 6 of docs/protocol.md: if protection is in doubt, everything that
 * is logged is protected again, and is dirty.
 */

#ifndef ACCEL_KVM_DIRTY_RING_RESET_H
#define ACCEL_KVM_DIRTY_RING_RESET_H

/**
 * dirty_reset_rings: protect the pages of all marked entries again
 * @opaque: the KVMDirtyTracker
 *
 * KVM_RESET_DIRTY_RINGS, or KVM_RESET_DIRTY_RING where rings may overflow: that
 * tells the number of overflowed pages, too.  The signature is that of
 * DirtyRingOps.reset.  Source: KVM API, KVM_CAP_DIRTY_LOG_RING.
 * Called with the tracker lock held; the main thread waits for the reaper's.
 *
 * Returns the number of entries that KVM says it has reset, or -errno.
 */
int dirty_reset_rings(void *opaque);

/**
 * dirty_reset_reprotect: protect everything again, as some harvested pages may
 * still be writable
 * @opaque: the KVMDirtyTracker
 *
 * Protects all logged memory and publishes it, except late slots, of which the
 * sender has read nothing, and blind ones, which are dirty anyway.  If not even
 * this helps, every sync from now on finds all of it dirty.  The signature is
 * that of DirtyRingOps.reprotect.  Called with the tracker lock held.
 * Cost: O(memory that is logged).
 */
void dirty_reset_reprotect(void *opaque);

#endif
