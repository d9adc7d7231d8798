/*
 * Tests of pages that are not in rings, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "kvm-fixture.h"

#define PAGES 512

typedef enum Kernel {
    WITH_BITMAP,            /* for what is written without a vCPU */
    OVERFLOW,
} Kernel;

/* Four slots of 128 pages, and one in SMM's address space */
static void set_up(Fixture *f, gconstpointer kernel)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.offer.ring_with_bitmap = GPOINTER_TO_INT(kernel) == WITH_BITMAP;
    config.offer.ring_overflow = GPOINTER_TO_INT(kernel) == OVERFLOW;
    config.offer.wp_all = 0;
    boot(f, &config, 128, 64);
}

/* Write to page @offset of RAM without a vCPU. */
static void write_outside(Fixture *f, uint64_t offset)
{
    uint32_t key = world_key(f->w, f->ram, &offset);

    ring_model_store_outside(kvm_model_guest(f->w->kvm), key, offset, 1);
}

/* Pages without a vCPU are looked for once, when nothing more can come. */
static void test_back_up_bitmap(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    migrate(f);
    calls = kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG);
    write_outside(f, 300);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==, calls);
    g_assert_cmpuint(world_finish(w), ==, 0);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), >, calls);
}

/* Postcopy syncs once after the stop, and does not say that it is the last. */
static void test_back_up_bitmap_stopped(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_outside(f, 300);
    world_set_running(w, false);
    world_sync(w, false);
    g_assert_true(w->bmap[300]);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 1);
}

/* Bitmaps are fetched when KVM's count says so. */
static void test_overflow(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    migrate(f);
    world_sync(w, false);
    calls = kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG);
    write_pages(f, 0, RING_SIZE);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==, calls);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, RING_SIZE);
    world_send_all(w);

    write_pages(f, 0, RING_SIZE + 20);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==,
                     calls + 5);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, RING_SIZE + 20);
    g_assert_cmpuint(w->overflow_news, ==, 20);
    world_send_all(w);
    world_check(w, "sent");

    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==,
                     calls + 5);
    write_pages(f, 100, RING_SIZE + 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* If the count cannot be had there may be something. */
static void test_overflow_unknown(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    migrate(f);
    write_pages(f, 0, RING_SIZE + 20);
    world_sync(w, false);
    world_send_all(w);
    calls = kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG);
    kvm_model_refuse(w->kvm, KVM_RESET_DIRTY_RING, 0, 1, EIO);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==,
                     calls + 5);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/*
 * A bitmap cannot be had.  Its pages stay writable, so that writes to them do
 * not move the count: it is fetched again all the same.
 */
static void test_overflow_missed(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    migrate(f);
    write_pages(f, 0, RING_SIZE + 20);
    kvm_model_refuse(w->kvm, KVM_GET_DIRTY_LOG, 0, 5, EIO);
    world_sync(w, false);
    world_send_all(w);
    write_pages(f, RING_SIZE, 20);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 20);
    world_send_all(w);
    world_check(w, "sent");

    calls = kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==, calls);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Overflowed pages of a slot that goes away */
static void test_overflow_removed(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_pages(f, 0, RING_SIZE + 20);
    world_unmap(w, f->ram);
    world_check(w, "removed");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* With dirty limits vCPUs stop at full rings: what overflows is not counted. */
static void test_limits(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    int page = 0;

    migrate(f);
    w->limited = true;
    g_assert_true(world_reaper_turn(w));
    while (world_store_once(w, 0, f->ram, page, 1) == RING_MODEL_DONE) {
        page++;
    }
    g_assert_cmpint(page, ==, RING_SIZE - 64);
    g_assert_true(world_store(w, 0, f->ram, page, 1));
    w->limited = false;
    world_reaper_turn(w);
    write_pages(f, 200, RING_SIZE);
    world_check(w, "limits are over");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A turn of the reaper empties rings that KVM has told of. */
static void test_watermark(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_pages(f, 0, RING_SIZE / 4 * 3 - 1);
    g_assert_true(world_reaper_turn(w));
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);
    write_pages(f, 300, 1);
    g_assert_true(world_reaper_turn(w));
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, RING_SIZE / 4 * 3);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Overflowed pages of the display */
static void test_display(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_set_display(w, f->smm, true);
    migrate(f);
    write_pages(f, 100, RING_SIZE);
    world_store(w, 0, f->smm, 9, 1);
    world_sync_display(w, f->smm);
    world_check(w, "refreshed");
    world_take_published(w);
    g_assert_true(w->bmap[9]);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Whose bit is fetched while it is still in the guest */
static void test_presync(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_pages(f, 0, RING_SIZE + 20);
    world_set_role(WORLD_MIGRATION, NULL);
    kvm_dirty_tracking_presync();
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, RING_SIZE + 20);
    world_check(w, "before sync");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

#define ADD(path, kernel, fn) \
    g_test_add("/kvm-overflow/" path, Fixture, GINT_TO_POINTER(kernel), \
               set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("back-up-bitmap", WITH_BITMAP, test_back_up_bitmap);
    ADD("back-up-bitmap/stopped", WITH_BITMAP, test_back_up_bitmap_stopped);
    ADD("count", OVERFLOW, test_overflow);
    ADD("unknown", OVERFLOW, test_overflow_unknown);
    ADD("missed", OVERFLOW, test_overflow_missed);
    ADD("removed", OVERFLOW, test_overflow_removed);
    ADD("limits", OVERFLOW, test_limits);
    ADD("watermark", OVERFLOW, test_watermark);
    ADD("display", OVERFLOW, test_display);
    ADD("presync", OVERFLOW, test_presync);
    return g_test_run();
}
