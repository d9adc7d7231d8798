/*
 * Tests of how fast a count has grown of late, and of what is told of a ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/dirty-history.h"
#include "accel/kvm/dirty/stats/vcpu.h"

#define MS INT64_C(1000000)
#define SEC INT64_C(1000000000)

/* A count that has grown until now */
typedef struct Grown {
    DirtyHistory history;
    uint64_t count;
    int64_t now;
} Grown;

/* For @ns by @rate a second, seen each @step ns */
static void grow(Grown *g, int64_t ns, int64_t step, uint64_t rate)
{
    int64_t end = g->now + ns;

    for (; g->now < end; g->now += step) {
        dirty_history_see(&g->history, g->now, g->count);
        g->count += rate * step / SEC;
    }
}

/* The history starts at @count, and that much has happened since. */
static Grown grown(uint64_t count, int64_t ns, int64_t step, uint64_t rate)
{
    Grown g = { .count = count };

    dirty_history_start(&g.history, g.now, g.count);
    grow(&g, ns, step, rate);
    return g;
}

static uint64_t rate_of(const Grown *g, int64_t span)
{
    return dirty_history_rate(&g->history, g->now, g->count, span);
}

static void test_steady(void)
{
    Grown g = grown(1000, 30 * SEC, 7 * MS, 1000000);

    g_assert_cmpint(rate_of(&g, SEC), ==, 1000000);
    g_assert_cmpint(rate_of(&g, 10 * SEC), ==, 1000000);
}

static void test_two_spans(void)
{
    Grown g = grown(0, 20 * SEC, 10 * MS, 1000);

    grow(&g, SEC, 10 * MS, 11000);
    /* A moment more than a second is looked at. */
    g_assert_cmpint(rate_of(&g, SEC), >, 10000);
    g_assert_cmpint(rate_of(&g, SEC), <=, 11000);
    g_assert_cmpint(rate_of(&g, 10 * SEC), >=, 1900);
    g_assert_cmpint(rate_of(&g, 10 * SEC), <=, 2100);
}

/* Nobody looked for longer than the span. */
static void test_gap(void)
{
    DirtyHistory h = {};

    dirty_history_start(&h, 0, 0);
    dirty_history_see(&h, SEC, 1000);
    g_assert_cmpint(dirty_history_rate(&h, 5 * SEC, 3000, SEC), ==, 500);
}

static void test_young(void)
{
    DirtyHistory h = {};

    g_assert_cmpint(dirty_history_rate(&h, SEC, 5000, SEC), ==, 0);
    dirty_history_see(&h, SEC, 5000);
    g_assert_cmpint(h.used, ==, 0);

    dirty_history_start(&h, SEC, 5000);
    g_assert_cmpint(dirty_history_rate(&h, SEC, 5000, SEC), ==, 0);
    g_assert_cmpint(dirty_history_rate(&h, SEC + MS, 5100, SEC), ==, 0);
    g_assert_cmpint(dirty_history_rate(&h, SEC + 100 * MS, 5100, SEC), ==,
                    1000);
}

static void test_restart(void)
{
    Grown g = grown(0, 20 * SEC, 10 * MS, 100000);

    dirty_history_start(&g.history, g.now, g.count);
    g.now += SEC;
    g.count += 7;
    g_assert_cmpint(rate_of(&g, 10 * SEC), ==, 7);
}

static void test_vcpu_counts(void)
{
    DirtyVcpuStats s = {};

    dirty_vcpu_start(&s, 0, 10);
    g_assert_cmpint(s.high_water, ==, 10);
    dirty_vcpu_see(&s, 500 * MS, 300);
    dirty_vcpu_harvested(&s, 600 * MS, 400);
    dirty_vcpu_see(&s, 700 * MS, 50);
    g_assert_cmpint(s.high_water, ==, 400);
    g_assert_cmpint(s.harvested, ==, 400);
    /* 450 pushed, of which 10 were there before */
    g_assert_cmpint(dirty_history_rate(&s.pushed, SEC, 450, SEC), ==, 440);

    dirty_vcpu_start(&s, 2 * SEC, 3);
    g_assert_cmpint(s.high_water, ==, 3);
    g_assert_cmpint(dirty_history_rate(&s.pushed, 3 * SEC, 403, SEC), ==, 0);
}

/* Full each @every ns, for 1 ms; returns when it was told, or -1. */
static int64_t told(DirtyVcpuStats *s, int64_t from, int64_t to, int64_t every)
{
    for (; from < to; from += every) {
        if (dirty_vcpu_was_full(s, from, from + MS, false).often) {
            return from;
        }
    }
    return -1;
}

static void test_vcpu_full(void)
{
    DirtyVcpuStats s = {};

    /* Now and then is no trouble. */
    g_assert_cmpint(told(&s, SEC, 30 * SEC, SEC + 2 * MS), ==, -1);
    g_assert_cmpint(s.full_exits, ==, 29);
    g_assert_cmpint(s.full_time, ==, 29 * MS);

    /* Over and over is, when it has lasted; and then not at once again. */
    g_assert_cmpint(told(&s, 40 * SEC, 60 * SEC, 500 * MS), ==, 41 * SEC);
    g_assert_cmpint(told(&s, 41 * SEC + 500 * MS, 60 * SEC, 500 * MS), ==,
                    51 * SEC);
}

/* A dirty limit fills rings on purpose. */
static void test_vcpu_limited(void)
{
    DirtyVcpuStats s = {};

    for (int64_t now = SEC; now < 20 * SEC; now += SEC / 2) {
        g_assert_false(dirty_vcpu_was_full(&s, now, now + MS, true).often);
    }
    g_assert_cmpint(s.full_exits, ==, 38);
    /* What was before does not count. */
    g_assert_cmpint(told(&s, 20 * SEC, 40 * SEC, 500 * MS), ==, 21 * SEC);
}

static void test_vcpu_span(void)
{
    DirtyVcpuStats s = {};

    dirty_vcpu_start(&s, SEC, 0);
    dirty_vcpu_harvested(&s, 2 * SEC, 700);
    g_assert_cmpint(s.span, ==, 0);
    dirty_vcpu_harvested(&s, 5 * SEC, 900);
    g_assert_cmpint(s.span, ==, 3 * SEC);
    g_assert_cmpint(s.span_pages, ==, 900);
    dirty_vcpu_start(&s, 6 * SEC, 0);
    g_assert_cmpint(s.span, ==, 0);
    dirty_vcpu_harvested(&s, 9 * SEC, 5);
    g_assert_cmpint(s.span, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/history/steady", test_steady);
    g_test_add_func("/history/two-spans", test_two_spans);
    g_test_add_func("/history/gap", test_gap);
    g_test_add_func("/history/young", test_young);
    g_test_add_func("/history/restart", test_restart);
    g_test_add_func("/vcpu/counts", test_vcpu_counts);
    g_test_add_func("/vcpu/full", test_vcpu_full);
    g_test_add_func("/vcpu/limited", test_vcpu_limited);
    g_test_add_func("/vcpu/span", test_vcpu_span);
    return g_test_run();
}
