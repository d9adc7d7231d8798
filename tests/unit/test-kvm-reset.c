/*
 * Tests of resetting rings and what goes with it, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/ramlist.h"
#include "system/dirty-tracking.h"
#include "kvm-fixture.h"

#define PAGES 512

typedef enum Kernel {
    PLAIN,                  /* rings and nothing else */
    OVERFLOW,               /* and KVM_RESET_DIRTY_RING */
} Kernel;

/* How the next reset is to go wrong, if it is */
static struct {
    bool due;
    RingModelFault how;
} next_fault;

/* For how long the next reset is to sleep, in us */
static int next_sleep;

static void fault(void *opaque, RingModelFault *how)
{
    if (next_sleep) {
        g_usleep(next_sleep);
        next_sleep = 0;
    }
    if (next_fault.due) {
        *how = next_fault.how;
        next_fault.due = false;
    }
}

/* Four slots of 128 pages, and one in SMM's address space */
static void set_up(Fixture *f, gconstpointer kernel)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, PAGES);

    config.fault = fault;
    config.offer.ring_overflow = GPOINTER_TO_INT(kernel) == OVERFLOW;
    config.offer.wp_all = 0;
    next_fault.due = false;
    boot(f, &config, 128, 64);
}

static void go_wrong(uint32_t limit, bool forget, int result)
{
    next_fault.how = (RingModelFault) { limit, forget, result };
    next_fault.due = true;
}

static uint64_t reprotections(Fixture *f)
{
    return stat64_get(&f->w->state.dirty_tracker->counters.reprotections);
}

/* Only what was written is dirty, and is protected. */
static void test_all_is_well(Fixture *f, gconstpointer opaque)
{
    migrate(f);
    write_pages(f, 100, 50);
    world_sync(f->w, false);
    g_assert_cmpuint(world_to_send(f->w, 100, 50), ==, 50);
    g_assert_cmpuint(world_to_send(f->w, 0, PAGES), ==, 50);
    g_assert_cmpuint(reprotections(f), ==, 0);
    world_send_all(f->w);
    world_check(f->w, "sent");
    g_assert_cmpuint(world_finish(f->w), ==, 0);
}

