/*
 * Runs of the simulated reaper that the tests of its policy share
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PACE_RUN_H
#define TESTS_UNIT_PACE_RUN_H

#include "pace-sim.h"

/* Above this a look now and then is not the cause of the wake-ups. */
#define PACE_RUN_FLOOR 25000.0

#define PACE_RUN_SIZES 3
extern const uint32_t pace_run_sizes[PACE_RUN_SIZES];

/* One ring, whose guest writes as many pages a second as the peak says. */
PaceSimConfig pace_run_config(uint32_t size, int64_t late);

/* Looks a second that a guest is worth that writes @rate pages a second, */
double pace_run_looks(const PaceSim *sim, double rate);

/* and one that writes nothing. */
double pace_run_looks_idle(const PaceSim *sim);

/* Into the test's log: what has come out in so many seconds. */
void pace_run_note(PaceSim *sim, const char *what, double rate, double seconds);

/* The first @ns */
void pace_run_start(PaceSim *sim, const PaceSimConfig *config, int64_t ns);

/* How it goes on from here. */
void pace_run_measure(PaceSim *sim, const char *what, double rate,
                      unsigned seconds);

/* When the first second is over no ring gets full, for five. */
void pace_run_settled(PaceSim *sim, const PaceSimConfig *config,
                      const char *what);

/*
 * @run on rings of all sizes, on hosts that are late by little and by much,
 * with peaks low and high, as far as such a host can keep up.
 * @rate: what the guest does; NULL: steadily at its peak
 */
void pace_run_each(double (*rate)(PaceSim *sim, unsigned i), uint32_t seed,
                   void (*run)(PaceSim *sim, double rate));

#endif
