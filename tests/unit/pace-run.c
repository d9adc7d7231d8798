/*
 * Runs of the simulated reaper that the tests of its policy share
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-run.h"

const uint32_t pace_run_sizes[PACE_RUN_SIZES] = { 1024, 4096, 65536 };
static const double rates[] = { 1000, 30000, 120000, 300000, 1000000 };
static const int64_t lates[] = { 60 * SIM_US, SIM_MS, 5 * SIM_MS };

static double steady(PaceSim *sim, unsigned i)
{
    return sim->config.peak;
}

PaceSimConfig pace_run_config(uint32_t size, int64_t late)
{
    return (PaceSimConfig) {
        .rings = 1,
        .size = size,
        .rate = steady,
        .late = late,
        .work = 30 * SIM_US,
        .work_entry = 100,
        .look = 5 * SIM_US,
    };
}

double pace_run_looks(const PaceSim *sim, double rate)
{
    double room = pace_sim_room(sim);

    return 12 + 6 * MAX(rate, PACE_RUN_FLOOR) / room;
}

double pace_run_looks_idle(const PaceSim *sim)
{
    return 12 + 2 * PACE_RUN_FLOOR / pace_sim_room(sim);
}

void pace_run_note(PaceSim *sim, const char *what, double rate, double seconds)
{
    g_test_message("%s: ring %u, %.0f/s, late %d us: misses %" PRIu64
                   ", %u harvests at %.0f %%, %.0f looks/s", what,
                   sim->config.size, rate, (int)(sim->config.late / SIM_US),
                   sim->misses, sim->used->len,
                   sim->used->len ? 100 * pace_sim_median(sim) : 0,
                   sim->turns / seconds);
}

void pace_run_start(PaceSim *sim, const PaceSimConfig *config, int64_t ns)
{
    pace_sim_init(sim, config, 1);
    pace_sim_run(sim, ns);
}

void pace_run_measure(PaceSim *sim, const char *what, double rate,
                      unsigned seconds)
{
    pace_sim_mark(sim);
    pace_sim_run(sim, seconds * SIM_SEC);
    pace_run_note(sim, what, rate, seconds);
}

void pace_run_settled(PaceSim *sim, const PaceSimConfig *config,
                      const char *what)
{
    pace_run_start(sim, config, SIM_SEC);
    pace_run_measure(sim, what, config->peak, 5);
    g_assert_cmpuint(sim->misses, ==, 0);
}

void pace_run_each(double (*rate)(PaceSim *sim, unsigned i), uint32_t seed,
                   void (*run)(PaceSim *sim, double rate))
{
    for (int s = 0; s < PACE_RUN_SIZES; s++) {
        for (int l = 0; l < G_N_ELEMENTS(lates); l++) {
            for (int r = 0; r < G_N_ELEMENTS(rates); r++) {
                PaceSimConfig config = pace_run_config(pace_run_sizes[s],
                                                       lates[l]);
                PaceSim sim;

                config.peak = rates[r];
                config.rate = rate ?: steady;
                pace_sim_init(&sim, &config, seed + r);
                if (pace_sim_possible(&sim, rates[r])) {
                    run(&sim, rates[r]);
                }
                pace_sim_destroy(&sim);
            }
        }
    }
}
