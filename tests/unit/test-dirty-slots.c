/*
 * Tests of the table from memslots to RAM pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/slots.h"

#define KEY(as, id) ((uint32_t)(as) << 16 | (id))

static void set(DirtySlots *map, uint32_t key, uint64_t ram_addr,
                uint64_t npages)
{
    DirtySlot slot = { .ram_addr = ram_addr, .npages = npages, .clients = 5 };

    dirty_slots_set(map, key, &slot);
}

static void assert_slot(const DirtySlots *map, uint32_t key, uint64_t ram_addr,
                        uint64_t npages)
{
    const uint64_t inside[] = { 0, npages / 2, npages - 1 };
    const uint64_t beyond[] = { npages, npages + 1, UINT64_MAX };

    for (int i = 0; npages && i < ARRAY_SIZE(inside); i++) {
        const DirtySlot *slot = dirty_slots_find(map, key, inside[i]);

        g_assert_nonnull(slot);
        g_assert_cmphex(slot->ram_addr, ==, ram_addr);
        g_assert_cmpuint(slot->npages, ==, npages);
        g_assert_cmpuint(slot->clients, ==, 5);
    }
    for (int i = 0; i < ARRAY_SIZE(beyond); i++) {
        g_assert_null(dirty_slots_find(map, key, beyond[i]));
    }
}

static void set_and_find(DirtySlots *map, uint32_t key, uint64_t ram_addr,
                         uint64_t npages)
{
    set(map, key, ram_addr, npages);
    assert_slot(map, key, ram_addr, npages);
}

static void test_empty(void)
{
    DirtySlots map = { 0 };

    assert_slot(&map, 0, 0, 0);
    assert_slot(&map, KEY(1, 0xffff), 0, 0);
    assert_slot(&map, KEY(0xffff, 0xffff), 0, 0);
    dirty_slots_destroy(&map);
}

static void test_set(void)
{
    DirtySlots map = { 0 };

    set(&map, KEY(0, 0), 0x100000, 1);
    set(&map, KEY(0, 1), 0x200000, 1ULL << 40);
    assert_slot(&map, KEY(0, 0), 0x100000, 1);
    assert_slot(&map, KEY(0, 1), 0x200000, 1ULL << 40);
    assert_slot(&map, KEY(0, 2), 0, 0);

    /* changed, removed, back */
    set_and_find(&map, KEY(0, 0), 0x300000, 7);
    set_and_find(&map, KEY(0, 0), 0, 0);
    assert_slot(&map, KEY(0, 1), 0x200000, 1ULL << 40);
    set_and_find(&map, KEY(0, 0), 0x400000, 9);
    dirty_slots_destroy(&map);
}

/* The table grows now and then; what it grows by is empty. */
static void test_grow(void)
{
    DirtySlots map = { 0 };
    uint32_t step[] = { 1, 2, 3, 5, 100, 1000, 0x7fff, 0xffff };

    for (int i = 0; i < ARRAY_SIZE(step); i++) {
        g_autofree void *dirt = g_malloc(1 << 20);

        /* What malloc() gives to the table next should not be zero. */
        memset(dirt, 0xa5, 1 << 20);
        g_free(g_steal_pointer(&dirt));

        set(&map, KEY(0, step[i]), i, step[i]);
        for (uint32_t id = 0; id <= 0xffff; id++) {
            bool there = false;

            for (int j = 0; j <= i; j++) {
                if (step[j] == id) {
                    assert_slot(&map, KEY(0, id), j, id);
                    there = true;
                }
            }
            if (!there) {
                g_assert_null(dirty_slots_find(&map, KEY(0, id), 0));
            }
        }
    }
    dirty_slots_destroy(&map);
}

static void test_spaces(void)
{
    DirtySlots map = { 0 };

    set(&map, KEY(1, 3), 0x1000, 10);
    assert_slot(&map, KEY(0, 3), 0, 0);
    assert_slot(&map, KEY(1, 3), 0x1000, 10);
    set_and_find(&map, KEY(0, 3), 0x2000, 20);
    assert_slot(&map, KEY(1, 3), 0x1000, 10);
    set(&map, KEY(0, 3), 0, 0);
    assert_slot(&map, KEY(1, 3), 0x1000, 10);
    assert_slot(&map, KEY(2, 3), 0, 0);
    assert_slot(&map, KEY(0x101, 3), 0, 0);
    assert_slot(&map, KEY(0xffff, 3), 0, 0);
    dirty_slots_destroy(&map);
}

/* A slot removed that was never there: harmless, and still nothing there */
static void test_remove_unknown(void)
{
    DirtySlots map = { 0 };

    set_and_find(&map, KEY(0, 40), 0, 0);
    assert_slot(&map, KEY(0, 39), 0, 0);
    set_and_find(&map, KEY(0, 1), 0x1000, 1);
    dirty_slots_destroy(&map);
}

static void test_destroy(void)
{
    DirtySlots map = { 0 };

    for (int i = 0; i < 3; i++) {
        set(&map, KEY(0, 5), 0x1000, 1);
        set(&map, KEY(1, 0), 0x1000, 1);
        dirty_slots_destroy(&map);
        assert_slot(&map, KEY(0, 5), 0, 0);
        assert_slot(&map, KEY(1, 0), 0, 0);
    }
    dirty_slots_destroy(&map);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-slots/empty", test_empty);
    g_test_add_func("/dirty-slots/set", test_set);
    g_test_add_func("/dirty-slots/grow", test_grow);
    g_test_add_func("/dirty-slots/spaces", test_spaces);
    g_test_add_func("/dirty-slots/remove-unknown", test_remove_unknown);
    g_test_add_func("/dirty-slots/destroy", test_destroy);
    return g_test_run();
}
