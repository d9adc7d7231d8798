/*
 * Tests of starting to log late, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "kvm-fixture.h"

#define PAGES 256

/* Four slots of 64 pages, and one in SMM's address space for half of them */
static void set_up(Fixture *f, gconstpointer opaque)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.offer.ring_overflow = 0;
    boot(f, &config, 64, 128);
}

static unsigned late(World *w)
{
    return w->state.dirty_tracker->late.count;
}

static void test_start(Fixture *f, gconstpointer opaque)
{
    unsigned before = kvm_model_calls(f->w->kvm, KVM_SET_USER_MEMORY_REGION);

    world_migrate(f->w, true);
    g_assert_cmpuint(late(f->w), ==, 5);
    g_assert_cmpuint(kvm_model_calls(f->w->kvm, KVM_SET_USER_MEMORY_REGION),
                     ==, before);
    g_assert_false(is_logged(f->w, f->ram, 0));
}

static void test_not_promised(Fixture *f, gconstpointer opaque)
{
    world_migrate(f->w, false);
    g_assert_cmpuint(late(f->w), ==, 0);
    for (int at = 0; at < PAGES; at += 64) {
        g_assert_true(is_logged(f->w, f->ram, at));
    }
    g_assert_true(is_logged(f->w, f->smm, 0));
}

/* Only what is about to be read is logged, in all address spaces. */
static void test_read(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    world_store(w, 0, f->ram, 70, 1);
    g_assert_true(world_send(w, 70));
    g_assert_true(is_logged(w, f->ram, 64));
    g_assert_true(is_logged(w, f->smm, 0));
    g_assert_false(is_logged(w, f->ram, 0));
    g_assert_false(is_logged(w, f->ram, 128));
    g_assert_cmpuint(late(w), ==, 3);

    /* And what is written there from then on is seen. */
    world_store(w, 0, f->ram, 70, 2);
    world_sync(w, false);
    g_assert_true(w->bmap[70]);
    world_send_all(w);
    g_assert_cmpuint(late(w), ==, 0);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A vCPU writes at any moment of the ioctl that makes a slot logged. */
static void store_again(void *opaque)
{
    World *w = opaque;
    static uint64_t value = 1000;

    if (w->test) {
        world_store_once(w, 1, w->test, 70, ++value);
    }
}

static World *boot_with(void (*interleave)(void *opaque))
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.interleave = interleave;
    return world_boot(&config);
}

static void test_written_meanwhile(void)
{
    World *w = boot_with(store_again);
    WorldRegion *ram = world_map(w, 0, 0, 0, PAGES, 64);

    world_migrate(w, true);
    w->test = ram;
    world_send(w, 70);
    store_again(w);
    world_check(w, "sent");
    w->test = NULL;
    g_assert_cmpuint(world_finish(w), ==, 0);
    world_free(w);
}

/* While the last late slot begins to be logged, another thread reads there. */
static void send_and_store(void *opaque)
{
    World *w = opaque;

    if (w->test && world_send(w, 200)) {
        world_store_once(w, 1, w->test, 200, 1000);
    }
}

static void test_not_late_too_early(void)
{
    World *w = boot_with(send_and_store);
    WorldRegion *ram = world_map(w, 0, 0, 0, PAGES, PAGES);

    world_store(w, 0, ram, 200, 1);
    world_migrate(w, true);
    w->test = ram;
    world_send(w, 70);
    w->test = NULL;
    world_check(w, "sent");
    world_send_all(w);
    g_assert_cmpuint(world_finish(w), ==, 0);
    world_free(w);
}

