/*
 * Tests of the forecast of a migration, against migrations played page by page
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The forecast knows formulas.  What it is compared with knows none: a guest
 * that writes to random pages, a sender that sends dirty ones, and syncs that
 * tell the sender which there are.
 */

#include "qemu/osdep.h"
#include <math.h>
#include "migration/dirty-forecast.h"

#define MEMORY 32768u
#define TICK 0.005              /* seconds */
#define STEP 10                 /* ticks between two looks at what is left */
#define PATIENCE 40.0           /* seconds after which nobody waits any more */

typedef struct Case {
    double rate;                /* writes/s */
    unsigned set;               /* pages they go to */
    double throughput;          /* pages/s */
    double limit;               /* s */
    double switchover;          /* what QEMU takes for throughput, of it */
} Case;

typedef struct Run {
    Case c;
    GRand *rand;
    bool unsent[MEMORY];        /* the sender knows */
    bool logged[MEMORY];        /* KVM knows */
    bool sent[MEMORY];          /* at all, and so logged */
    unsigned remaining;
    unsigned next;              /* page to be sent */
    double credit;              /* parts of pages to be written and sent */
    double owed;
    double now, synced;
    DirtyForecastInput in;
    /* Results */
    bool done;
    double downtime;
    DirtyForecastResult first;  /* after the first pass */
    bool has_first;
    bool said_never;
    bool said_surely;           /* in the last forecast */
} Run;

static void guest_writes(Run *r)
{
    for (r->owed += r->c.rate * TICK; r->owed >= 1; r->owed--) {
        unsigned page = g_rand_int_range(r->rand, 0, r->c.set);

        if (r->sent[page]) {
            r->logged[page] = true;
        }
    }
}

static void sender_sends(Run *r)
{
    for (r->credit += r->c.throughput * TICK; r->credit >= 1; r->credit--) {
        if (!r->remaining) {
            return;
        }
        while (!r->unsent[r->next]) {
            r->next = (r->next + 1) % MEMORY;
        }
        r->unsent[r->next] = false;
        r->sent[r->next] = true;
        r->remaining--;
    }
}

static void set_sender(DirtyForecastInput *in, double throughput, double error)
{
    in->throughput = throughput;
    in->slow = throughput * (1 - error);
    in->fast = throughput * (1 + error);
    in->switchover = throughput;
    in->memory = MEMORY;
}

static void synchronize(Run *r)
{
    DirtyForecastPass pass = {
        .seconds = r->now - r->synced,
        .unsent = r->remaining,
        .first = !r->in.count,
    };

    for (unsigned i = 0; i < MEMORY; i++) {
        if (r->logged[i] && !r->unsent[i]) {
            r->unsent[i] = true;
            pass.found++;
        }
        r->logged[i] = false;
    }
    r->remaining += pass.found;
    r->synced = r->now;
    dirty_forecast_add_pass(&r->in, &pass);
}

static void ask(Run *r)
{
    DirtyForecastResult result;

    set_sender(&r->in, r->c.throughput, 0.05);
    r->in.switchover *= r->c.switchover;
    r->in.limit = r->c.limit;
    r->in.remaining = r->remaining;
    r->in.since_sync = r->now - r->synced;
    r->in.elapsed = r->now;
    if (!dirty_forecast(&r->in, &result)) {
        g_assert_cmpint(r->in.count, ==, 0);
        return;
    }
    g_assert_cmpint(r->in.count, >, 0);
    g_assert_cmpfloat(result.total.least, <=, result.total.likely);
    g_assert_cmpfloat(result.total.likely, <=, result.total.most);
    g_assert_cmpfloat(result.downtime.least, <=, result.downtime.likely);
    if (!r->has_first) {
        r->first = result;
        r->has_first = true;
    }
    r->said_never |= result.certain && !isfinite(result.total.likely);
    r->said_surely = result.certain && isfinite(result.total.most);
}