/* Everything is protected again, and is dirty. */
static void check_reprotected(Fixture *f)
{
    World *w = f->w;

    world_sync(w, false);
    g_assert_cmpuint(reprotections(f), ==, 1);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
    for (uint64_t page = 0; page < PAGES; page++) {
        uint64_t offset = page;
        uint32_t key = world_key(w, f->ram, &offset);

        g_assert_false(ring_model_is_writable(kvm_model_guest(w->kvm), key,
                                              offset));
    }
    g_assert_cmpuint(w->lost, ==, 0);
    /* The next one is as usual. */
    world_send_all(w);
    write_pages(f, 300, 1);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 1);
    g_assert_cmpuint(reprotections(f), ==, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_short(Fixture *f, gconstpointer opaque)
{
    migrate(f);
    write_pages(f, 100, 50);
    go_wrong(20, true, 0);
    check_reprotected(f);
}

/* Nobody can tell how many it did: neither is the next one's number trusted. */
static void test_interrupted(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    for (int i = 1; i <= 2; i++) {
        write_pages(f, 100, 50);
        if (i == 1) {
            go_wrong(50, true, -EINTR);
        }
        world_sync(w, false);
        g_assert_cmpuint(reprotections(f), ==, i);
        g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
        world_send_all(w);
        world_check(w, "sent");
    }
    write_pages(f, 100, 50);
    world_sync(w, false);
    g_assert_cmpuint(reprotections(f), ==, 2);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 50);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/*
 * Nothing shows in the number, but the thread has slept: something may have
 * stopped the reset at its very end.
 */
static void test_slept(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_pages(f, 100, 50);
    next_sleep = 1000;
    world_sync(w, false);
    g_assert_cmpuint(reprotections(f), ==, 0);
    world_send_all(w);

    w->state.dirty_tracker->rings->interruptible = true;
    write_pages(f, 100, 50);
    world_sync(w, false);
    g_assert_cmpuint(reprotections(f), ==, 0);
    world_send_all(w);
    write_pages(f, 100, 50);
    next_sleep = 1000;
    check_reprotected(f);
}

/* Entries are left, and go with the reset of a later sync. */
static void test_fails(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    write_pages(f, 100, 50);
    go_wrong(10, false, -EIO);
    world_sync(w, false);
    g_assert_cmpuint(reprotections(f), ==, 1);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
    world_send_all(w);
    world_check(w, "sent");
    write_pages(f, 300, 100);
    world_sync(w, false);
    world_send_all(w);
    world_check(w, "sent again");
    write_pages(f, 0, 190);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/*
 * A reset goes wrong, and of the ioctls that make up for it KVM refuses one,
 * after @calls that pass: nobody knows any more.
 */
static void lose_protection(Fixture *f, unsigned calls)
{
    migrate(f);
    write_pages(f, 100, 50);
    go_wrong(20, true, 0);
    kvm_model_refuse(f->w->kvm, KVM_SET_USER_MEMORY_REGION, calls, 1, ENOMEM);
    world_sync(f->w, false);
    g_assert_cmpuint(f->w->lost, ==, 1);
}

/* Switching the log on again is refused. */
static void test_not_reprotected(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    /* Of the second slot: off and on, twice */
    lose_protection(f, 3);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
        world_send_all(w);
        world_sync(w, false);
    }
    world_send_all(w);
    world_store(w, 0, f->ram, 200, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* The same if it cannot be switched off, as then nothing is protected. */
static void test_not_switched_off(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    lose_protection(f, 0);
    world_send_all(w);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A slot that KVM does not log is dirty anyway: it is not asked again. */
static void test_blind_stays_blind(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    uint64_t offset = 128;
    uint32_t key;

    migrate_refused(f, false);
    write_pages(f, 0, 50);
    go_wrong(20, true, 0);
    world_sync(w, false);
    key = world_key(w, f->ram, &offset);
    g_assert_cmpint(kvm_model_flags(w->kvm, key), ==, 0);
    g_assert_cmpuint(w->lost, ==, 0);
    world_check(w, "synced");
    world_send_all(w);
    world_check(w, "sent");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A slot that KVM need not log yet stays so. */
static void test_late_stays_late(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    uint64_t offset = 300;
    uint32_t key;

    world_migrate(w, true);
    world_send(w, 100);
    write_pages(f, 90, 30);
    go_wrong(5, true, 0);
    world_sync(w, false);
    key = world_key(w, f->ram, &offset);
    g_assert_cmpint(kvm_model_flags(w->kvm, key), ==, 0);
    world_check(w, "synced");
    world_send_all(w);
    world_check(w, "sent");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* 192 entries make it full. */
static void fill_ring(World *w, const WorldRegion *ram)
{
    for (int page = 0; page < 200; page++) {
        world_store(w, 0, ram, page, page + 1000);
    }
}

/*
 * Who may be interrupted has the reaper do it.  A vCPU can be, unless it blocks
 * its signals, and even so by task work.
 */
static void test_who_resets(Fixture *f, gconstpointer opaque)
{
    MemoryListener *listener = &f->w->kml[0].listener;
    World *w = f->w;
    unsigned calls;

    migrate(f);
    calls = w->reaper_calls;
    write_pages(f, 0, 10);
    world_sync(w, false);
    g_assert_cmpuint(w->reaper_calls, ==, calls);

    world_set_role(WORLD_MAIN, NULL);
    write_pages(f, 20, 10);
    listener->log_sync_global(listener, false);
    g_assert_cmpuint(w->reaper_calls, ==, calls + 1);

    fill_ring(w, f->ram);
    g_assert_cmpuint(w->reaper_calls, ==, calls + 1);
    world_check(w, "full");

    w->io_uring = true;
    fill_ring(w, f->ram);
    g_assert_cmpuint(w->reaper_calls, >, calls + 1);
    world_check(w, "full again");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* As the ring goes on where it was, so must whoever reads it. */
static void test_unplug(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    for (int i = 0; i < 3; i++) {
        write_pages(f, 100, 33);
        world_unplug(w, 0);
        world_check(w, "unplugged");
        world_take_published(w);
        g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 33);
        world_send_all(w);
        world_plug(w, 0);
    }
    write_pages(f, 200, 10);
    world_check(w, "plugged");
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 10);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Entries of a slot that goes are of its pages, not of those that come. */
static void test_id_is_used_again(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    world_store(w, 1, f->smm, 5, 1);
    world_unmap(w, f->smm);
    f->smm = world_map(w, 1, 0, 400, 64, 64);
    world_check(w, "another slot");
    world_take_published(w);
    g_assert_true(w->bmap[5]);
    g_assert_false(w->bmap[405]);
    world_send_all(w);
    world_store(w, 1, f->smm, 6, 1);
    world_sync(w, false);
    g_assert_true(w->bmap[406]);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A removed slot is gone from the table: its key leads nowhere. */
static void test_strays(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    DirtyCounters *counters = &w->state.dirty_tracker->counters;
    uint64_t offset = 5;
    uint32_t key = world_key(w, f->smm, &offset);

    migrate(f);
    world_unmap(w, f->smm);
    ring_model_push(kvm_model_guest(w->kvm), 0, key, offset);
    ring_model_push(kvm_model_guest(w->kvm), 0, 0x30000, 1);
    world_sync(w, false);
    g_assert_cmpuint(stat64_get(&counters->stray_entries), ==, 2);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);
}

static unsigned long *vga(void)
{
    return ram_list.dirty_memory[DIRTY_MEMORY_VGA]->blocks[0];
}

/* A refresh leaves rings alone that have nothing of the display. */
static void test_display(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_set_display(w, f->smm, true);
    migrate(f);
    write_pages(f, 200, 10);
    world_sync_display(w, f->smm);
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);

    world_store(w, 0, f->smm, 9, 1);
    world_sync_display(w, f->smm);
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 11);
    g_assert_cmphex(vga()[0], ==, 1 << 9);
    g_assert_cmphex(vga()[BIT_WORD(200)], ==, 0);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A CPU that logs so many pages by itself as none does today */
static void set_up_pml(Fixture *f, gconstpointer opaque)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_RING, 8192);

    config.offer.ring_overflow = 0;
    config.offer.wp_all = 0;
    config.ring_size = 4096;
    config.pml_size = 2048;
    boot(f, &config, 8192, 64);
}

/* How many entries make a ring full is learnt, not from one exit alone. */
static void test_room(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    DirtyRings *rings = w->state.dirty_tracker->rings;
    const DirtyRing *ring = g_ptr_array_index(rings->list, 0);
    uint32_t guess = dirty_rings_room(rings, ring);
    int full = 0;

    g_assert_cmpuint(guess, >, 2048);
    migrate(f);
    for (uint64_t page = 0; full < 2; page++) {
        if (world_store_once(w, 0, f->ram, page, 1) == RING_MODEL_RING_FULL) {
            g_assert_cmpuint(dirty_rings_room(rings, ring), ==, guess);
            world_store(w, 0, f->ram, page, 1);
            full++;
        }
    }
    g_assert_cmpuint(dirty_rings_room(rings, ring), ==, 2048);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

#define ADD(path, kernel, fn) \
    g_test_add("/kvm-reset/" path, Fixture, GINT_TO_POINTER(kernel), set_up, \
               fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("all-is-well", PLAIN, test_all_is_well);
    ADD("short", PLAIN, test_short);
    ADD("short-with-count", OVERFLOW, test_short);
    ADD("interrupted", PLAIN, test_interrupted);
    ADD("slept", PLAIN, test_slept);
    ADD("slept-with-count", OVERFLOW, test_slept);
    ADD("fails", PLAIN, test_fails);
    ADD("not-reprotected", PLAIN, test_not_reprotected);
    ADD("not-switched-off", PLAIN, test_not_switched_off);
    ADD("late-stays-late", PLAIN, test_late_stays_late);
    ADD("blind-stays-blind", PLAIN, test_blind_stays_blind);
    ADD("who-resets", PLAIN, test_who_resets);
    g_test_add("/kvm-reset/room", Fixture, NULL, set_up_pml, test_room,
               tear_down);
    ADD("unplug", PLAIN, test_unplug);
    ADD("id-is-used-again", PLAIN, test_id_is_used_again);
    ADD("strays", PLAIN, test_strays);
    ADD("display", PLAIN, test_display);
    return g_test_run();
}
