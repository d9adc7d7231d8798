/*
 * The reaper's policy on a simulated clock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-sim.h"

/* Above this a look now and then is not the cause of the wake-ups. */
#define FLOOR 25000.0

static const uint32_t sizes[] = { 1024, 4096, 65536 };
static const double rates[] = { 1000, 30000, 120000, 300000, 1000000 };
static const int64_t lates[] = { 60 * SIM_US, SIM_MS, 5 * SIM_MS };

static double steady(PaceSim *sim, unsigned i)
{
    return sim->config.peak;
}

static PaceSimConfig one_ring(uint32_t size, int64_t late)
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

/* Looks a second that a guest is worth that writes @rate pages a second. */
static double looks_for(const PaceSim *sim, double rate)
{
    double room = pace_sim_room(sim);

    return 12 + 6 * MAX(rate, FLOOR) / room;
}

static void note(PaceSim *sim, const char *what, double rate, double seconds)
{
    g_test_message("%s: ring %u, %.0f/s, late %d us: misses %" PRIu64
                   ", %u harvests at %.0f %%, %.0f looks/s", what,
                   sim->config.size, rate, (int)(sim->config.late / SIM_US),
                   sim->misses, sim->used->len,
                   sim->used->len ? 100 * pace_sim_median(sim) : 0,
                   sim->turns / seconds);
}

/* How it goes on from here. */
static void measure(PaceSim *sim, const char *what, double rate,
                    unsigned seconds)
{
    pace_sim_mark(sim);
    pace_sim_run(sim, seconds * SIM_SEC);
    note(sim, what, rate, seconds);
}

static void test_steady(void)
{
    for (int s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (int l = 0; l < G_N_ELEMENTS(lates); l++) {
            for (int r = 0; r < G_N_ELEMENTS(rates); r++) {
                PaceSimConfig config = one_ring(sizes[s], lates[l]);
                PaceSim sim;

                config.peak = rates[r];
                pace_sim_init(&sim, &config, r);
                if (pace_sim_possible(&sim, rates[r])) {
                    /* In the first second it learns how late it is. */
                    pace_sim_run(&sim, SIM_SEC);
                    g_assert_cmpuint(sim.misses, <=, 2);
                    measure(&sim, "steady", rates[r], 4);
                    g_assert_cmpuint(sim.misses, ==, 0);
                    if (sim.used->len) {
                        g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
                    }
                    g_assert_cmpfloat(sim.turns / 4.0, <=,
                                      looks_for(&sim, rates[r]));
                }
                pace_sim_destroy(&sim);
            }
        }
    }
}

static double ramp(PaceSim *sim, unsigned i)
{
    double part = (sim->now - SIM_SEC) / (2.0 * SIM_SEC);

    return sim->config.peak * (part < 1 ? part : MAX(2 - part, 0));
}

/* From nothing to the peak in two seconds, and down again. */
static void test_ramp(void)
{
    for (int s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (int l = 0; l < G_N_ELEMENTS(lates); l++) {
            for (int r = 0; r < G_N_ELEMENTS(rates); r++) {
                PaceSimConfig config = one_ring(sizes[s], lates[l]);
                PaceSim sim;

                config.peak = rates[r];
                config.rate = ramp;
                pace_sim_init(&sim, &config, r);
                if (pace_sim_possible(&sim, rates[r])) {
                    pace_sim_run(&sim, 4 * SIM_SEC);
                    note(&sim, "ramp", rates[r], 4);
                    g_assert_cmpuint(sim.misses, ==, 0);
                }
                pace_sim_destroy(&sim);
            }
        }
    }
}

static int64_t any_time(PaceSim *sim, int64_t from, int64_t to)
{
    return from + g_rand_double(sim->rand) * (to - from);
}

/* Quiet for some seconds, then the peak for about a second, and so on. */
static double steps(PaceSim *sim, unsigned i)
{
    if (sim->now >= sim->phase_end) {
        sim->phase = !sim->phase;
        sim->phases += sim->phase;
        sim->phase_end = sim->now + (sim->phase ?
            any_time(sim, SIM_SEC / 2, SIM_SEC) :
            any_time(sim, SIM_SEC, 5 * SIM_SEC));
    }
    return sim->phase ? sim->config.peak : 0;
}

static double bursts(PaceSim *sim, unsigned i)
{
    if (sim->now >= sim->phase_end) {
        sim->phase = !sim->phase;
        sim->phases += sim->phase;
        sim->phase_end = sim->now + (sim->phase ?
            any_time(sim, SIM_MS, 50 * SIM_MS) :
            any_time(sim, 5 * SIM_MS, 500 * SIM_MS));
    }
    return sim->phase ? sim->config.peak : 0;
}

