/*
 * Tests of the arithmetic of a dirty limit, on a simulated clock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/ring/allowance.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)
#define MB 256                  /* in pages */

/* A vCPU that dirties as fast as it can, and who looks at it */
typedef struct Sim {
    DirtyAllowance allowance;
    double writes;              /* pages/s while it runs */
    double limit;               /* pages/s */
    int64_t look;               /* ns from look to look, */
    int64_t late;               /* and up to so many more */
    GRand *rand;
    int64_t now;
    int64_t held;               /* until then; 0: it runs */
    double pushed;
    uint32_t first;             /* where the count starts */
} Sim;

/* Returns: the time of the next event, @end at most */
static int64_t look(Sim *sim, int64_t end)
{
    int64_t wait;

    if (sim->held && sim->now >= sim->held) {
        sim->held = 0;
    }
    wait = dirty_allowance_spend(&sim->allowance, sim->now,
                                 sim->first + (uint32_t)sim->pushed,
                                 sim->limit);
    if (wait && !sim->held) {
        sim->held = sim->now + wait;
    }
    if (sim->held) {
        return MIN(sim->held, end);
    }
    return MIN(sim->now + sim->look +
               (sim->late ? g_rand_int_range(sim->rand, 0, sim->late) : 0),
               end);
}

/* Returns: how many pages were dirtied */
static double run(Sim *sim, int64_t ns)
{
    double before = sim->pushed;
    int64_t end = sim->now + ns;

    while (sim->now < end) {
        int64_t next = look(sim, end);

        if (!sim->held) {
            sim->pushed += sim->writes * (next - sim->now) / SEC;
        }
        sim->now = next;
    }
    return sim->pushed - before;
}

static Sim sim_new(double writes, double limit, int64_t late)
{
    return (Sim) {
        .writes = writes, .limit = limit, .look = MS, .late = late,
        .rand = g_rand_new_with_seed(1), .now = SEC, .first = UINT32_MAX - 100,
    };
}

/* In the long run the limit is kept, however fast the vCPU. */
static void test_mean(void)
{
    const double writes[] = { 20000, 100000, 500000 };
    const double limits[] = { 1 * MB, 8 * MB, 50 * MB };

    for (int i = 0; i < ARRAY_SIZE(writes); i++) {
        for (int j = 0; j < ARRAY_SIZE(limits); j++) {
            Sim sim = sim_new(writes[i], limits[j], 100 * US);
            double expect = MIN(writes[i], limits[j]);
            double mean;

            run(&sim, 5 * SEC);
            mean = run(&sim, 60 * SEC) / 60;
            g_test_message("%.0f pages/s, limit %.0f: %.0f", writes[i],
                           limits[j], mean);
            g_assert_cmpfloat(mean, >, expect * 0.9);
            g_assert_cmpfloat(mean, <, expect * 1.1);
            g_rand_free(sim.rand);
        }
    }
}

/* And in each second, if what a vCPU dirties from look to look is not much. */
static void test_each_second(void)
{
    Sim sim = sim_new(50000, 1 * MB, 500 * US);

    run(&sim, SEC);
    for (int i = 0; i < 30; i++) {
        double pages = run(&sim, SEC);

        g_assert_cmpfloat(pages, >, MB / 2);
        g_assert_cmpfloat(pages, <, MB * 2);
    }
    g_rand_free(sim.rand);
}

/* Who stays below the limit is not held. */
static void test_below(void)
{
    Sim sim = sim_new(7 * MB, 8 * MB, 0);

    for (int i = 0; i < 1000; i++) {
        run(&sim, 10 * MS);
        g_assert_cmpint(sim.held, ==, 0);
    }
    g_rand_free(sim.rand);
}

/* A quiet vCPU cannot save up for a burst. */
static void test_burst(void)
{
    Sim sim = sim_new(0, 8 * MB, 0);

    run(&sim, 10 * SEC);
    sim.writes = 100000;
    g_assert_cmpfloat(run(&sim, SEC), <, 8 * MB * 1.5);
    g_rand_free(sim.rand);
}

/* A vCPU that nobody could stop in time is not held for minutes. */
static void test_debt(void)
{
    DirtyAllowance allowance = {};
    int64_t wait;

    dirty_allowance_spend(&allowance, SEC, 0, 1 * MB);
    wait = dirty_allowance_spend(&allowance, SEC + 900 * MS, 100000, 1 * MB);
    g_assert_cmpint(wait, >, 4 * SEC);
    g_assert_cmpint(wait, <, 4.2 * SEC);
}

/* What was dirtied while nobody looked, or without a limit, does not count. */
static void test_anew(void)
{
    DirtyAllowance allowance = {};

    g_assert_cmpint(dirty_allowance_spend(&allowance, SEC, 1000, MB), ==, 0);
    g_assert_cmpint(dirty_allowance_spend(&allowance, 3 * SEC, 9000, MB), ==,
                    0);
    g_assert_cmpint(dirty_allowance_spend(&allowance, 3 * SEC + MS, 9100, MB),
                    >, 0);
    g_assert_cmpint(dirty_allowance_spend(&allowance, 3 * SEC + 2 * MS, 9200,
                                          0), ==, 0);
    g_assert_cmpint(dirty_allowance_spend(&allowance, 3 * SEC + 3 * MS, 20000,
                                          MB), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-allowance/mean", test_mean);
    g_test_add_func("/dirty-allowance/each-second", test_each_second);
    g_test_add_func("/dirty-allowance/below", test_below);
    g_test_add_func("/dirty-allowance/burst", test_burst);
    g_test_add_func("/dirty-allowance/debt", test_debt);
    g_test_add_func("/dirty-allowance/anew", test_anew);
    return g_test_run();
}
