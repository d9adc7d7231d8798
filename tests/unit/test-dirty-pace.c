/*
 * The reaper's policy on a simulated clock: guests of all kinds
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-run.h"

static void run_steady(PaceSim *sim, double rate)
{
    /* In the first second it learns how late it is. */
    pace_sim_run(sim, SIM_SEC);
    g_assert_cmpuint(sim->misses, <=, 2);
    pace_run_measure(sim, "steady", rate, 4);
    g_assert_cmpuint(sim->misses, ==, 0);
    if (sim->used->len) {
        g_assert_cmpfloat(pace_sim_median(sim), >=, 0.6);
    }
    g_assert_cmpfloat(sim->turns / 4.0, <=, pace_run_looks(sim, rate));
}

static void test_steady(void)
{
    pace_run_each(NULL, 0, run_steady);
}

static double ramp(PaceSim *sim, unsigned i)
{
    double part = (sim->now - SIM_SEC) / (2.0 * SIM_SEC);

    return sim->config.peak * (part < 1 ? part : MAX(2 - part, 0));
}

static void run_ramp(PaceSim *sim, double rate)
{
    pace_sim_run(sim, 4 * SIM_SEC);
    pace_run_note(sim, "ramp", rate, 4);
    g_assert_cmpuint(sim->misses, ==, 0);
}

/* From nothing to the peak in two seconds, and down again. */
static void test_ramp(void)
{
    pace_run_each(ramp, 0, run_ramp);
}

static int64_t any_time(PaceSim *sim, int64_t from, int64_t to)
{
    return from + g_rand_double(sim->rand) * (to - from);
}

/* Quiet for a time, then the peak for a time, and so on. */
static double phases(PaceSim *sim, const int64_t quiet[2],
                     const int64_t busy[2])
{
    if (sim->now >= sim->phase_end) {
        const int64_t *time = sim->phase ? quiet : busy;

        sim->phase = !sim->phase;
        sim->phases += sim->phase;
        sim->phase_end = sim->now + any_time(sim, time[0], time[1]);
    }
    return sim->phase ? sim->config.peak : 0;
}

/* Quiet for some seconds, then the peak for about a second, and so on. */
static double steps(PaceSim *sim, unsigned i)
{
    static const int64_t quiet[] = { SIM_SEC, 5 * SIM_SEC };
    static const int64_t busy[] = { SIM_SEC / 2, SIM_SEC };

    return phases(sim, quiet, busy);
}

static double bursts(PaceSim *sim, unsigned i)
{
    static const int64_t quiet[] = { 5 * SIM_MS, 500 * SIM_MS };
    static const int64_t busy[] = { SIM_MS, 50 * SIM_MS };

    return phases(sim, quiet, busy);
}

static void run_phases(PaceSim *sim, double rate)
{
    pace_sim_run(sim, 20 * SIM_SEC);
    pace_run_note(sim, "phases", rate, 20);
    g_assert_cmpuint(sim->phases, >=, 3);
    g_assert_cmpuint(sim->misses, <=, sim->phases);
    g_assert_cmpfloat(sim->turns / 20.0, <=, pace_run_looks(sim, rate));
}

static void test_step(void)
{
    pace_run_each(steps, 1, run_phases);
}

static void test_burst(void)
{
    pace_run_each(bursts, 1, run_phases);
}

/* A step so slow that the floor covers it leaves no excuse. */
static void test_small_step(void)
{
    PaceSimConfig config = pace_run_config(4096, SIM_MS);
    PaceSim sim;

    config.peak = PACE_RUN_FLOOR * 0.9;
    config.rate = steps;
    pace_sim_init(&sim, &config, 4);
    pace_sim_run(&sim, 30 * SIM_SEC);
    g_assert_cmpuint(sim.phases, >=, 3);
    g_assert_cmpuint(sim.misses, ==, 0);
    pace_sim_destroy(&sim);
}

/* After some bursts the next, just as high, is mostly no surprise. */
static void test_remembered(void)
{
    PaceSimConfig config = pace_run_config(4096, 60 * SIM_US);
    PaceSim sim;

    config.peak = 700000;
    config.rate = bursts;
    pace_sim_init(&sim, &config, 4);
    pace_sim_run(&sim, 30 * SIM_SEC);
    pace_run_note(&sim, "remembered", config.peak, 30);
    g_assert_cmpuint(sim.phases, >=, 60);
    g_assert_cmpuint(sim.misses, <=, sim.phases / 2);
    pace_sim_destroy(&sim);
}

/* A guest that does nothing: the longest sleeps there are. */
static void test_quiet(void)
{
    for (int s = 0; s < PACE_RUN_SIZES; s++) {
        PaceSimConfig config = pace_run_config(pace_run_sizes[s], 60 * SIM_US);
        PaceSim sim;

        pace_run_start(&sim, &config, 5 * SIM_SEC);
        g_test_message("quiet, ring %u: %" PRIu64 " looks in 5 s",
                       pace_run_sizes[s], sim.turns);
        g_assert_cmpuint(sim.used->len, ==, 0);
        g_assert_cmpuint(sim.pace.stats.harvests, ==, 0);
        g_assert_cmpuint(sim.turns / 5, >=, 9);
        g_assert_cmpuint(sim.turns / 5, <=, pace_run_looks_idle(&sim));
        pace_sim_destroy(&sim);
    }
}

/* A storm is forgotten, though not soon. */
static void test_calm(void)
{
    PaceSimConfig config = pace_run_config(4096, 60 * SIM_US);
    PaceSim sim;

    config.peak = 1000000;
    pace_run_start(&sim, &config, SIM_SEC);
    sim.config.peak = 0;
    pace_sim_run(&sim, 10 * SIM_SEC);
    pace_run_measure(&sim, "calm", 0, 5);
    g_assert_cmpuint(sim.turns / 5, <=, pace_run_looks_idle(&sim));
    pace_sim_destroy(&sim);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-pace/steady", test_steady);
    g_test_add_func("/dirty-pace/ramp", test_ramp);
    g_test_add_func("/dirty-pace/step", test_step);
    g_test_add_func("/dirty-pace/small-step", test_small_step);
    g_test_add_func("/dirty-pace/burst", test_burst);
    g_test_add_func("/dirty-pace/remembered", test_remembered);
    g_test_add_func("/dirty-pace/calm", test_calm);
    g_test_add_func("/dirty-pace/quiet", test_quiet);
    return g_test_run();
}
