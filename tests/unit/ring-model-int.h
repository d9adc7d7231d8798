/*
 * What the files of the model of KVM's dirty ring and guest share
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks, outermost first: @ioctl_lock serialises slot changes and resets;
 * each vCPU's @guest_lock is held while it is in the guest, so whoever has
 * taken and released it knows that the vCPU has been out (and has flushed what
 * it had to).  There is none round ring entries, nor one that all vCPUs share:
 * thread sanitizer must see what the protocol orders by itself, not what
 * locks of the model happen to.
 */

#ifndef TESTS_UNIT_RING_MODEL_INT_H
#define TESTS_UNIT_RING_MODEL_INT_H

#include <pthread.h>
#include "ring-model.h"

typedef struct ModelSlot {
    uint64_t base;
    uint64_t npages;        /* 0: no such slot */
    bool logged;            /* written with all guest_locks held */
    uint8_t *writable;      /* [offset], atomic: permission in page tables */
    uint8_t *dirty;         /* [offset], atomic: the bitmap; NULL if none */
    /* [vcpu][offset]: cached, with permission to write; under its guest_lock */
    uint8_t *cached;
} ModelSlot;

typedef struct ModelEntry {
    uint32_t key;
    uint64_t offset;
} ModelEntry;

typedef struct ModelVcpu {
    pthread_mutex_t guest_lock;
    int fd;                 /* of the memory file that has @gfns, or -1 */
    struct kvm_dirty_gfn *gfns;
    uint32_t dirty_index;   /* under guest_lock */
    uint32_t reset_index;   /* atomic, written under ioctl_lock */
    ModelEntry *pml;        /* under guest_lock */
    uint32_t pml_used;
    uint64_t pushed;
    uint64_t overflowed;    /* atomic, written under guest_lock */
} ModelVcpu;

struct RingModel {
    RingModelConfig config;
    pthread_mutex_t ioctl_lock;
    bool bitmaps;           /* slots have some, rings or not; constant once */
                            /* slots are logged */
    bool overflow;          /* written with all guest_locks held */
    bool stop;              /* likewise: vCPUs leave at full rings all the */
                            /* same */
    uint64_t outside;       /* pages that no vCPU wrote; under ioctl_lock */
    ModelSlot slots[RING_MODEL_AS_MAX][RING_MODEL_SLOT_MAX];
    uint64_t *ram;          /* atomic */
    ModelVcpu *vcpus;
};

/* The slot that @key names, though it may be an empty one, or NULL */
ModelSlot *model_slot_at(RingModel *model, uint32_t key);

/* Let vCPUs or others act, if the test wants it. */
void model_interleave(RingModel *model);

/* All vCPUs are out of the guest in between. */
void model_vcpus_hold(RingModel *model);
void model_vcpus_release(RingModel *model);

/* Log @slot, or not; with @all bits set.  Called with all guest_locks held. */
void model_slot_log(RingModel *model, ModelSlot *slot, bool logged, bool all);

/* No vCPU has a page cached afterwards. */
void model_flush_cached(RingModel *model);

#endif
