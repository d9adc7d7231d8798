/*
 * vCPUs that fill rings and a reaper that empties them, on a simulated clock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Around the policy under test (ring/pace.h) everything else is modelled: the
 * tracker lock, a thread that wakes up late, harvests that take their time
 * while vCPUs go on writing, vCPUs that stop at a full ring and empty it
 * themselves.
 */

#ifndef TESTS_UNIT_PACE_SIM_H
#define TESTS_UNIT_PACE_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "accel/kvm/dirty/ring/pace.h"

#define SIM_US  INT64_C(1000)
#define SIM_MS  INT64_C(1000000)
#define SIM_SEC INT64_C(1000000000)

#define SIM_RINGS_MAX 64
#define SIM_SECONDS_MAX 64

typedef struct PaceSim PaceSim;

typedef struct PaceSimConfig {
    unsigned rings;
    uint32_t size;              /* entries of a ring */
    uint32_t first;             /* where the indices start */
    /* Entries/s that vCPU @i writes, if it is not stopped. */
    double (*rate)(PaceSim *sim, unsigned i);
    double peak;                /* for @rate: a figure of the test's choice */
    int64_t late;               /* a wake-up is late by 0 to this, random */
    int64_t work;               /* duration of a harvest, */
    int64_t work_entry;         /* and what it takes longer for each entry */
    int64_t look;               /* CPU time of a turn without a harvest */
} PaceSimConfig;

typedef struct PaceSimRing {
    double part;                /* of an entry */
    uint32_t pushed;
    uint32_t fill;
    uint32_t taken;             /* of these: waiting for the reset */
    bool plugged;
    bool stopped;               /* at a full ring, */
    int64_t full_at;            /* since then */
} PaceSimRing;

struct PaceSim {
    PaceSimConfig config;
    DirtyPace pace;
    GRand *rand;
    int64_t now;
    int64_t next;               /* what the policy asked for */
    int64_t wake;               /* and when the thread wakes up */
    PaceSimRing ring[SIM_RINGS_MAX];

    /* Who has the tracker lock, and until when; -1: the reaper */
    bool locked;
    int holder;
    int64_t locked_at;
    int64_t locked_until;
    int64_t turn_cpu;

    int64_t own;                /* CPU time of the thread: own turns, */
    int64_t all;                /* and with what it did for vCPUs */

    /* Results */
    uint64_t turns;
    uint64_t misses;
    uint64_t early;             /* as the policy should have counted them */
    bool timed;
    GArray *used;               /* of double: fullest ring at each harvest */
    double least;               /* and the emptiest that was harvested */
    int64_t late_max;
    int64_t own_in[SIM_SECONDS_MAX];    /* CPU time by the second */

    int64_t phase_end;          /* for @rate */
    bool phase;
    uint64_t phases;
};

void pace_sim_init(PaceSim *sim, const PaceSimConfig *config, uint32_t seed);
void pace_sim_destroy(PaceSim *sim);

/* Entries that make a ring of the simulated size full. */
uint32_t pace_sim_room(const PaceSim *sim);

void pace_sim_run(PaceSim *sim, int64_t ns);

/* Forget the results so far. */
void pace_sim_mark(PaceSim *sim);

/* A vCPU comes or goes; its ring's indices go on. */
void pace_sim_plug(PaceSim *sim, unsigned i, bool plugged);

/* How full the fullest ring was at harvests, as a part of its room. */
double pace_sim_median(PaceSim *sim);

/* Entries/s that can be kept up with, as late as the thread may wake up. */
bool pace_sim_possible(const PaceSim *sim, double rate);

#endif