/* A slot that KVM does not log is dirty in each sync, the others are not. */
static void test_refused(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_refused(f, true);
    g_assert_cmpuint(late(w), ==, 0);
    g_assert_false(is_logged(w, f->ram, 64));
    for (int i = 0; i < 3; i++) {
        world_store(w, 0, f->ram, 100, i + 1);
        world_store(w, 0, f->ram, 200, i + 1);
        world_sync(w, false);
        g_assert_cmpuint(world_to_send(w, 0, 64), ==, 0);
        g_assert_cmpuint(world_to_send(w, 64, 64), ==, 64);
        g_assert_cmpuint(world_to_send(w, 128, 128), ==, 1);
        world_send_all(w);
    }
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Nor is anybody to know when it goes away. */
static void test_refused_and_removed(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_refused(f, true);
    world_store(w, 0, f->ram, 100, 1);
    world_unmap(w, f->ram);
    world_check(w, "removed");
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 64, 64), ==, 64);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* The same if it is refused at once, without being late */
static void test_refused_at_start(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_refused(f, false);
    world_store(w, 0, f->ram, 100, 1);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 64, 64), ==, 64);
    g_assert_cmpuint(world_to_send(w, 0, 64), ==, 0);
    g_assert_cmpuint(world_to_send(w, 128, 128), ==, 0);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A refresh of the display must not hide that from migration's sync. */
static void test_refused_display(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 1, ENOMEM);
    world_set_display(w, f->ram, true);
    world_sync_display(w, f->ram);
    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 1, ENOMEM);
    world_migrate(w, false);
    world_send_all(w);
    world_store(w, 0, f->ram, 3, 1);
    world_sync_display(w, f->ram);
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, 64), ==, 64);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Should KVM take it now, the display is not made to wait. */
static void test_refused_display_is_not_late(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 1, ENOMEM);
    world_set_display(w, f->smm, true);
    world_migrate(w, true);
    g_assert_cmpuint(late(w), ==, 4);
    g_assert_true(is_logged(w, f->smm, 0));
}

/* KVM takes it when the display joins: what was written so far is not known. */
static void test_refused_then_taken(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 1, ENOMEM);
    world_migrate(w, false);
    world_send_all(w);
    g_assert_cmpuint(w->refusals, ==, 1);
    world_store(w, 0, f->ram, 3, 1);
    world_set_display(w, f->ram, true);
    g_assert_true(is_logged(w, f->ram, 0));
    world_check(w, "taken");
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, 64), ==, 64);
    g_assert_cmpuint(world_to_send(w, 64, PAGES - 64), ==, 0);
    world_send_all(w);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Memory that is new while a migration goes on is not logged, but there. */
static void test_refused_new(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    world_unmap(w, f->ram);
    world_migrate(w, false);
    world_send_all(w);
    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 1, ENOMEM);
    f->ram = world_map(w, 0, 0, 0, PAGES, 64);
    g_assert_cmpuint(w->refusals, ==, 1);
    g_assert_false(is_logged(w, f->ram, 0));
    g_assert_true(is_logged(w, f->ram, 64));
    world_store(w, 0, f->ram, 3, 1);
    world_check(w, "mapped");
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, 64), ==, 64);
    g_assert_cmpuint(w->lost, ==, 0);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* An event says so once, however often KVM refuses. */
