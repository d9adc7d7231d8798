/*
 * Tests of late slots that others ask for, or that nobody writes to, on a model
 * of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "kvm-fixture.h"

#define PAGES 256

/* Four slots of 64 pages, and one in SMM's address space for half of them */
static void set_up(Fixture *f, gconstpointer opaque)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.offer.ring_overflow = 0;
    config.offer.ring_with_bitmap = 0;
    boot(f, &config, 64, 128);
}

/* Who joins has slots logged one by one, and others get the lock in between. */
static void test_join_by_steps(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls, turns;

    world_migrate(w, true);
    calls = kvm_model_calls(w->kvm, KVM_SET_USER_MEMORY_REGION);
    turns = w->lock_turns;
    kvm_dirty_tracking_log_all();
    calls = kvm_model_calls(w->kvm, KVM_SET_USER_MEMORY_REGION) - calls;
    g_assert_cmpuint(calls, ==, 5);
    g_assert_cmpuint(w->lock_turns - turns, >=, calls);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* While the guest stands still the sender may read late slots as they are. */
static void test_read_while_stopped(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    world_migrate(w, true);
    g_assert_true(world_send(w, 200));
    world_set_running(w, false);
    calls = kvm_model_calls(w->kvm, KVM_SET_USER_MEMORY_REGION);
    for (int page = 64; page < 192; page++) {
        g_assert_true(world_send(w, page));
    }
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_SET_USER_MEMORY_REGION), ==,
                     calls);
    g_assert_false(is_logged(w, f->ram, 64));

    /* What was read is logged before the guest goes on, and nothing else. */
    world_set_running(w, true);
    g_assert_true(is_logged(w, f->ram, 64));
    g_assert_true(is_logged(w, f->ram, 128));
    g_assert_true(is_logged(w, f->smm, 0));
    g_assert_false(is_logged(w, f->ram, 0));
    world_store(w, 0, f->ram, 70, 7);
    world_store(w, 0, f->ram, 5, 7);
    world_sync(w, false);
    g_assert_true(w->bmap[70]);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A slot that was read so and is then removed owes nothing. */
static void test_read_while_stopped_and_removed(Fixture *f,
                                                gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    world_set_running(w, false);
    g_assert_true(world_send(w, 10));
    world_unmap(w, f->smm);
    f->smm = world_map(w, 1, 0, 0, 64, 64);
    world_set_running(w, true);
    world_store(w, 0, f->ram, 10, 7);
    world_store(w, 1, f->smm, 11, 7);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

#define ADD(path, fn) \
    g_test_add("/kvm-owed/" path, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("join-by-steps", test_join_by_steps);
    ADD("read-while-stopped", test_read_while_stopped);
    ADD("read-while-stopped/removed", test_read_while_stopped_and_removed);
    return g_test_run();
}