static void run_phases(const char *what, double (*rate)(PaceSim *, unsigned))
{
    for (int s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (int l = 0; l < G_N_ELEMENTS(lates); l++) {
            for (int r = 0; r < G_N_ELEMENTS(rates); r++) {
                PaceSimConfig config = one_ring(sizes[s], lates[l]);
                PaceSim sim;

                config.peak = rates[r];
                config.rate = rate;
                pace_sim_init(&sim, &config, r + 1);
                if (pace_sim_possible(&sim, rates[r])) {
                    pace_sim_run(&sim, 20 * SIM_SEC);
                    note(&sim, what, rates[r], 20);
                    g_assert_cmpuint(sim.phases, >=, 3);
                    g_assert_cmpuint(sim.misses, <=, sim.phases);
                    g_assert_cmpfloat(sim.turns / 20.0, <=,
                                      looks_for(&sim, rates[r]));
                }
                pace_sim_destroy(&sim);
            }
        }
    }
}

static void test_step(void)
{
    run_phases("step", steps);
}

static void test_burst(void)
{
    run_phases("burst", bursts);
}

/* A step so slow that the floor covers it leaves no excuse. */
static void test_small_step(void)
{
    PaceSimConfig config = one_ring(4096, SIM_MS);
    PaceSim sim;

    config.peak = FLOOR * 0.9;
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
    PaceSimConfig config = one_ring(4096, 60 * SIM_US);
    PaceSim sim;

    config.peak = 700000;
    config.rate = bursts;
    pace_sim_init(&sim, &config, 4);
    pace_sim_run(&sim, 30 * SIM_SEC);
    note(&sim, "remembered", config.peak, 30);
    g_assert_cmpuint(sim.phases, >=, 60);
    g_assert_cmpuint(sim.misses, <=, sim.phases / 2);
    pace_sim_destroy(&sim);
}

static double each_its_own(PaceSim *sim, unsigned i)
{
    return 1000.0 * (i + 1) * (i + 1);
}

/* 1000 to 256000 pages/s; the fastest decide, the others come along. */
static void test_many(void)
{
    PaceSimConfig config = one_ring(4096, SIM_MS / 2);
    PaceSim sim;

    config.rings = 16;
    config.rate = each_its_own;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, SIM_SEC);
    measure(&sim, "many", 0, 5);
    g_assert_cmpuint(sim.misses, ==, 0);
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    /* Three quarters of a half at the least */
    g_assert_cmpfloat(sim.least, >=, 0.375);
    pace_sim_destroy(&sim);
}

/* Equal rates: rings are emptied together, not each at its own reset. */
static void test_together(void)
{
    PaceSimConfig config = one_ring(4096, SIM_MS / 2);
    PaceSim sim;
    double cycles;

    config.rings = 32;
    config.peak = 50000;
    pace_sim_init(&sim, &config, 1);
    for (unsigned i = 0; i < config.rings; i++) {
        sim.ring[i].fill = i * pace_sim_room(&sim) / 40;
    }
    pace_sim_run(&sim, SIM_SEC);
    measure(&sim, "together", config.peak, 5);
    cycles = 5 * config.peak / pace_sim_room(&sim);
    g_assert_cmpuint(sim.misses, ==, 0);
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    g_assert_cmpfloat(sim.used->len, <=, 8 * cycles);
    pace_sim_destroy(&sim);
}

/* Harvests that take longer than sleeping does. */
static void test_slow_harvest(void)
{
    PaceSimConfig config = one_ring(4096, SIM_MS);
    PaceSim sim;

    config.work = 3 * SIM_MS;
    config.work_entry = 200;
    config.look = 5 * SIM_US;
    config.peak = 200000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, SIM_SEC);
    g_assert_cmpuint(sim.misses, <=, 1);
    measure(&sim, "slow harvest", config.peak, 5);
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
    PaceSimConfig config = one_ring(1024, 5 * SIM_MS);
    PaceSim sim;

    config.peak = 1000000;
    pace_sim_init(&sim, &config, 1);
    measure(&sim, "too fast", config.peak, 5);
    g_assert_cmpuint(sim.misses, >, 0);
    g_assert_cmpfloat(sim.least, >=, 0.375);
    g_assert_cmpfloat(sim.turns / 5, <=, looks_for(&sim, config.peak));
    pace_sim_destroy(&sim);
}

