/*
 * KVM dirty page tracking: what the kernel series adds
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ioctls of patches/linux, and nothing about when to use them.  They go
 * through ioctl.h: but for the reset, none depends on which memslots there are.
 * Source: docs/kernel.md; in the kernel, KVM API sections 8.42 to 8.46.
 */

#ifndef ACCEL_KVM_DIRTY_FEATURES_H
#define ACCEL_KVM_DIRTY_FEATURES_H

#include "system/kvm.h"

/* Each is there or not, independently. */
typedef struct DirtyFeatures {
    bool overflow;              /* a full ring does not stop its vCPU; there */
                                /* is KVM_RESET_DIRTY_RING then */
    bool watermark;             /* an eventfd tells that a ring fills */
    bool wp_all;                /* KVM_WRITE_PROTECT_ALL_MEM, and taking a */
                                /* slot's log without protecting pages */
} DirtyFeatures;

/**
 * dirty_features_probe: find out what KVM offers
 *
 * Nothing is enabled by it.
 */
void dirty_features_probe(KVMState *s, DirtyFeatures *features);

/**
 * dirty_features_are_tried: whether this host's processor is of a kind that
 * the new code in the kernel has been run on
 */
bool dirty_features_are_tried(void);

/**
 * dirty_features_enable_wp_all: enable write-protect-all
 *
 * Returns 0 or -errno; after an error the feature must not be used.
 */
int dirty_features_enable_wp_all(KVMState *s);

/**
 * dirty_features_log_start: let memslots that begin to be logged, from now on,
 * be protected (one after the other), or not
 *
 * Without, dirty_features_protect_all() must follow before anybody reads pages.
 * Returns 0 or -errno.
 */
int dirty_features_log_start(KVMState *s, bool protect);

/**
 * dirty_features_protect_all: write-protect all of the guest's memory
 *
 * On return the next write to any page of a slot that is logged is seen.
 * Context: any thread.  Returns 0 or -errno: then nothing may be relied on.
 */
int dirty_features_protect_all(KVMState *s);

/**
 * dirty_features_enable_overflow: let full rings not stop their vCPUs
 * @stop: ... but stop them, as dirty limits want it
 *
 * First before there are vCPUs and logged slots; to change @stop at any time.
 * Returns 0 or -errno.
 */
int dirty_features_enable_overflow(KVMState *s, bool stop);

/**
 * dirty_features_enable_watermark: signal @eventfd when a ring holds @entries
 *
 * Once, before there are vCPUs.  Returns 0 or -errno.
 */
int dirty_features_enable_watermark(KVMState *s, int eventfd, uint32_t entries);

/**
 * dirty_features_reset: KVM_RESET_DIRTY_RING for all rings
 * @overflowed: set to the number of pages that went to bitmaps so far
 *
 * Called while the tracker lock is held, which keeps memslots as they are.
 * Returns the number of entries, or -errno.
 */
int dirty_features_reset(KVMState *s, uint64_t *overflowed);

#endif
