/*
 * Tests of dirty limits, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "accel/kvm/dirty/ring/limit.h"
#include "kvm-fixture.h"

#define PAGES 512

/* vCPU 0 may dirty 1 MB/s, which is 256 pages; vCPU 1 as much as it likes. */
static void set_up(Fixture *f, gconstpointer opaque)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.offer.ring_overflow = 0;
    config.offer.wp_all = 0;
    boot(f, &config, 128, 64);
    migrate(f);
    /* What was dirtied before does not count. */
    write_pages(f, 400, 100);
    world_sync(f->w, false);
    f->w->cpus[0]->running = f->w->cpus[1]->running = true;
    f->w->limited = true;
    f->w->quota = 1;
    g_assert_true(world_reaper_turn(f->w));
    g_assert_null(f->w->work);
}

/* The vCPU comes to do its work. */
static void do_work(World *w)
{
    run_on_cpu_func work = w->work;

    g_assert_nonnull(work);
    w->work = NULL;
    w->slept = 0;
    w->work_cpu->running = false;
    work(w->work_cpu, w->work_data);
    /* It is not given work again before it has been through with it. */
    g_assert_true(world_reaper_turn(w));
    g_assert_null(w->work);
    w->work_cpu->running = true;
}

static void look(World *w)
{
    g_assert_true(world_reaper_turn(w));
}

/* The one that dirties too much is held for as long as it takes to earn it. */
static void test_hold(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    for (int page = 0; page < 100; page++) {
        world_store(w, 1, f->ram, page, 1);
    }
    write_pages(f, 200, 10);
    look(w);
    g_assert_null(w->work);

    write_pages(f, 210, 120);
    look(w);
    g_assert_true(w->work_cpu == w->cpus[0]);
    look(w);
    do_work(w);
    /* It had saved 64 pages, earns 256 a second, and wants a few to go on. */
    g_assert_cmpint(w->slept, >, 150);
    g_assert_cmpint(w->slept, <, 400);
    look(w);
    g_assert_null(w->work);
    g_assert_cmpint(w->cpus[0]->throttle_us_per_full, >, 500000);
    g_assert_cmpint(w->cpus[0]->throttle_us_per_full, <, 2000000);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* It does not matter who harvests. */
static void test_harvested(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    write_pages(f, 200, 50);
    world_sync(w, false);
    write_pages(f, 250, 50);
    world_sync(w, false);
    look(w);
    do_work(w);
    g_assert_cmpint(w->slept, >, 50);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A full ring is as good as a look. */
static void test_full(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    for (int page = 0; page < 200; page++) {
        world_store(w, 0, f->ram, page, 1);
    }
    g_assert_nonnull(w->work);
    w->cpus[0]->stop = true;
    do_work(w);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Whoever wants something else of the vCPU does not wait for it. */
static void test_let_go(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    write_pages(f, 200, 100);
    look(w);
    w->cpus[0]->stop = true;
    do_work(w);
    g_assert_cmpint(w->slept, ==, 0);
    w->cpus[0]->stop = false;

    look(w);
    w->cpus[0]->unplug = true;
    do_work(w);
    g_assert_cmpint(w->slept, ==, 0);
    w->cpus[0]->unplug = false;

    look(w);
    w->other_work = true;
    do_work(w);
    g_assert_cmpint(w->slept, ==, 0);
    w->other_work = false;

    /* It still owes its pages, until the limit is gone. */
    look(w);
    g_assert_nonnull(w->work);
    w->quota = 0;
    do_work(w);
    g_assert_cmpint(w->slept, ==, 0);
    look(w);
    g_assert_null(w->work);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* The work of a vCPU goes with it; the next one is held again. */
static void test_replug(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    write_pages(f, 200, 100);
    look(w);
    g_assert_nonnull(w->work);
    w->work = NULL;
    world_unplug(w, 0);
    look(w);
    g_assert_null(w->work);
    world_plug(w, 0);
    w->cpus[0]->running = true;
    look(w);
    g_assert_null(w->work);
    write_pages(f, 300, 100);
    look(w);
    g_assert_nonnull(w->work);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* While there are limits the reaper looks often, or else less so. */
static void test_looks(Fixture *f, gconstpointer opaque)
{
    DirtyRings *rings = f->w->state.dirty_tracker->rings;
    int64_t next;

    for (int i = 0; i < 10; i++) {
        next = dirty_limit_check_all(rings) - get_clock();
    }
    g_assert_cmpint(next, >, 2000000);
    write_pages(f, 200, 1);
    next = dirty_limit_check_all(rings) - get_clock();
    g_assert_cmpint(next, <, 2000000);
    f->w->limited = false;
    g_assert_cmpint(dirty_limit_check_all(rings), ==, INT64_MAX);
    g_assert_cmpuint(world_finish(f->w), ==, 0);
}

#define ADD(name, fn) \
    g_test_add("/kvm-limit/" name, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("hold", test_hold);
    ADD("harvested", test_harvested);
    ADD("full", test_full);
    ADD("let-go", test_let_go);
    ADD("replug", test_replug);
    ADD("looks", test_looks);
    return g_test_run();
}