static void migrate(Run *r)
{
    double room = r->c.limit * r->c.throughput * r->c.switchover;

    memset(r->unsent, true, sizeof(r->unsent));
    r->remaining = MEMORY;
    ask(r);
    for (unsigned tick = 1; r->now < PATIENCE; tick++) {
        guest_writes(r);
        sender_sends(r);
        r->now += TICK;
        if (tick % STEP) {
            continue;
        }
        if (r->remaining < room) {
            synchronize(r);
            ask(r);
            if (r->remaining < room) {
                r->done = true;
                r->downtime = r->remaining / r->c.throughput;
                r->now += r->downtime;
                return;
            }
        }
    }
}

static Run *run_case(const Case *c)
{
    Run *r = g_new0(Run, 1);

    r->c = *c;
    r->rand = g_rand_new_with_seed(1);
    migrate(r);
    return r;
}

static void run_free(Run *r)
{
    g_rand_free(r->rand);
    g_free(r);
}

static void tell(const Run *r)
{
    g_test_message("%.0f writes/s to %u pages, %.0f pages/s, limit %.2f s: "
                   "%s %.2f s; said %.2f .. %.2f .. %.2f, %.0f to %.0f%s",
                   r->c.rate, r->c.set, r->c.throughput, r->c.limit,
                   r->done ? "done in" : "not in", r->now,
                   r->first.total.least, r->first.total.likely,
                   r->first.total.most, r->first.write_rate,
                   r->first.working_set, r->said_never ? ", never" : "");
}

/* Guests from idle to wild, links from slow to fast. */
static void test_totals(void)
{
    static const double rates[] = { 200, 1000, 4000, 16000, 200000 };
    static const unsigned sets[] = { 500, 4000, 16000 };
    static const double links[] = { 4000, 12000, 40000 };
    static const double limits[] = { 0.1, 0.4 };
    unsigned told = 0, good = 0, inside = 0, endless = 0, said = 0;

    for (int i = 0; i < G_N_ELEMENTS(rates) * G_N_ELEMENTS(sets) *
                        G_N_ELEMENTS(links) * G_N_ELEMENTS(limits); i++) {
        Case c = {
            .rate = rates[i % 5],
            .set = sets[i / 5 % 3],
            .throughput = links[i / 15 % 3],
            .limit = limits[i / 45],
            .switchover = 1,
        };
        Run *r = run_case(&c);

        tell(r);
        if (r->done) {
            g_assert_false(r->said_never);
            if (r->has_first) {
                told++;
                good += fabs(r->first.total.likely / r->now - 1) < 0.25;
                inside += r->first.total.least <= r->now * 1.02 &&
                          r->now <= r->first.total.most * 1.02;
            }
        } else {
            g_assert_false(r->said_surely);
            endless++;
            said += r->said_never;
        }
        run_free(r);
    }
    g_test_message("%u told, %u within 25 %%, %u in range; %u without end, "
                   "%u said so", told, good, inside, endless, said);
    g_assert_cmpint(told, >=, 30);
    g_assert_cmpint(endless, >=, 10);
    g_assert_cmpint(said, >=, endless * 0.7);
    g_assert_cmpint(good, >=, told * 0.9);
    g_assert_cmpint(inside, >=, told * 0.9);
}

/*
 * Compression sends more pages than bytes, and what may be left is counted in
 * bytes; or an administrator knows better.
 */
static void test_switchover(void)
{
    Case c = { .rate = 6000, .set = 3000, .throughput = 4000, .limit = 0.9,
               .switchover = 1 };
    Run *r = run_case(&c);

    tell(r);
    g_assert_true(r->done);
    g_assert_false(r->said_never);
    run_free(r);

    c.switchover = 0.1;
    r = run_case(&c);
    tell(r);
    g_assert_false(r->done);
    g_assert_true(r->said_never);
    g_assert_false(r->said_surely);
    r->in.switchover_fixed = true;
    r->in.switchover = c.throughput;
    g_assert_true(dirty_forecast(&r->in, &r->first));
    g_assert_true(isfinite(r->first.total.likely));
    run_free(r);
}

