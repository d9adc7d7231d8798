/*
 * The reaper's policy on a simulated clock: several rings, one unplugged
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-run.h"

static double each_its_own(PaceSim *sim, unsigned i)
{
    return 1000.0 * (i + 1) * (i + 1);
}

/* 1000 to 256000 pages/s; the fastest decide, the others come along. */
static void test_many(void)
{
    PaceSimConfig config = pace_run_config(4096, SIM_MS / 2);
    PaceSim sim;

    config.rings = 16;
    config.rate = each_its_own;
    pace_run_settled(&sim, &config, "many");
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    /* Three quarters of a half at the least */
    g_assert_cmpfloat(sim.least, >=, 0.375);
    pace_sim_destroy(&sim);
}

/* Equal rates: rings are emptied together, not each at its own reset. */
static void test_together(void)
{
    PaceSimConfig config = pace_run_config(4096, SIM_MS / 2);
    PaceSim sim;
    double cycles;

    config.rings = 32;
    config.peak = 50000;
    pace_sim_init(&sim, &config, 1);
    for (unsigned i = 0; i < config.rings; i++) {
        sim.ring[i].fill = i * pace_sim_room(&sim) / 40;
    }
    pace_sim_run(&sim, SIM_SEC);
    pace_run_measure(&sim, "together", config.peak, 5);
    cycles = 5 * config.peak / pace_sim_room(&sim);
    g_assert_cmpuint(sim.misses, ==, 0);
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    g_assert_cmpfloat(sim.used->len, <=, 8 * cycles);
    pace_sim_destroy(&sim);
}

/* A ring in use by nobody is no reason to wake up, or to harvest. */
static void test_unplug(void)
{
    PaceSimConfig config = pace_run_config(4096, 60 * SIM_US);
    PaceSim sim;
    DirtyPacePlan plan;

    config.rings = 2;
    config.peak = 300000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_plug(&sim, 1, false);
    pace_sim_run(&sim, SIM_SEC);
    g_assert_cmpuint(sim.misses, <=, 1);

    pace_sim_plug(&sim, 0, false);
    pace_sim_run(&sim, SIM_SEC);
    pace_run_measure(&sim, "unplugged", 0, 1);
    g_assert_cmpuint(sim.used->len, ==, 0);
    g_assert_cmpuint(sim.turns, <=, 10);
    plan = dirty_pace_plan(&sim.pace, sim.now);
    g_assert_cmpint(plan.ring, ==, -1);

    /* The indices have moved on meanwhile: that was not its rate. */
    sim.config.peak = 0;
    sim.ring[0].pushed += 1000000;
    pace_sim_plug(&sim, 0, true);
    pace_sim_run(&sim, SIM_SEC);
    plan = dirty_pace_plan(&sim.pace, sim.now);
    g_assert_cmpfloat(plan.rate, <=, 330000);
    pace_sim_destroy(&sim);
}

/* Indices run freely, and go round. */
static void test_wrap(void)
{
    PaceSimConfig config = pace_run_config(4096, 60 * SIM_US);
    PaceSim sim;
    DirtyPacePlan plan;

    config.first = -50000;
    config.peak = 300000;
    pace_run_start(&sim, &config, SIM_SEC);
    plan = dirty_pace_plan(&sim.pace, sim.now);
    g_assert_cmpfloat(plan.rate, <=, 330000);
    g_assert_cmpfloat(plan.rate, >=, 270000);
    pace_sim_destroy(&sim);
}

/*
 * The time a vCPU stands still at its full ring does not count as time it took
 * to fill it.
 */
static void test_miss(void)
{
    int64_t now = SIM_SEC;
    DirtyPacePlan plan;
    DirtyPace pace;

    dirty_pace_init(&pace);
    dirty_pace_begin(&pace, now, 0);
    dirty_pace_see(&pace, 0, now, 3520, 0, 0);
    dirty_pace_end(&pace, now, 0, 0);

    /* Full after 4 ms, and harvested 16 ms after that, twice. */
    for (int i = 1; i <= 2; i++) {
        now += 4 * SIM_MS;
        dirty_pace_see(&pace, 0, now, 3520, i * 3520, 3520);
        dirty_pace_miss(&pace, 0);
        now += 16 * SIM_MS;
        dirty_pace_see(&pace, 0, now, 3520, i * 3520, 0);
        /* Look soon, whatever the forecast says. */
        plan = dirty_pace_plan(&pace, now);
        g_assert_cmpint(plan.next - now, <=, SIM_MS);
    }
    g_assert_cmpfloat(plan.rate, >=, 800000);
    g_assert_cmpuint(pace.stats.misses, ==, 2);
    dirty_pace_destroy(&pace);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-pace/many", test_many);
    g_test_add_func("/dirty-pace/together", test_together);
    g_test_add_func("/dirty-pace/unplug", test_unplug);
    g_test_add_func("/dirty-pace/wrap", test_wrap);
    g_test_add_func("/dirty-pace/miss", test_miss);
    return g_test_run();
}