/* The host is slow for a while; later its lateness is forgotten. */
static void test_recovers(void)
{
    PaceSimConfig config = one_ring(4096, 8 * SIM_MS);
    PaceSim sim;
    double slow, good;

    config.peak = 150000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, 2 * SIM_SEC);
    slow = pace_sim_median(&sim);
    sim.config.late = 60 * SIM_US;
    pace_sim_run(&sim, 8 * SIM_SEC);
    pace_sim_mark(&sim);
    pace_sim_run(&sim, 2 * SIM_SEC);
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
    PaceSimConfig config = one_ring(65536, 60 * SIM_US);
    PaceSim sim;

    config.rings = 2;
    config.peak = 500000;
    config.work_entry = 600;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, 10 * SIM_SEC);
    note(&sim, "cap", config.peak, 10);
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
    PaceSimConfig config = one_ring(4096, SIM_MS);
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

/* A guest that does nothing: the longest sleeps there are. */
static void test_quiet(void)
{
    for (int s = 0; s < G_N_ELEMENTS(sizes); s++) {
        PaceSimConfig config = one_ring(sizes[s], 60 * SIM_US);
        PaceSim sim;

        pace_sim_init(&sim, &config, 1);
        pace_sim_run(&sim, 5 * SIM_SEC);
        g_test_message("quiet, ring %u: %" PRIu64 " looks in 5 s", sizes[s],
                       sim.turns);
        g_assert_cmpuint(sim.used->len, ==, 0);
        g_assert_cmpuint(sim.pace.stats.harvests, ==, 0);
        g_assert_cmpuint(sim.turns / 5, >=, 9);
        g_assert_cmpuint(sim.turns / 5, <=, 12 + 2 * FLOOR /
                         pace_sim_room(&sim));
        pace_sim_destroy(&sim);
    }
}

/* On a host where each look is dear, a quiet guest is looked at less. */
static void test_dear_looks(void)
{
    PaceSimConfig config = one_ring(1024, SIM_MS / 2);
    PaceSim sim;

    config.look = 400 * SIM_US;
    config.peak = 5000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, SIM_SEC);
    measure(&sim, "dear looks", config.peak, 5);
    g_assert_cmpuint(sim.misses, ==, 0);
    g_assert_cmpfloat(pace_sim_median(&sim), >=, 0.6);
    for (int i = 3; i < 7; i++) {
        g_assert_cmpint(sim.own_in[i], <=, SIM_SEC * 35 / 1000);
    }
    pace_sim_destroy(&sim);
}

/* A storm is forgotten, though not soon. */
static void test_calm(void)
{
    PaceSimConfig config = one_ring(4096, 60 * SIM_US);
    PaceSim sim;

    config.peak = 1000000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, SIM_SEC);
    sim.config.peak = 0;
    pace_sim_run(&sim, 10 * SIM_SEC);
    pace_sim_mark(&sim);
    pace_sim_run(&sim, 5 * SIM_SEC);
    g_test_message("calm: %" PRIu64 " looks in 5 s", sim.turns);
    g_assert_cmpuint(sim.turns / 5, <=, 12 + 2 * FLOOR / pace_sim_room(&sim));
    pace_sim_destroy(&sim);
}

/* A ring in use by nobody is no reason to wake up, or to harvest. */
static void test_unplug(void)
{
    PaceSimConfig config = one_ring(4096, 60 * SIM_US);
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
    pace_sim_mark(&sim);
    pace_sim_run(&sim, SIM_SEC);
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
    PaceSimConfig config = one_ring(4096, 60 * SIM_US);
    PaceSim sim;
    DirtyPacePlan plan;

    config.first = -50000;
    config.peak = 300000;
    pace_sim_init(&sim, &config, 1);
    pace_sim_run(&sim, SIM_SEC);
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
    g_test_add_func("/dirty-pace/steady", test_steady);
    g_test_add_func("/dirty-pace/ramp", test_ramp);
    g_test_add_func("/dirty-pace/step", test_step);
    g_test_add_func("/dirty-pace/small-step", test_small_step);
    g_test_add_func("/dirty-pace/burst", test_burst);
    g_test_add_func("/dirty-pace/remembered", test_remembered);
    g_test_add_func("/dirty-pace/many", test_many);
    g_test_add_func("/dirty-pace/together", test_together);
    g_test_add_func("/dirty-pace/slow-harvest", test_slow_harvest);
    g_test_add_func("/dirty-pace/too-fast", test_too_fast);
    g_test_add_func("/dirty-pace/dear-looks", test_dear_looks);
    g_test_add_func("/dirty-pace/calm", test_calm);
    g_test_add_func("/dirty-pace/recovers", test_recovers);
    g_test_add_func("/dirty-pace/cap", test_cap);
    g_test_add_func("/dirty-pace/stats", test_stats);
    g_test_add_func("/dirty-pace/quiet", test_quiet);
    g_test_add_func("/dirty-pace/unplug", test_unplug);
    g_test_add_func("/dirty-pace/wrap", test_wrap);
    g_test_add_func("/dirty-pace/miss", test_miss);
    return g_test_run();
}
