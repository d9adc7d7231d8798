/*
 * Tests of harvesting and resetting one dirty ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/time.h>
#include "ring-recorder.h"

static void test_empty(void)
{
    Recorder rec;

    recorder_init(&rec, 0);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "", 0, 0);
    g_assert_cmpuint(rec.stage.resets, ==, 0);
    recorder_destroy(&rec);
}

/* What was logged is published in order, once, and after the reset. */
static void test_order(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    gfns = ring_model_map(rec.model, 0);
    recorder_push(&rec, 100, 3);

    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
    recorder_assert(&rec, "", 0, 0);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(gfns[i].flags, ==, KVM_DIRTY_GFN_F_RESET);
    }
    g_assert_cmpuint(gfns[3].flags, ==, 0);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);

    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 100, 3);
    g_assert_cmpuint(gfns[0].flags, ==, 0);

    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "", 0, 0);
    g_assert_cmpuint(rec.stage.resets, ==, 1);
    g_assert_cmpuint(rec.stage.short_resets, ==, 0);
    recorder_destroy(&rec);
}

/* Many laps, each starting at another entry, the indices wrapping as well */
static void test_wrap(void)
{
    Recorder rec;
    uint64_t next = 0;

    recorder_init(&rec, RING_MODEL_BEFORE_WRAP);
    for (unsigned n = 1; n <= RING_SIZE; n++) {
        for (unsigned lap = 0; lap < 2 * RING_SIZE; lap++) {
            recorder_push(&rec, next, n);
            g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, n);
            dirty_ring_stage_commit(&rec.stage);
            recorder_assert(&rec, "rP", next, n);
            next += n;
        }
    }
    g_assert_cmpuint(rec.ring->fetch, ==,
                     (uint32_t)(RING_MODEL_BEFORE_WRAP + next));
    recorder_destroy(&rec);
}

/* To the last entry; and what comes in between harvest and reset stays. */
static void test_full(void)
{
    Recorder rec;

    recorder_init(&rec, RING_MODEL_BEFORE_WRAP);
    recorder_push(&rec, 0, RING_SIZE);
    g_assert_false(ring_model_push(rec.model, 0, 7, 0));
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, RING_SIZE);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
    g_assert_false(ring_model_push(rec.model, 0, 7, 0));
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 0, RING_SIZE);

    recorder_push(&rec, 20, 5);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 5);
    recorder_push(&rec, 25, 2);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 20, 5);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 2);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 25, 2);
    recorder_destroy(&rec);
}

static void test_holds(void)
{
    Recorder rec;

    recorder_init(&rec, RING_MODEL_BEFORE_WRAP);
    for (unsigned n = 0; n <= RING_SIZE; n++) {
        recorder_push(&rec, 0, n);
        for (unsigned m = 1; m <= RING_SIZE; m++) {
            g_assert_cmpint(dirty_ring_holds(rec.ring, m), ==, m <= n);
        }
        g_assert_cmpuint(dirty_ring_fill(rec.ring), ==, n);
        dirty_ring_harvest(rec.ring, &rec.stage);
        for (unsigned m = 1; m <= RING_SIZE; m++) {
            g_assert_false(dirty_ring_holds(rec.ring, m));
        }
        g_assert_cmpuint(dirty_ring_fill(rec.ring), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
    }
    recorder_destroy(&rec);
}

/* The vCPU goes, its ring half full; whoever comes back finds it so. */
static void test_detach(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;
    int owner;

    recorder_init(&rec, RING_MODEL_BEFORE_WRAP);
    gfns = ring_model_map(rec.model, 0);
    g_assert_true(rec.ring->owner == &rec);
    g_assert_cmpuint(rec.ring->vcpu_id, ==, 0);

    for (unsigned lap = 0; lap < 3 * RING_SIZE; lap++) {
        recorder_push(&rec, 0, 3);
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", 0, 3);

        recorder_push(&rec, 30, 2);
        g_assert_true(dirty_ring_detach(rec.ring) == gfns);
        g_assert_null(rec.ring->owner);
        g_assert_false(dirty_ring_holds(rec.ring, 1));
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "", 0, 0);

        dirty_ring_attach(rec.ring, gfns, &owner);
        g_assert_true(rec.ring->owner == &owner);
        g_assert_true(dirty_ring_holds(rec.ring, 2));
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 2);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", 30, 2);
    }
    recorder_destroy(&rec);
}

/* Detached between harvest and commit: what is staged is published. */
static void test_detach_staged(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    recorder_push(&rec, 50, 4);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 4);
    gfns = dirty_ring_detach(rec.ring);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 50, 4);

    dirty_ring_attach(rec.ring, gfns, NULL);
    recorder_push(&rec, 60, 4);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 4);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 60, 4);
    recorder_destroy(&rec);
}

/*
 * An adversary that refills entries right after they are harvested, as no
 * kernel would, cannot make a harvest go past the ring's size.  It is a signal
 * handler, so that it gets its turn however few CPUs there are, and the ring
 * is a large one, so that its turn comes during a harvest, most of the time.
 */
#define ADVERSARY_SIZE 65536

static struct kvm_dirty_gfn *adversary_gfns;

static void adversary(int sig)
{
    for (int i = 0; i < ADVERSARY_SIZE; i++) {
        __atomic_store_n(&adversary_gfns[i].flags, KVM_DIRTY_GFN_F_DIRTY,
                         __ATOMIC_RELEASE);
    }
}

static int all_reset(void *opaque)
{
    DirtyRingStage *stage = opaque;

    return stage->used;
}

static void no_reprotect(void *opaque)
{
}

static void no_publish(void *opaque, const DirtyKey *keys, size_t n)
{
}

static void test_bound(void)
{
    static const DirtyRingOps ops = { all_reset, no_reprotect, no_publish };
    struct sigaction refill = { .sa_handler = adversary };
    struct sigaction before;
    struct itimerval soon = { .it_value.tv_usec = 50 };
    DirtyRing *ring = dirty_ring_new(0, ADVERSARY_SIZE);
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND / 4;
    DirtyRingStage stage;

    adversary_gfns = g_new0(struct kvm_dirty_gfn, ADVERSARY_SIZE);
    dirty_ring_stage_init(&stage, &ops, &stage);
    dirty_ring_attach(ring, adversary_gfns, NULL);
    g_assert_cmpint(sigaction(SIGALRM, &refill, &before), ==, 0);
    do {
        adversary(SIGALRM);
        g_assert_cmpint(setitimer(ITIMER_REAL, &soon, NULL), ==, 0);
        g_assert_cmpuint(dirty_ring_harvest(ring, &stage), <=, ADVERSARY_SIZE);
        dirty_ring_stage_commit(&stage);
    } while (g_get_monotonic_time() < end);
    soon.it_value.tv_usec = 0;
    g_assert_cmpint(setitimer(ITIMER_REAL, &soon, NULL), ==, 0);
    g_assert_cmpint(sigaction(SIGALRM, &before, NULL), ==, 0);

    dirty_ring_stage_destroy(&stage);
    dirty_ring_free(ring);
    g_free(adversary_gfns);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-ring/empty", test_empty);
    g_test_add_func("/dirty-ring/order", test_order);
    g_test_add_func("/dirty-ring/wrap", test_wrap);
    g_test_add_func("/dirty-ring/full", test_full);
    g_test_add_func("/dirty-ring/holds", test_holds);
    g_test_add_func("/dirty-ring/detach", test_detach);
    g_test_add_func("/dirty-ring/detach-staged", test_detach_staged);
    g_test_add_func("/dirty-ring/bound", test_bound);
    return g_test_run();
}
