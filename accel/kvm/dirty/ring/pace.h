/*
 * When to harvest dirty rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reaper's policy, and nothing else: no thread, no lock, no clock.  Times
 * are nanoseconds of any clock that does not jump, given by the caller, who
 * also sees to it that calls do not overlap.
 *
 * A turn of the reaper is
 *
 *     dirty_pace_begin()
 *     for each ring: dirty_pace_see()
 *     if dirty_pace_is_due():
 *         harvest rings for which dirty_pace_take()
 *         dirty_pace_harvested()
 *         for each ring: dirty_pace_see() what has come meanwhile
 *     sleep until what dirty_pace_end() says
 */

#ifndef ACCEL_KVM_DIRTY_RING_PACE_H
#define ACCEL_KVM_DIRTY_RING_PACE_H

#include <glib.h>

/*
 * Of one CPU, in 1/1000.  The thread competes with what it serves: vCPUs and
 * the threads that send pages.  Half a CPU is a price that a migration of a
 * busy guest may cost; beyond that it is fairer to let the vCPUs that cause
 * the work wait for it, which full rings do.
 */
#define DIRTY_PACE_CPU_CAP 500

#define DIRTY_PACE_CPU_SLOTS 8

/* One ring, as it was when it was last looked at. */
typedef struct DirtyPaceRing {
    uint32_t room;              /* entries until it is full; 0: not in use */
    uint32_t fill;              /* entries that wait */
    uint32_t pushed;            /* entries ever pushed, at @since; wraps */
    int64_t since;              /* start of the span being measured; 0: none */
    double rate;                /* entries/s, as a forecast */
    bool probe;                 /* that is not to be trusted: look soon */
} DirtyPaceRing;

/* The maximum of lately: over this window of time, and the one before it. */
typedef struct DirtyPaceMax {
    int64_t since;
    int64_t recent;
    int64_t before;
} DirtyPaceMax;

/* Since the thread was started, unless said otherwise; times in ns. */
typedef struct DirtyPaceStats {
    uint64_t harvests;
    uint64_t early;             /* woke by the clock, and nothing was due */
    uint64_t misses;            /* rings that were full all the same */
    uint64_t delays;            /* turns put off, to keep to the CPU cap */
    /* Since dirty_pace_start() */
    uint64_t late_count;
    int64_t late_sum;           /* wake-ups after the planned time */
    int64_t late_max;
    uint64_t lead_count;
    int64_t lead_sum;           /* time that was left until a ring was full */
    int64_t lead_min;
    uint64_t fill_sum;          /* occupancy at harvest, 1/1000 of the room */
} DirtyPaceStats;

typedef struct DirtyPace {
    GArray *rings;              /* of DirtyPaceRing */
    DirtyPaceMax late;          /* lateness of a wake-up */
    DirtyPaceMax work;          /* duration of a harvest */
    int64_t look;               /* CPU time of a turn without a harvest */
    bool timed;                 /* this turn: planned, not asked for */
    bool due;                   /* this turn: there is a ring to harvest */

    int64_t budget;             /* CPU time in hand, ns; < 0: overdrawn */
    int64_t budget_at;          /* when that was computed */
    int64_t cpu_own;            /* CPU time at that time */

    /* CPU time of all work at certain times, for the shares shown */
    struct {
        int64_t when;
        int64_t cpu;
    } start, slots[DIRTY_PACE_CPU_SLOTS];
    unsigned slot;              /* the newest */

    DirtyPaceStats stats;
} DirtyPace;

/* What dirty_pace_plan() found. */
typedef struct DirtyPacePlan {
    int64_t next;               /* when to look again */
    int ring;                   /* whose ring decides; -1: none */
    double rate;                /* its forecast, entries/s */
    bool delayed;               /* put off, to keep to the CPU cap */
} DirtyPacePlan;

void dirty_pace_init(DirtyPace *pace);
void dirty_pace_destroy(DirtyPace *pace);

/**
 * dirty_pace_note_cpu: the thread has used so much CPU time, in ns, until @now
 *
 * For the shares shown.  Part of dirty_pace_start() and dirty_pace_end().
 */
void dirty_pace_note_cpu(DirtyPace *pace, int64_t now, int64_t cpu);

/**
 * dirty_pace_start: logging, or the VM, (re)starts
 * @logging: logging starts: also restart the statistics that say so
 * @cpu: CPU time of the thread so far
 *
 * All pages have just been protected, so that any rate is possible.
 */
void dirty_pace_start(DirtyPace *pace, int64_t now, bool logging, int64_t cpu);

/**
 * dirty_pace_begin: a turn begins
 * @planned: when it should have begun, if it was the clock that woke the
 *           thread; else 0
 */
void dirty_pace_begin(DirtyPace *pace, int64_t now, int64_t planned);

/**
 * dirty_pace_see: how full is ring @i?
 * @room: entries it takes until its vCPU has to stop; 0: nobody uses it
 * @pushed: entries pushed since the ring exists, of which
 * @fill: are still waiting
 */
void dirty_pace_see(DirtyPace *pace, unsigned i, int64_t now, uint32_t room,
                    uint32_t pushed, uint32_t fill);

/**
 * dirty_pace_is_due: is there any ring that must be harvested now?
 */
bool dirty_pace_is_due(const DirtyPace *pace);

/**
 * dirty_pace_take: with a harvest going on anyway, is ring @i to be part of it?
 *
 * As it was when last seen.  The cost of a reset is shared, but a page
 * protected before it has to be faults once more.
 */
bool dirty_pace_take(const DirtyPace *pace, unsigned i);

/**
 * dirty_pace_harvested: the turn's harvest is done
 * @begin: the time of dirty_pace_begin()
 */
void dirty_pace_harvested(DirtyPace *pace, int64_t begin, int64_t now);

/**
 * dirty_pace_end: the turn ends
 * @own: CPU time that the thread has spent so far on its own turns
 * @all: and on these and for others
 *
 * Returns: dirty_pace_plan().
 */
DirtyPacePlan dirty_pace_end(DirtyPace *pace, int64_t now, int64_t own,
                             int64_t all);

/**
 * dirty_pace_miss: ring @i was full before the reaper's turn came
 *
 * Follows dirty_pace_see() of the ring as of the time its vCPU stopped, and
 * precedes that as of the time it goes on.
 */
void dirty_pace_miss(DirtyPace *pace, unsigned i);

/**
 * dirty_pace_plan: when to look next
 */
DirtyPacePlan dirty_pace_plan(const DirtyPace *pace, int64_t now);

/**
 * dirty_pace_share: share of one CPU, in 1/1000, about the last second
 * dirty_pace_share_mean: and since dirty_pace_start() with @logging
 * @cpu: CPU time of the thread so far
 */
uint32_t dirty_pace_share(const DirtyPace *pace, int64_t now, int64_t cpu);
uint32_t dirty_pace_share_mean(const DirtyPace *pace, int64_t now,
                               int64_t cpu);

#endif
