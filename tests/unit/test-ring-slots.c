/*
 * Tests of dirty rings whose pages belong to memory slots
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dirty-sim.h"

#define RING_SIZE 8

/* Slot @key shows the first @npages pages; all that there is has been sent. */
static void start(DirtySim *sim, const RingModelConfig *config, uint32_t key,
                  uint64_t npages)
{
    dirty_sim_init(sim, config);
    dirty_sim_set_slot(sim, key, 0, npages);
    dirty_sim_send_all(sim);
}

/* Of the pages, 32 at the most, those are dirty whose bit is set. */
static void assert_dirty(const DirtySim *sim, uint32_t pages)
{
    g_assert_cmpuint(sim->config.pages, <=, 32);
    for (unsigned i = 0; i < sim->config.pages; i++) {
        g_assert_cmpint(sim->dirty[i], ==, pages >> i & 1);
    }
}

/* Many rings in one stage: one reset for all, everything arrives. */
static void test_many_rings(void)
{
    enum { RINGS = 40, PAGES = RINGS * RING_SIZE };
    RingModelConfig config = {
        .vcpus = RINGS,
        .ring_size = RING_SIZE,
        .reserved = 1,
        .first_index = RING_MODEL_BEFORE_WRAP,
        .pages = PAGES,
    };
    DirtySim sim;
    unsigned n = 0;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, 0, 0, PAGES);
    for (unsigned lap = 0; lap < 5; lap++) {
        uint64_t resets = sim.stage.resets;

        dirty_sim_send_all(&sim);
        for (unsigned i = 0; i < RINGS; i++) {
            for (unsigned j = 0; j < i % RING_SIZE; j++) {
                g_assert_cmpint(ring_model_store(sim.model, i, 0,
                                                 i * RING_SIZE + j, ++n),
                                ==, RING_MODEL_DONE);
            }
        }
        dirty_sim_check(&sim, "stored");
        dirty_sim_sync(&sim);
        g_assert_cmpuint(sim.stage.resets, ==, resets + 1);
        for (unsigned i = 0; i < RINGS; i++) {
            for (unsigned j = 0; j < RING_SIZE; j++) {
                g_assert_cmpint(sim.dirty[i * RING_SIZE + j], ==,
                                j < i % RING_SIZE);
            }
        }
    }
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.published, ==, ring_model_pushed(sim.model));
    dirty_sim_destroy(&sim);
}

/* Slots and pages that do not exist, between ones that do */
static void test_unknown(void)
{
    static const struct {
        uint32_t key;
        uint64_t offset;
    } bad[] = {
        { RING_MODEL_KEY(0, 1), 16 },
        { RING_MODEL_KEY(0, 1), UINT64_MAX },
        { RING_MODEL_KEY(0, 0), 0 },
        { RING_MODEL_KEY(0, 9), 0 },
        { RING_MODEL_KEY(0, 0xffff), 0 },
        { RING_MODEL_KEY(1, 1), 0 },
        { RING_MODEL_KEY(2, 1), 0 },
        { RING_MODEL_KEY(0xffff, 0xffff), UINT64_MAX },
    };
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 32,
        .pages = 16,
    };
    DirtySim sim;

    start(&sim, &config, RING_MODEL_KEY(0, 1), 16);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpint(ring_model_store(sim.model, 0, 1, i, 1), ==,
                        RING_MODEL_DONE);
        g_assert_true(ring_model_push(sim.model, 0, bad[i].key,
                                      bad[i].offset));
    }
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 2 * ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.unknown, ==, ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.published, ==, ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.stage.short_resets, ==, 0);
    assert_dirty(&sim, (1 << ARRAY_SIZE(bad)) - 1);
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    dirty_sim_destroy(&sim);
}

/* The same RAM in both address spaces: each protects its own mapping. */
static void test_two_spaces(void)
{
    uint32_t smm = RING_MODEL_KEY(1, 0);
    RingModelConfig config = {
        .vcpus = 2,
        .ring_size = 8,
        .reserved = 2,
        .pages = 16,
    };
    DirtySim sim;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, RING_MODEL_KEY(0, 0), 0, 8);
    dirty_sim_set_slot(&sim, smm, 4, 12);
    dirty_sim_send_all(&sim);

    ring_model_store(sim.model, 0, 0, 5, 1);
    ring_model_store(sim.model, 1, smm, 1, 2);
    ring_model_store(sim.model, 1, smm, 11, 3);
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 3);
    assert_dirty(&sim, 1 << 5 | 1 << 15);
    dirty_sim_check(&sim, "synced");
    dirty_sim_send_all(&sim);

    ring_model_store(sim.model, 0, smm, 1, 4);
    dirty_sim_check(&sim, "stored again");
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[5], ==, 4);
    g_assert_cmpuint(sim.copy[15], ==, 3);
    dirty_sim_destroy(&sim);
}

/* A slot goes, another comes under its name: late entries stay what they are */
static void test_slot_reuse(void)
{
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 16,
        .reserved = 4,
        .pml_size = 4,
        .pages = 16,
    };
    DirtySim sim;

    start(&sim, &config, 3, 8);
    for (unsigned i = 0; i < 6; i++) {
        ring_model_store(sim.model, 0, 3, i, 1);
    }
    dirty_sim_set_slot(&sim, 3, 0, 0);
    g_assert_cmpint(ring_model_store(sim.model, 0, 3, 0, 2), ==,
                    RING_MODEL_MMIO);
    dirty_sim_set_slot(&sim, 3, 10, 4);
    assert_dirty(&sim, (1 << 6) - 1);
    ring_model_store(sim.model, 0, 3, 1, 3);
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[5], ==, 1);
    g_assert_cmpuint(sim.copy[11], ==, 3);
    g_assert_cmpuint(sim.unknown, ==, 0);
    dirty_sim_destroy(&sim);
}

/*
 * The kernel hands an entry back to the vCPU as soon as it is taken off; the
 * vCPU then overwrites it, long before the reset is over.
 */
static void refill(void *opaque)
{
    DirtySim *sim = opaque;

    for (unsigned i = 8; i < 16 && !sim->stopped; i++) {
        ring_model_store(sim->model, 0, 0, i, 2);
    }
}

static void test_refill(void)
{
    DirtySim sim;
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 8,
        .first_index = RING_MODEL_BEFORE_WRAP,
        .pages = 16,
        .interleave = refill,
        .opaque = &sim,
    };

    start(&sim, &config, 0, 16);
    for (unsigned i = 0; i < 8; i++) {
        ring_model_store(sim.model, 0, 0, i, 1);
    }
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 8);
    assert_dirty(&sim, (1 << 8) - 1);
    dirty_sim_check(&sim, "synced");
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[15], ==, 2);
    dirty_sim_destroy(&sim);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-ring/many-rings", test_many_rings);
    g_test_add_func("/dirty-ring/unknown", test_unknown);
    g_test_add_func("/dirty-ring/two-spaces", test_two_spaces);
    g_test_add_func("/dirty-ring/slot-reuse", test_slot_reuse);
    g_test_add_func("/dirty-ring/refill", test_refill);
    return g_test_run();
}