static void test_refused_twice(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    world_migrate(w, true);
    kvm_model_refuse(w->kvm, KVM_SET_USER_MEMORY_REGION, 0, 2, ENOMEM);
    world_send_all(w);
    g_assert_false(is_logged(w, f->ram, 0));
    g_assert_false(is_logged(w, f->ram, 64));
    g_assert_true(is_logged(w, f->ram, 128));
    g_assert_cmpuint(w->refusals, ==, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/*
 * The flat view has switched: nobody logs the slot, as log_clear finds nothing
 * there.  So what the sender reads of it, and a vCPU then writes, is seen by
 * nobody until it is removed.
 */
static void test_removed_after_it_is_read(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    world_migrate(w, true);
    world_leave_view(f->ram);
    world_send_all(w);
    world_store(w, 0, f->ram, 200, 1);
    world_unmap(w, f->ram);
    world_check(w, "removed");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_stopped(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    world_send(w, 0);
    world_end_migration(w);
    g_assert_cmpuint(late(w), ==, 0);
    for (int at = 0; at < PAGES; at += 64) {
        g_assert_false(is_logged(w, f->ram, at));
    }
    /* The next migration starts like the first. */
    world_migrate(w, true);
    g_assert_cmpuint(late(w), ==, 5);
    world_send_all(w);
    world_store(w, 1, f->ram, 250, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
    world_set_running(w, true);
    world_end_migration(w);
    /* What was promised for one is not for all that follow. */
    world_migrate(w, false);
    g_assert_cmpuint(late(w), ==, 0);
}

/* Who counts pages, and the display, want to know of all writes. */
static void test_others_join(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    kvm_dirty_tracking_log_all();
    g_assert_cmpuint(late(w), ==, 0);
    g_assert_true(is_logged(w, f->ram, 192));
    g_assert_true(is_logged(w, f->smm, 0));
    kvm_dirty_tracking_log_all();
}

static void test_display_joins(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    world_set_display(w, f->smm, true);
    g_assert_cmpuint(late(w), ==, 4);
    g_assert_true(is_logged(w, f->smm, 0));
    g_assert_false(is_logged(w, f->ram, 0));
}

static void test_display_is_not_late(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_set_display(w, f->smm, true);
    g_assert_true(is_logged(w, f->smm, 0));
    world_migrate(w, true);
    g_assert_cmpuint(late(w), ==, 4);
    world_end_migration(w);
    g_assert_true(is_logged(w, f->smm, 0));
}

/* What takes the id of a late slot is not late itself. */
static void test_removed(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    world_unmap(w, f->smm);
    g_assert_cmpuint(late(w), ==, 4);
    f->smm = world_map(w, 1, 0, 0, 128, 128);
    g_assert_cmpuint(late(w), ==, 4);
    g_assert_true(is_logged(w, f->smm, 0));
    world_send_all(w);
    world_store(w, 0, f->smm, 5, 1);
    world_check(w, "written");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/*
 * With nothing late, the sender waits for nobody: the lock's other users would
 * stop it, and it them.
 */
static void test_no_lock(Fixture *f, gconstpointer opaque)
{
    MemoryListener *listener = &f->w->kml[0].listener;
    MemoryRegionSection section = {
        .mr = &f->ram->mr,
        .size = int128_make64(64 * KVM_MODEL_PAGE),
    };

    world_migrate(f->w, false);
    qemu_mutex_lock(&kml_slots_lock);
    listener->log_clear(listener, &section);
    qemu_mutex_unlock(&kml_slots_lock);
}

static void test_has_slot(Fixture *f, gconstpointer opaque)
{
    KVMMemoryListener *kml = &f->w->kml[0];

    g_assert_true(kvm_dirty_tracker_has_slot(kml, 64 * KVM_MODEL_PAGE));
    g_assert_false(kvm_dirty_tracker_has_slot(kml, 65 * KVM_MODEL_PAGE));
    g_assert_false(kvm_dirty_tracker_has_slot(kml, PAGES * KVM_MODEL_PAGE));
    world_unmap(f->w, f->ram);
    g_assert_false(kvm_dirty_tracker_has_slot(kml, 64 * KVM_MODEL_PAGE));
}

#define ADD(path, fn) \
    g_test_add("/kvm-late/" path, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("start", test_start);
    ADD("not-promised", test_not_promised);
    ADD("logged-before-it-is-read", test_read);
    g_test_add_func("/kvm-late/written-meanwhile", test_written_meanwhile);
    g_test_add_func("/kvm-late/not-late-too-early", test_not_late_too_early);
    ADD("refused", test_refused);
    ADD("refused-and-removed", test_refused_and_removed);
    ADD("refused-at-start", test_refused_at_start);
    ADD("refused-display", test_refused_display);
    ADD("refused-display/late", test_refused_display_is_not_late);
    ADD("refused-then-taken", test_refused_then_taken);
    ADD("refused-new", test_refused_new);
    ADD("refused-twice", test_refused_twice);
    ADD("stopped", test_stopped);
    ADD("others-join", test_others_join);
    ADD("display-joins", test_display_joins);
    ADD("display-is-not-late", test_display_is_not_late);
    ADD("removed", test_removed);
    ADD("removed-after-it-is-read", test_removed_after_it_is_read);
    ADD("no-lock-if-nothing-is-late", test_no_lock);
    ADD("has-slot", test_has_slot);
    return g_test_run();
}