/* What it says would help does. */
static void test_needs(void)
{
    Case c = { .rate = 8000, .set = 16000, .throughput = 4000, .limit = 0.1,
               .switchover = 1 };
    Run *r = run_case(&c);
    double limit, throttle;

    tell(r);
    g_assert_false(r->done);
    ask(r);
    g_assert_true(dirty_forecast(&r->in, &r->first));
    limit = r->first.needed_limit;
    throttle = r->first.needed_throttle;
    g_test_message("limit %.2f s, throttle %.2f", limit, throttle);
    run_free(r);

    g_assert_cmpfloat(limit, >, c.limit);
    g_assert_cmpfloat(limit, <, c.set / c.throughput);
    c.limit = limit * 1.05;
    r = run_case(&c);
    g_assert_true(r->done);
    run_free(r);
    c.limit = limit / 2;
    r = run_case(&c);
    g_assert_false(r->done);
    run_free(r);

    g_assert_cmpfloat(throttle, >, 0);
    g_assert_cmpfloat(throttle, <, 1);
    c.limit = 0.1;
    c.rate *= 1 - throttle * 1.02;
    r = run_case(&c);
    g_assert_true(r->done);
    run_free(r);
}

/* A ring's harvests tell the rate at once, and the set is known, too. */
static void test_harvests(void)
{
    DirtyForecastInput in = {
        .harvest_seconds = 0.1,
        .harvest_pages = 990,
        .limit = 0.3,
        .remaining = 7900,
        .elapsed = 9,
    };
    /* 10000 a second to 8000 pages: saturated after some seconds */
    DirtyForecastPass pass = { .seconds = 2, .found = 7343 };
    DirtyForecastResult result;

    set_sender(&in, 4000, 0.05);
    dirty_forecast_add_pass(&in, &pass);
    g_assert_true(dirty_forecast(&in, &result));
    g_assert_cmpfloat(result.write_rate, >, 9000);
    g_assert_cmpfloat(result.write_rate, <, 12000);
    g_assert_cmpfloat(result.working_set, >, 7000);
    g_assert_cmpfloat(result.working_set, <, 9500);
    g_assert_false(isfinite(result.total.likely));
}

/*
 * A guest that is known well: 10000 writes a second to 8000 pages.  What is
 * found next can be told by hand.
 */
static DirtyForecastInput well_known(void)
{
    static const double seconds[] = { 3.2, 1.6, 0.8, 0.4, 0.2 };
    DirtyForecastInput in = {
        .limit = 0.5,
        .since_sync = 0.8,
    };

    set_sender(&in, 20000, 0.1);
    for (int i = 0; i < G_N_ELEMENTS(seconds); i++) {
        DirtyForecastPass pass = {
            .seconds = seconds[i],
            .found = 8000 * (1 - exp(-seconds[i] * 10000 / 8000)),
        };

        dirty_forecast_add_pass(&in, &pass);
    }
    return in;
}

static void check_near(double value, double wanted)
{
    g_assert_cmpfloat_with_epsilon(value, wanted, wanted * 0.08);
}

static void test_by_hand(void)
{
    DirtyForecastInput in = well_known();
    DirtyForecastResult result;

    /* Nothing is left to be sent, so the next sync is the last. */
    g_assert_true(dirty_forecast(&in, &result));
    check_near(result.write_rate, 10000);
    check_near(result.working_set, 8000);
    check_near(result.downtime.likely, 8000 * (1 - exp(-1)) / 20000);
    g_assert_cmpfloat(result.total.least, <, result.total.likely * 0.95);
    g_assert_cmpfloat(result.total.most, >, result.total.likely * 1.15);

    /* Of 6000 pages 1000 are sent before that; 5000 are dirty anyway. */
    in.remaining = 6000;
    g_assert_true(dirty_forecast(&in, &result));
    check_near(result.downtime.likely,
               (5000 + 3000 * (1 - exp(-0.85 * 1.25))) / 20000);
}

