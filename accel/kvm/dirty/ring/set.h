/*
 * KVM dirty page tracking: the rings of all vCPUs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every vCPU has a ring (ring.h).  They are kept in a list of their own, as
 * CPUState may go away under a thread that does not hold the BQL.
 *
 * Three parties empty them, each in its own thread, all under the tracker lock
 * and none needing the BQL:
 *
 *   the reaper        rings that will soon be full, while a running guest's
 *                     memory is logged (turn.h)
 *   a vCPU            its own ring, when that was full and KVM_RUN returned
 *                     (full.h)
 *   a dirty log sync  all rings (sync.h); also before a slot or a vCPU goes
 *                     away (backend.c)
 *
 * Invariant 2 of docs/protocol.md: the lock is held from the harvest until
 * publication.  So whoever takes it finds each dirty page either in a ring or
 * in QEMU's dirty memory, never between the two: a final sync cannot overtake
 * pages that another thread has staged.
 *
 * All functions are called with the tracker lock held, except new and free:
 * nobody else knows the set then.
 */

#ifndef ACCEL_KVM_DIRTY_RING_SET_H
#define ACCEL_KVM_DIRTY_RING_SET_H

#include "qemu/dirty-history.h"
#include "pace.h"
#include "reaper.h"
#include "ring.h"

/* Pages that found no room in a ring and went to bitmaps; see overflow.h */
typedef struct DirtyOverflow {
    bool stopped_by_full;       /* vCPUs stop at full rings although these */
                                /* could overflow; reaper's thread only */
    uint64_t pages;             /* so far; tracker lock */
    uint64_t fetched;           /* the same, at the last fetch; tracker lock */
    bool missed;                /* some could not be fetched then; likewise */
    DirtyHistory history;       /* of @pages; tracker lock */
    uint64_t told;              /* as many as an event has told of; */
    int64_t told_when;          /* and when, 0: never; tracker lock */
} DirtyOverflow;

typedef struct DirtyRings {
    GPtrArray *list;            /* of DirtyRing; tracker lock */
    DirtyRingStage stage;       /* tracker lock */
    /* These four are constant once started. */
    size_t bytes;               /* size of a mapped ring */
    bool interruptible;         /* resets are, by signals */
    bool with_bitmap;           /* KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP */
    uint32_t watermark;         /* entries that wake the reaper; 0: timed */
    DirtyOverflow overflow;
    /* Of the last rings that were full; tracker lock */
    uint32_t full_at[4];        /* how many entries they had */
    unsigned full_next;         /* where the next one goes, modulo 4 */
    int64_t harvest_time;       /* ns, without resets; tracker lock */
    int64_t reset_time;         /* ns, with the wait for them; likewise */
    int64_t limit_pause;        /* between looks for limits; tracker lock */
    uint32_t limit_sum;         /* entries ever pushed, of all; likewise */
    DirtyPace pace;             /* when to harvest; tracker lock */
    DirtyReaper reaper;
} DirtyRings;

/* Which rings to empty */
typedef enum DirtyRingsFill {
    DIRTY_RINGS_NONE,
    DIRTY_RINGS_ANY,            /* that have an entry */
    DIRTY_RINGS_DUE,            /* that will soon be full */
    DIRTY_RINGS_MARKED,         /* that hold as many as their watermark */
} DirtyRingsFill;

/* Run the next statement for each @ring; @i is its index. */
#define DIRTY_RINGS_FOREACH(rings, i, ring)                             \
    for ((i) = 0; (i) < (rings)->list->len &&                           \
         ((ring) = g_ptr_array_index((rings)->list, (i)), true); (i)++)

/**
 * dirty_rings_new: an empty set
 * @ops: resets, reprotects and publishes; called with @opaque
 * @bytes: the size of a mapped ring
 */
DirtyRings *dirty_rings_new(const DirtyRingOps *ops, void *opaque,
                            size_t bytes);

/**
 * dirty_rings_free: free a set, of which no ring is mapped
 *
 * The reaper was not started.
 */
void dirty_rings_free(DirtyRings *rings);

/**
 * dirty_rings_find: the ring of a vCPU, also of one that is unplugged
 * @vcpu_id: KVM's id of the vCPU
 *
 * Returns NULL if there never was such a vCPU.  Cost: O(vCPUs).
 */
DirtyRing *dirty_rings_find(const DirtyRings *rings, unsigned long vcpu_id);

/**
 * dirty_rings_room: how many entries make @ring full
 */
uint32_t dirty_rings_room(const DirtyRings *rings, const DirtyRing *ring);

/**
 * dirty_rings_was_full: KVM has just called @ring full
 *
 * How many entries that takes depends on the CPU, and KVM does not tell: learn
 * it.  A ring that is nearly empty was harvested since, and teaches nothing.
 */
void dirty_rings_was_full(DirtyRings *rings, const DirtyRing *ring);

/**
 * dirty_rings_watch: let the reaper's policy see ring @i as it is @now
 * dirty_rings_watch_all: ... all rings as they are
 */
void dirty_rings_watch(DirtyRings *rings, guint i, int64_t now);
void dirty_rings_watch_all(DirtyRings *rings);

/**
 * dirty_rings_see: let the statistics see all rings as they are @now
 */
void dirty_rings_see(DirtyRings *rings, int64_t now);

/**
 * dirty_rings_reap: empty rings and publish, with as few resets as possible
 * @own: a ring to empty if it has an entry, or NULL
 * @others: which of the other rings to empty
 *
 * Returns the number of pages.  Cost: O(vCPUs + pages).
 */
uint64_t dirty_rings_reap(DirtyRings *rings, DirtyRing *own,
                          DirtyRingsFill others);

/**
 * dirty_rings_start_history: logging starts: rates are about what comes now
 */
void dirty_rings_start_history(DirtyRings *rings);

#endif
