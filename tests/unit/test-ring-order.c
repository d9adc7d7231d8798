/*
 * Tests of the order in which a dirty ring tells of pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/ring/sort.h"
#include "ring-recorder.h"

/*
 * The kernel finds the pages in an order that suits it, and the same as are
 * published: round a window in the middle, a low and a high one alternate.
 */
static void test_sorted(void)
{
    static const uint64_t pushed[RING_SIZE] = {
        700, 65, 1, 710, 2, 703, 64, 3
    };
    static const uint64_t sorted[RING_SIZE] = {
        1, 2, 3, 65, 64, 700, 703, 710
    };
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    gfns = ring_model_map(rec.model, 0);
    for (int i = 0; i < RING_SIZE; i++) {
        recorder_push(&rec, pushed[i], 1);
    }
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, RING_SIZE);
    for (int i = 0; i < RING_SIZE; i++) {
        g_assert_cmpuint(gfns[i].slot, ==, 7);
        g_assert_cmpuint(gfns[i].offset, ==, sorted[i]);
        g_assert_cmpuint(gfns[i].flags, ==, KVM_DIRTY_GFN_F_RESET);
    }
    dirty_ring_stage_commit(&rec.stage);
    g_assert_cmpuint(rec.published->len, ==, RING_SIZE);
    for (int i = 0; i < RING_SIZE; i++) {
        g_assert_cmpuint(g_array_index(rec.published, DirtyKey, i), ==,
                         dirty_key(7, sorted[i]));
    }
    recorder_destroy(&rec);
}

/* Enough to be sorted by digits: what is staged is what the ring has. */
static void test_sorted_many(void)
{
    static const uint64_t spans[] = { 1 << 7, 1 << 12, 1 << 20, 1ULL << 32 };
    struct kvm_dirty_gfn gfns[256];
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    for (int s = 0; s < ARRAY_SIZE(spans); s++) {
        DirtyRing *ring = dirty_ring_new(0, ARRAY_SIZE(gfns));
        DirtyRingStage stage;
        uint64_t sum = 0;

        dirty_ring_stage_init(&stage, &recorder_ops, NULL);
        for (int i = 0; i < ARRAY_SIZE(gfns); i++) {
            gfns[i].flags = KVM_DIRTY_GFN_F_DIRTY;
            gfns[i].slot = 7;
            gfns[i].offset = ((uint64_t)g_rand_int(rand) << 32 |
                              g_rand_int(rand)) % spans[s];
            sum += gfns[i].offset;
        }
        dirty_ring_attach(ring, gfns, NULL);
        g_assert_cmpuint(dirty_ring_harvest(ring, &stage), ==,
                         ARRAY_SIZE(gfns));
        for (int i = 0; i < ARRAY_SIZE(gfns); i++) {
            g_assert_cmpuint(stage.keys[i], ==, dirty_key(7, gfns[i].offset));
            g_assert_cmpuint(stage.keys[i] >> DIRTY_SORT_IGNORED_BITS, >=,
                             stage.keys[MAX(i, 1) - 1] >>
                             DIRTY_SORT_IGNORED_BITS);
            sum -= gfns[i].offset;
        }
        g_assert_cmpuint(sum, ==, 0);
        dirty_ring_stage_destroy(&stage);
        dirty_ring_free(ring);
    }
}

/* Each entry is told once, as long as it waits, in portions of any size. */
static void test_look(void)
{
    DirtyKey keys[RING_SIZE];
    uint64_t next = 0;
    Recorder rec;

    recorder_init(&rec, RING_MODEL_BEFORE_WRAP);
    for (unsigned lap = 0; lap < 4 * RING_SIZE; lap++) {
        unsigned n = lap % RING_SIZE + 1;

        recorder_push(&rec, next, n);
        for (unsigned told = 0; told < n; ) {
            uint32_t got = dirty_ring_look(rec.ring, keys, 1 + lap % 3);

            g_assert_cmpuint(got, ==, MIN(1 + lap % 3, n - told));
            for (unsigned i = 0; i < got; i++) {
                g_assert_cmpuint(keys[i], ==, dirty_key(7, next + told + i));
            }
            told += got;
            if (lap % 4 == 3) {
                break;
            }
        }
        if (lap % 4 != 3) {
            g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
        }
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, n);
        g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", next, n);
        next += n;
    }
    dirty_ring_detach(rec.ring);
    g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
    recorder_destroy(&rec);
}

/* What no kernel says is nobody's page, and the ring keeps it as it was. */
static void test_unsortable(void)
{
    static const struct {
        uint32_t slot;
        uint64_t offset;
    } odd[] = {
        { UINT32_MAX, 3 }, { 2, UINT64_MAX }, { 1 << 20, 1 }, { 1, 1ULL << 44 },
    };
    Recorder rec;

    for (int i = 0; i < ARRAY_SIZE(odd); i++) {
        struct kvm_dirty_gfn *gfns;
        DirtyKey *keys;

        recorder_init(&rec, 0);
        gfns = ring_model_map(rec.model, 0);
        recorder_push(&rec, 900, 1);
        g_assert_true(ring_model_push(rec.model, 0, odd[i].slot,
                                      odd[i].offset));
        recorder_push(&rec, 5, 1);
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
        g_assert_cmpuint(gfns[0].offset, ==, 900);
        g_assert_cmpuint(gfns[1].slot, ==, odd[i].slot);
        g_assert_cmpuint(gfns[1].offset, ==, odd[i].offset);
        g_assert_cmpuint(gfns[2].offset, ==, 5);
        dirty_ring_stage_commit(&rec.stage);
        keys = (DirtyKey *)rec.published->data;
        g_assert_cmpuint(keys[0], ==, dirty_key(7, 900));
        g_assert_cmpuint(keys[1], ==, DIRTY_KEY_STRAY);
        g_assert_cmpuint(keys[2], ==, dirty_key(7, 5));
        recorder_destroy(&rec);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-ring/sorted", test_sorted);
    g_test_add_func("/dirty-ring/sorted-many", test_sorted_many);
    g_test_add_func("/dirty-ring/look", test_look);
    g_test_add_func("/dirty-ring/unsortable", test_unsortable);
    return g_test_run();
}
