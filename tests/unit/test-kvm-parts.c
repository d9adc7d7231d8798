/*
 * Tests of how memory is cut into slots, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "exec/ramblock.h"
#include "hw/boards.h"
#include "system/dirty-tracking.h"
#include "kvm-fixture.h"

/* The model has 16 slots. */
static void set_up(Fixture *f, gconstpointer opaque)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, 256);

    boot(f, &config, 64, 128);
}

/* A quarter of the slots is for the memory that the machine has. */
static void test_part(Fixture *f, gconstpointer opaque)
{
    MachineState machine = { .ram_size = 4 * GiB, .maxram_size = 8 * GiB };
    RAMBlock block = { .page_size = 4 * KiB, .max_length = 4 * GiB };
    MemoryRegion mr = { .ram_block = &block };

    current_machine = &machine;
    block.host = (void *)&block;
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 0, 4 * GiB), ==, 2 * GiB);
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 3 * GiB, 4 * GiB), ==,
                    1 * GiB);
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 0, 64 * KiB), ==,
                    64 * KiB);
    mr.ram_device = true;
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 3 * GiB, 4 * GiB), ==,
                    4 * GiB);
    /* KVM takes less than 8 TiB. */
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 3 * TiB, 16 * TiB), ==,
                    1 * TiB);
    g_assert_cmpuint(kvm_dirty_tracking_clear_shift(10), ==, 10);
    g_assert_cmpuint(kvm_dirty_tracking_clear_shift(30), ==, 19);
    current_machine = NULL;
}

/* KVM maps no huge page across the border of two slots. */
static void test_part_of_huge_pages(Fixture *f, gconstpointer opaque)
{
    MachineState machine = { .ram_size = 4 * GiB, .maxram_size = 4 * GiB };
    RAMBlock block = { .page_size = 4ULL * GiB, .max_length = 4 * GiB };
    MemoryRegion mr = { .ram_block = &block };

    current_machine = &machine;
    block.host = (void *)&block;
    g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 0, 4 * GiB), ==, 4 * GiB);
    current_machine = NULL;
}

/* Blocks share slots: what one got stays, and comes back when it goes. */
static void test_part_of_many(Fixture *f, gconstpointer opaque)
{
    MachineState machine = { .ram_size = 4 * GiB, .maxram_size = 4 * GiB };
    RAMBlock blocks[4] = {};
    MemoryRegion mr = {};

    current_machine = &machine;
    /* Half of the slots is for blocks.  Of these 8 the first gets 2. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ARRAY_SIZE(blocks); i++) {
            uint64_t part;

            blocks[i].host = (void *)&blocks[i];
            blocks[i].page_size = 4 * KiB;
            blocks[i].max_length = 64 * GiB;
            mr.ram_block = &blocks[i];
            part = kvm_dirty_tracker_slot_part(&mr, 0, 64 * GiB);
            g_assert_cmphex(part, ==, i ? 64 * GiB : 32 * GiB);
            g_assert_cmphex(kvm_dirty_tracker_slot_part(&mr, 0, 64 * GiB), ==,
                            part);
        }
        for (int i = 0; i < ARRAY_SIZE(blocks); i++) {
            world_block_removed(f->w, &blocks[i]);
        }
    }
    current_machine = NULL;
}

#define ADD(path, fn) \
    g_test_add("/kvm-parts/" path, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("memory", test_part);
    ADD("huge-pages", test_part_of_huge_pages);
    ADD("many-blocks", test_part_of_many);
    return g_test_run();
}
