/*
 * The user-space end of KVM's per-vCPU dirty rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_RING_RING_H
#define ACCEL_KVM_DIRTY_RING_RING_H

#include <linux/kvm.h>
#include "accel/kvm/dirty/key.h"

/*
 * One vCPU's ring.  It outlives the vCPU: KVM cannot destroy a vCPU, QEMU
 * parks the descriptor of an unplugged one, and the kernel's indices go on
 * from where they were when it is plugged again.  So must @fetch.
 */
typedef struct DirtyRing {
    struct kvm_dirty_gfn *gfns; /* shared with the kernel; NULL if detached */
    uint32_t size;              /* entries, a power of two */
    uint32_t fetch;             /* next entry to harvest, free running */
    uint32_t looked;            /* next entry for dirty_ring_look(), likewise */
    uint32_t spared;            /* for its user: fetch when last not emptied */
    unsigned long vcpu_id;      /* KVM's id of the vCPU */
    void *owner;                /* the CPUState while attached */
    /* For its user, who frees them */
    struct DirtyVcpuStats *stats;
    struct DirtyHold *hold;
} DirtyRing;

/* What a stage needs from its surroundings. */
typedef struct DirtyRingOps {
    /*
     * Write-protect again the pages of all entries marked RESET, flush TLBs.
     * Returns how many entries were handled, or -errno.
     * (KVM API, capability KVM_CAP_DIRTY_LOG_RING)
     *
     * Must not be interrupted by signals: Linux from 6.17 on can then return
     * the full number without having protected the last of them.  Who cannot
     * rule that out sets DirtyRingStage.doubtful.
     */
    int (*reset)(void *opaque);
    /*
     * Which pages are still protected is unknown: protect everything that is
     * logged and report all of it dirty.
     */
    void (*reprotect)(void *opaque);
    /* Hand @n pages, which are protected again, to those who want to know. */
    void (*publish)(void *opaque, const DirtyKey *keys, size_t n);
} DirtyRingOps;

/* Entries between harvest and publication; see ring.c. */
typedef struct DirtyRingStage {
    const DirtyRingOps *ops;
    void *opaque;
    DirtyKey *keys;             /* what was harvested */
    size_t used;
    size_t allocated;
    DirtyKey *spare;            /* for sorting */
    size_t spare_allocated;
    bool unfinished;            /* a reset gave up; entries may be left */
    bool doubtful;              /* set by a reset that may have been cut */
                                /* short although it says nothing of it */
    uint64_t resets;            /* statistics: reset calls, */
    uint64_t short_resets;      /* and those that did not do all at once */
} DirtyRingStage;

/* The caller commits a stage that holds this many entries (2 MiB of keys). */
#define DIRTY_RING_STAGE_MAX (256 * 1024)

/**
 * dirty_ring_new: a ring without a vCPU yet
 * @vcpu_id: KVM's id of the vCPU
 * @size: entries, a power of two
 *
 * Free it with dirty_ring_free().
 */
DirtyRing *dirty_ring_new(unsigned long vcpu_id, uint32_t size);
void dirty_ring_free(DirtyRing *ring);

/**
 * dirty_ring_attach: give @ring its entries
 * @gfns: the mapped entries; they must stay mapped until dirty_ring_detach()
 * @owner: whose ring it is, for the caller's use
 *
 * The fetch index goes on from where the last attachment left it.
 */
void dirty_ring_attach(DirtyRing *ring, struct kvm_dirty_gfn *gfns,
                       void *owner);

/**
 * dirty_ring_detach: take the entries away
 *
 * The caller has harvested and committed what was left, with the vCPU out of
 * KVM_RUN for good.
 *
 * Returns: the entries, for the caller to unmap.
 */
struct kvm_dirty_gfn *dirty_ring_detach(DirtyRing *ring);

/**
 * dirty_ring_holds: whether at least @n entries wait to be harvested
 *
 * Looks at one entry only: the kernel fills the ring in order, so the n-th
 * is dirty only if all before it are.  @n is from 1 to the ring's size.
 */
bool dirty_ring_holds(const DirtyRing *ring, uint32_t n);

/**
 * dirty_ring_fill: how many entries wait to be harvested
 *
 * Looks at O(log size) entries.
 */
uint32_t dirty_ring_fill(const DirtyRing *ring);

/**
 * dirty_ring_look: see what waits, without taking it
 * @keys: room for @max pages
 *
 * Tells of each entry once, the oldest first, unless it is harvested before.
 *
 * Returns: how many are in @keys; less than @max if there are no more.
 */
uint32_t dirty_ring_look(DirtyRing *ring, DirtyKey *keys, uint32_t max);

/**
 * dirty_ring_harvest: move the waiting entries of @ring to @stage
 *
 * Sorts them, by slot and 64-page windows of it (in the ring as well, for the
 * kernel's sake), and marks them for the next reset.  They are published by
 * dirty_ring_stage_commit() and not before.  The tracker lock is held from
 * here until then.
 *
 * Returns: the number of entries moved.
 */
uint32_t dirty_ring_harvest(DirtyRing *ring, DirtyRingStage *stage);

/**
 * dirty_ring_stage_init: prepare an empty stage
 * @ops: must outlive the stage, with @opaque for its functions
 */
void dirty_ring_stage_init(DirtyRingStage *stage, const DirtyRingOps *ops,
                           void *opaque);
void dirty_ring_stage_destroy(DirtyRingStage *stage);

/**
 * dirty_ring_stage_commit: protect the staged pages again, then publish them
 *
 * Does nothing on an empty stage, unless a reset gave up before: then it tries
 * again, as the kernel may still hold a full ring of harvested entries.
 * Called with the tracker lock held.
 */
void dirty_ring_stage_commit(DirtyRingStage *stage);

#endif
