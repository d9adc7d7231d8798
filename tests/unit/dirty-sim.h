/*
 * A live migration in miniature, to test the ring protocol with
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On one side the model of the kernel and its guest (ring-model.h), on the
 * other a sender, which takes the dirty bit of a page and then copies it; in
 * between, the code under test.  The purpose of dirty tracking is that the
 * copies are equal to the guest's memory in the end.
 */

#ifndef TESTS_UNIT_DIRTY_SIM_H
#define TESTS_UNIT_DIRTY_SIM_H

#include <pthread.h>
#include "accel/kvm/dirty/ring/ring.h"
#include "accel/kvm/dirty/slots.h"
#include "ring-model.h"

typedef struct DirtySim {
    RingModelConfig config;
    RingModel *model;

    pthread_mutex_t lock;       /* the tracker lock */
    DirtyRing **rings;
    bool *plugged;
    DirtyRingStage stage;
    DirtySlots slots;

    bool stopped;               /* vCPUs must not run; for interleave() */

    bool *dirty;                /* [page] published; atomic */
    uint64_t *copy;             /* [page] what the sender has sent */

    /* Called between the publication of one entry and the next */
    void (*publishing)(struct DirtySim *sim);
    void *opaque;

    uint64_t reprotects;        /* statistics: how often all was protected, */
    uint64_t published;         /* entries that led to a page, */
    uint64_t unknown;           /* and those that did not */
} DirtySim;

/* All pages start as dirty; there are no slots yet. */
void dirty_sim_init(DirtySim *sim, const RingModelConfig *config);
void dirty_sim_destroy(DirtySim *sim);

/* Like kvm_set_user_memory_region(): what the slot had logged comes first. */
void dirty_sim_set_slot(DirtySim *sim, uint32_t key, uint64_t base,
                        uint64_t npages);

/* Harvest all rings and commit. Returns the number of entries harvested. */
size_t dirty_sim_sync(DirtySim *sim);

/* What the vCPU does when KVM_RUN comes back with its ring full. */
void dirty_sim_ring_full(DirtySim *sim, unsigned vcpu);

/* vCPU hot-unplug and replug.  An unplugged vCPU must not run. */
void dirty_sim_unplug(DirtySim *sim, unsigned vcpu);
void dirty_sim_plug(DirtySim *sim, unsigned vcpu);

/* Send @page if it is dirty. Returns whether it was. */
bool dirty_sim_send(DirtySim *sim, uint64_t page);
void dirty_sim_send_all(DirtySim *sim);

/*
 * With nothing else running: abort unless every page that was changed since it
 * was sent is known to be dirty somewhere on the way to the sender, and every
 * page that can be written to without a fault is on that way.
 */
void dirty_sim_check(DirtySim *sim, const char *when);

/*
 * The end of a migration, the vCPUs having stopped: sync, send, compare.
 * Returns the number of pages that differ.
 */
uint64_t dirty_sim_finish(DirtySim *sim);

#endif
