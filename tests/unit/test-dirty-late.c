/*
 * Tests of how much memory is protected at a time
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/late-part.h"

#define SLOTS 32764         /* what Linux has on x86 */

static void assert_part(uint64_t ram, int slots, uint64_t want)
{
    g_assert_cmphex(dirty_late_part(ram, slots), ==, want);
}

static void test_usual(void)
{
    assert_part(0, SLOTS, 16 * MiB);
    assert_part(128 * MiB, SLOTS, 16 * MiB);
    assert_part(1 * GiB, SLOTS, 16 * MiB);
    assert_part(1 * GiB + 1 * MiB, SLOTS, 32 * MiB);
    assert_part(4 * GiB, SLOTS, 64 * MiB);
    assert_part(48 * GiB, SLOTS, 1 * GiB);
    assert_part(64 * GiB, SLOTS, 1 * GiB);
    assert_part(1 * TiB, SLOTS, 1 * GiB);
}

static void test_few_slots(void)
{
    /* A quarter of them: 8, 8191, 1. */
    assert_part(1 * GiB, 32, 128 * MiB);
    assert_part(1 * GiB + 1, 32, 256 * MiB);
    assert_part(8191 * GiB, SLOTS, 1 * GiB);
    assert_part(8192 * GiB, SLOTS, 2 * GiB);
    assert_part(4 * GiB, 4, 4 * GiB);
}

static void test_unknown_slots(void)
{
    assert_part(1 * GiB, 0, 1 * GiB);
    assert_part(3 * GiB, -1, 4 * GiB);
}

#define LEFT (SLOTS / 2)

static void test_blocks(void)
{
    g_assert_cmphex(dirty_late_block_part(16 * MiB, 4 * KiB, LEFT), ==,
                    16 * MiB);
    g_assert_cmphex(dirty_late_block_part(16 * MiB, 16 * GiB, LEFT), ==,
                    16 * MiB);
    g_assert_cmphex(dirty_late_block_part(16 * MiB, 16 * GiB + 1 * MiB, LEFT),
                    ==, 32 * MiB);
    g_assert_cmphex(dirty_late_block_part(16 * MiB, 512 * GiB, LEFT), ==,
                    512 * MiB);
    g_assert_cmphex(dirty_late_block_part(1 * GiB, 1 * TiB, LEFT), ==, 1 * GiB);
    g_assert_cmphex(dirty_late_block_part(1 * GiB, 64 * TiB, 0), ==, 4 * TiB);
}

/* Large PCI devices, as many as one likes, leave slots for others. */
static void test_many_blocks(void)
{
    int64_t left = LEFT;

    for (int i = 0; i < 512; i++) {
        uint64_t part = dirty_late_block_part(16 * MiB, 64 * GiB, left);

        if (i < 10) {
            g_assert_cmphex(part, ==, 64 * MiB);
        }
        left -= 64 * GiB / part;
    }
    g_assert_cmpint(left, >, -512);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-late/usual", test_usual);
    g_test_add_func("/dirty-late/few-slots", test_few_slots);
    g_test_add_func("/dirty-late/unknown-slots", test_unknown_slots);
    g_test_add_func("/dirty-late/blocks", test_blocks);
    g_test_add_func("/dirty-late/many-blocks", test_many_blocks);
    return g_test_run();
}
