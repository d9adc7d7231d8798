/*
 * The reaper's policy on a simulated clock: slow and busy hosts, figures
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-run.h"

/* Harvests that take longer than sleeping does. */
static void test_slow_harvest(void)
{
    PaceSimConfig config = pace_run_config(4096, SIM_MS);
    PaceSim sim;

    config.work = 3 * SIM_MS;
    config.work_entry = 200;
    config.look = 5 * SIM_US;
    config.peak = 200000;
    pace_run_start(&sim, &config, SIM_SEC);
    g_assert_cmpuint(sim.misses, <=, 1);
    pace_run_measure(&sim, "slow harvest", config.peak, 5);
    g_assert_cmpuint(sim.misses, ==, 0);
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.5);
    pace_sim_destroy(&sim);
}

/*
 * Too fast for so small a ring on so slow a host: half of it is used all the
 * same, and the thread does not run wild.
 */
static void test_too_fast(void)
{
    PaceSimConfig config = pace_run_config(1024, 5 * SIM_MS);
    PaceSim sim;

    config.peak = 1000000;
    pace_sim_init(&sim, &config, 1);
    pace_run_measure(&sim, "too fast", config.peak, 5);
    g_assert_cmpuint(sim.misses, >, 0);
    g_assert_cmpfloat(sim.least, >=, 0.375);
    g_assert_cmpfloat(sim.turns / 5, <=, pace_run_looks(&sim, config.peak));
    pace_sim_destroy(&sim);
}

/* The host is slow for a while; later its lateness is forgotten. */
static void test_recovers(void)
{
    PaceSimConfig config = pace_run_config(4096, 8 * SIM_MS);
    PaceSim sim;
    double slow, good;

    config.peak = 150000;
    pace_run_start(&sim, &config, 2 * SIM_SEC);
    slow = pace_sim_median(&sim);
    sim.config.late = 60 * SIM_US;
    pace_sim_run(&sim, 8 * SIM_SEC);
    pace_run_measure(&sim, "recovered", config.peak, 2);
    good = pace_sim_median(&sim);
    g_test_message("slow host %.2f, good host %.2f", slow, good);
    g_assert_cmpfloat(good, >=, 0.85);
    g_assert_cmpuint(sim.misses, ==, 0);
    pace_sim_destroy(&sim);
}

/*
 * More work than the reaper may do: it keeps to its cap, over every second,
 * and full rings do the rest.
 */
static void test_cap(void)
{
    PaceSimConfig config = pace_run_config(65536, 60 * SIM_US);
    PaceSim sim;

    config.rings = 2;
    config.peak = 500000;
    config.work_entry = 600;
    pace_run_start(&sim, &config, 10 * SIM_SEC);
    pace_run_note(&sim, "cap", config.peak, 10);
    for (int i = 1; i < 11; i++) {
        g_test_message("own CPU time in second %d: %d ms", i,
                       (int)(sim.own_in[i] / SIM_MS));
    }
    g_assert_cmpuint(sim.misses, >, 0);
    g_assert_cmpuint(sim.pace.stats.delays, >, 0);
    for (int i = 2; i < 11; i++) {
        g_assert_cmpint(sim.own_in[i], <=,
                        SIM_MS * DIRTY_PACE_CPU_CAP * 112 / 100);
        g_assert_cmpint(sim.own_in[i], >=,
                        SIM_MS * DIRTY_PACE_CPU_CAP * 80 / 100);
    }
    pace_sim_destroy(&sim);
}

static void assert_near(double value, double wanted, double part)
{
    g_assert_cmpfloat(value, >=, wanted * (1 - part));
    g_assert_cmpfloat(value, <=, wanted * (1 + part));
}

/* What is shown is what was. */
static void test_stats(void)
{
    PaceSimConfig config = pace_run_config(4096, SIM_MS);
    PaceSim sim;
    const DirtyPaceStats *stats = &sim.pace.stats;
    uint32_t share;

    config.peak = 200000;
    pace_sim_init(&sim, &config, 7);
    pace_sim_run(&sim, 5 * SIM_SEC);

    g_assert_cmpuint(stats->harvests, ==, sim.used->len);
    g_assert_cmpuint(stats->misses, ==, sim.misses);
    g_assert_cmpuint(stats->early, ==, sim.early);
    g_assert_cmpuint(stats->late_count, <=, sim.turns);
    g_assert_cmpint(stats->late_max, ==, sim.late_max);
    g_assert_cmpint(stats->late_max, <=, SIM_MS + 10 * SIM_US);
    assert_near(stats->late_sum / stats->late_count, SIM_MS / 2, 0.2);
    g_assert_cmpuint(stats->lead_count, ==, stats->harvests);
    g_assert_cmpint(stats->lead_min, >, 0);
    g_assert_cmpint(stats->lead_min, <=, stats->lead_sum / stats->lead_count);
    /* What is not used at harvest is the lead, at this rate. */
    assert_near(stats->lead_sum / stats->lead_count,
                (1 - stats->fill_sum / 1000.0 / stats->harvests) *
                pace_sim_room(&sim) / config.peak * SIM_SEC, 0.2);
    assert_near(stats->fill_sum / 1000.0 / stats->harvests,
                pace_sim_median(&sim), 0.15);

    /* A harvest of 3000 entries each 15 ms: 330 us, 2.2 %. */
    share = sim.all * 1000 / (sim.now - SIM_SEC);
    g_assert_cmpuint(share, >, 10);
    assert_near(dirty_pace_share_mean(&sim.pace, sim.now, sim.all), share,
                0.01);
    assert_near(dirty_pace_share(&sim.pace, sim.now, sim.all), share, 0.2);
    /* A quiet guest shows at once, though not in the mean. */
    sim.config.peak = 0;
    pace_sim_run(&sim, 2 * SIM_SEC);
    g_assert_cmpuint(dirty_pace_share(&sim.pace, sim.now, sim.all), <=,
                     share / 4);
    g_assert_cmpuint(dirty_pace_share_mean(&sim.pace, sim.now, sim.all), >=,
                     share / 2);
    /* Nor needs it any turns for that. */
    g_assert_cmpuint(dirty_pace_share(&sim.pace, sim.now + 10 * SIM_SEC,
                                      sim.all), <=, share / 10);
    pace_sim_destroy(&sim);
}

/* On a host where each look is dear, a quiet guest is looked at less. */
static void test_dear_looks(void)
{
    PaceSimConfig config = pace_run_config(1024, SIM_MS / 2);
    PaceSim sim;

    config.look = 400 * SIM_US;
    config.peak = 5000;
    pace_run_settled(&sim, &config, "dear looks");
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    for (int i = 3; i < 7; i++) {
        g_assert_cmpint(sim.own_in[i], <=, SIM_SEC * 35 / 1000);
    }
    pace_sim_destroy(&sim);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-pace/slow-harvest", test_slow_harvest);
    g_test_add_func("/dirty-pace/too-fast", test_too_fast);
    g_test_add_func("/dirty-pace/dear-looks", test_dear_looks);
    g_test_add_func("/dirty-pace/recovers", test_recovers);
    g_test_add_func("/dirty-pace/cap", test_cap);
    g_test_add_func("/dirty-pace/stats", test_stats);
    return g_test_run();
}
