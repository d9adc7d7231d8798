/*
 * KVM dirty page tracking: the write-protect-all backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For kernels with patches/linux.  KVM logs to one bitmap per memslot, as for
 * the log backend, but a sync protects nothing page by page:
 *
 *   1. take the bitmaps of all slots of all address spaces; pages stay writable
 *   2. KVM_WRITE_PROTECT_ALL_MEM
 *   3. publish what was taken
 *
 * The order matters (invariant 8 of docs/protocol.md).  If memory were
 * protected first, a page that is written between the two would have its bit
 * taken and stay writable: later writes would be lost.  And a bit that is
 * published before its page is protected lets the sender read a page that
 * changes unseen.  The tracker lock is held throughout, so nobody sees the
 * time in between.
 *
 * In the first sync, when slots are late (late.h), pages are protected one by
 * one: the guest would otherwise fault on all the memory that nobody logs yet.
 * So they are for a refresh of the display, which is about its own pages.
 */

#ifndef ACCEL_KVM_DIRTY_LOG_WP_ALL_BACKEND_H
#define ACCEL_KVM_DIRTY_LOG_WP_ALL_BACKEND_H

#include "accel/kvm/dirty/backend.h"

extern const KVMDirtyBackendOps dirty_wp_all_backend;

#endif