static void test_nothing_known(void)
{
    DirtyForecastInput in = { .throughput = 1000, .slow = 900, .fast = 1100,
                              .switchover = 1000,
                              .memory = MEMORY };
    DirtyForecastPass pass = { .seconds = 1, .first = true };
    DirtyForecastResult result;

    g_assert_false(dirty_forecast(&in, &result));
    dirty_forecast_add_pass(&in, &pass);
    in.throughput = in.slow = in.fast = 0;
    g_assert_false(dirty_forecast(&in, &result));
}

/* The guest has written nothing. */
static void test_idle(void)
{
    DirtyForecastInput in = {
        .limit = 0.5,
        .remaining = 400,
        .elapsed = 20,
    };
    DirtyForecastPass pass = { .seconds = 20, .first = true };
    DirtyForecastResult result;

    set_sender(&in, 1000, 0.1);
    dirty_forecast_add_pass(&in, &pass);
    g_assert_true(dirty_forecast(&in, &result));
    g_assert_true(result.certain);
    g_assert_cmpfloat_with_epsilon(result.total.likely, 20.4, 0.000001);
    g_assert_cmpfloat(result.total.least, <, 20.4);
    g_assert_cmpfloat(result.total.most, >, 20.4);
    g_assert_cmpfloat(result.downtime.most, <, 0.5);
}

/* Passes that leave fewer and fewer are not stuck. */
static void test_stuck(void)
{
    DirtyForecastInput in = {};

    for (int i = 0; i < 10; i++) {
        dirty_forecast_add_pass(&in, &(DirtyForecastPass) {
            .seconds = 1, .unsent = 100, .found = i < 4 ? 1000 : 900 - i * 80,
        });
        g_assert_cmpint(in.stuck, ==, i < 4 ? i : 0);
    }
}

/* Many short passes leave room for what the long ones have seen. */
static void test_passes(void)
{
    DirtyForecastInput in = {};
    DirtyForecastPass pass = { .seconds = 10, .found = 5000, .first = true };

    dirty_forecast_add_pass(&in, &pass);
    pass = (DirtyForecastPass) { .seconds = 3, .found = 2000 };
    dirty_forecast_add_pass(&in, &pass);
    for (int i = 0; i < 100; i++) {
        pass = (DirtyForecastPass) { .seconds = 0.1 + i % 3 * 0.001,
                                     .found = 90 };
        dirty_forecast_add_pass(&in, &pass);
    }
    g_assert_cmpint(in.count, ==, 102);
    g_assert_cmpint(in.used, ==, 3);
    g_assert_cmpfloat(in.passes[0].seconds, ==, 10);
    g_assert_cmpfloat(in.passes[1].seconds, ==, 3);
    g_assert_cmpfloat_with_epsilon(in.passes[2].found, 90, 0.000001);

    for (int i = 0; i < 2 * DIRTY_FORECAST_PASSES; i++) {
        pass.seconds *= 2;
        dirty_forecast_add_pass(&in, &pass);
    }
    g_assert_cmpint(in.used, ==, DIRTY_FORECAST_PASSES);
    g_assert_cmpfloat(in.passes[in.used - 1].seconds, ==, pass.seconds);
    g_assert_cmpfloat(in.passes[0].seconds, ==,
                      pass.seconds / (1 << (DIRTY_FORECAST_PASSES - 1)));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/forecast/totals", test_totals);
    g_test_add_func("/forecast/switchover", test_switchover);
    g_test_add_func("/forecast/needs", test_needs);
    g_test_add_func("/forecast/harvests", test_harvests);
    g_test_add_func("/forecast/by-hand", test_by_hand);
    g_test_add_func("/forecast/nothing-known", test_nothing_known);
    g_test_add_func("/forecast/idle", test_idle);
    g_test_add_func("/forecast/stuck", test_stuck);
    g_test_add_func("/forecast/passes", test_passes);
    return g_test_run();
}
