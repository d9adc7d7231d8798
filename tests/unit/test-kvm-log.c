/*
 * Tests of the dirty log, a bitmap a memslot, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/ramlist.h"
#include "kvm-fixture.h"

#define PAGES 256
#define MANUAL KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define SET KVM_DIRTY_LOG_INITIALLY_SET

/* The last KVM_CLEAR_DIRTY_LOG */
static struct {
    uint64_t first, npages, words[4];
} cleared;

static int enter(void *opaque, unsigned long request, const void *arg)
{
    const struct kvm_clear_dirty_log *clear = arg;

    if (request == KVM_CLEAR_DIRTY_LOG) {
        cleared.first = clear->first_page;
        cleared.npages = clear->num_pages;
        memcpy(cleared.words, clear->dirty_bitmap,
               DIV_ROUND_UP(cleared.npages, 64) * sizeof(cleared.words[0]));
    }
    return 0;
}

/* Slots of 100, 100 and 56 pages, and one in SMM's address space */
static void set_up(Fixture *f, gconstpointer manual)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_LOG, PAGES);

    config.enter = enter;
    config.offer.manual_protect = GPOINTER_TO_INT(manual);
    boot(f, &config, 100, 64);
}

/* All has been sent; what was logged until then is known. */
static void migrate_and_sync(Fixture *f)
{
    migrate(f);
    world_sync(f->w, false);
    world_send_all(f->w);
    g_assert_cmpuint(world_to_send(f->w, 0, PAGES), ==, 0);
    world_check(f->w, "all sent");
}

static bool is_writable(World *w, const WorldRegion *region, uint64_t offset)
{
    uint32_t key = world_key(w, region, &offset);

    return ring_model_is_writable(kvm_model_guest(w->kvm), key, offset);
}

/* A fetch protects what it finds, and nobody calls KVM_CLEAR_DIRTY_LOG. */
static void test_legacy(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 150, 1);
    g_assert_true(is_writable(w, f->ram, 150));
    world_sync(w, false);
    g_assert_false(is_writable(w, f->ram, 150));
    g_assert_true(w->bmap[150]);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 1);
    world_send_all(w);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_CLEAR_DIRTY_LOG), ==, 0);
    g_assert_nonnull(strstr(w->state.dirty_tracker->reason,
                            "(protected by each fetch)"));
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Pages are protected when they are about to be read, and not before. */
static void test_manual(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 150, 1);
    world_store(w, 0, f->ram, 10, 1);
    world_sync(w, false);
    g_assert_true(is_writable(w, f->ram, 150));
    world_send(w, 150);
    g_assert_false(is_writable(w, f->ram, 150));
    g_assert_true(is_writable(w, f->ram, 10));
    world_check(w, "sent");
    world_store(w, 0, f->ram, 150, 2);
    world_sync(w, false);
    g_assert_true(w->bmap[150]);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_reason(Fixture *f, gconstpointer manual)
{
    g_assert_nonnull(strstr(f->w->state.dirty_tracker->reason,
                            GPOINTER_TO_INT(manual) & SET
                            ? "(manual protect, initially set)"
                            : "(manual protect)"));
}

/* Starting to log protects nothing; pages are as they are sent. */
static void test_initially_set(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_store(w, 0, f->ram, 20, 1);
    world_migrate(w, false);
    g_assert_true(is_writable(w, f->ram, 20));
    world_send(w, 20);
    g_assert_false(is_writable(w, f->ram, 20));
    world_send_all(w);
    world_check(w, "sent");
    world_store(w, 0, f->ram, 20, 2);
    world_store(w, 0, f->ram, 255, 2);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A bit that KVM has set since the last fetch is left alone. */
static void test_unseen(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 101, 1);
    world_sync(w, false);
    world_store(w, 1, f->ram, 102, 1);
    world_send(w, 101);
    g_assert_cmphex(cleared.words[0], ==, 2);
    world_check(w, "cleared");
    world_sync(w, false);
    g_assert_true(w->bmap[102]);
    g_assert_false(w->bmap[101]);
    /* What was cleared is not cleared once more with the next. */
    world_send_all(w);
    g_assert_cmphex(cleared.words[0], ==, 4);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void clear_section(Fixture *f, uint64_t first, uint64_t npages)
{
    MemoryListener *listener = &f->w->kml[0].listener;
    MemoryRegionSection section = {
        .mr = &f->ram->mr,
        .size = int128_make64(npages * KVM_MODEL_PAGE),
        .offset_within_address_space = first * KVM_MODEL_PAGE,
    };

    memset(&cleared, 0, sizeof(cleared));
    listener->log_clear(listener, &section);
}

/* Ranges that are not KVM's: bits outside stay, also at the end of a slot. */
static void test_ranges(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    for (int i = 0; i < 100; i++) {
        world_store(w, 0, f->ram, i, 1);
    }
    world_sync(w, false);

    clear_section(f, 3, 4);
    g_assert_cmpuint(cleared.first, ==, 0);
    g_assert_cmpuint(cleared.npages, ==, 64);
    g_assert_cmphex(cleared.words[0], ==, 0x78);
    g_assert_false(is_writable(w, f->ram, 6));
    g_assert_true(is_writable(w, f->ram, 7));

    clear_section(f, 62, 4);
    g_assert_cmpuint(cleared.first, ==, 0);
    g_assert_cmpuint(cleared.npages, ==, 100);
    g_assert_cmphex(cleared.words[0], ==, 3ULL << 62);
    g_assert_cmphex(cleared.words[1], ==, 3);

    clear_section(f, 99, 1);
    g_assert_cmpuint(cleared.first, ==, 64);
    g_assert_cmpuint(cleared.npages, ==, 36);
    g_assert_cmphex(cleared.words[0], ==, 1ULL << 35);
    g_assert_true(is_writable(w, f->ram, 98));
    g_assert_false(is_writable(w, f->ram, 99));

    /* All that is left of the slot, and nothing of the next one */
    clear_section(f, 0, 100);
    g_assert_cmpuint(cleared.npages, ==, 100);
    g_assert_cmphex(cleared.words[0], ==, ~0x78ULL & ~(3ULL << 62));
    g_assert_cmphex(cleared.words[1], ==, ((1ULL << 35) - 1) & ~3ULL);
    for (int i = 0; i < 100; i++) {
        g_assert_false(is_writable(w, f->ram, i));
    }
    g_assert_null(strstr(w->said->str, "KVM_CLEAR_DIRTY_LOG"));
}

/* The guest has stopped: nobody fetches any more. */
static void test_last_pass(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    unsigned calls;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 101, 1);
    world_set_running(w, false);
    world_sync(w, true);
    calls = kvm_model_calls(w->kvm, KVM_CLEAR_DIRTY_LOG);
    world_send_all(w);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_CLEAR_DIRTY_LOG), ==, calls);

    /* It goes on here after all: the page is writable, so it is sent again. */
    world_set_running(w, true);
    world_store(w, 0, f->ram, 101, 2);
    world_sync(w, false);
    g_assert_true(w->bmap[101]);
    world_send_all(w);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_get_fails(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    migrate_and_sync(f);
    world_store(w, 0, f->ram, 230, 1);
    kvm_model_refuse(w->kvm, KVM_GET_DIRTY_LOG, 1, 1, EIO);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, 100), ==, 0);
    g_assert_cmpuint(world_to_send(w, 100, 100), ==, 100);
    g_assert_cmpuint(world_to_send(w, 200, 56), ==, 1);
    g_assert_nonnull(strstr(w->said->str, "KVM_GET_DIRTY_LOG of slot 1"));
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* The page stays writable, and its bit set. */
static void test_clear_fails(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 70, 1);
    world_sync(w, false);
    kvm_model_refuse(w->kvm, KVM_CLEAR_DIRTY_LOG, 0, 1, EINTR);
    world_send_all(w);
    g_assert_nonnull(strstr(w->said->str, "KVM_CLEAR_DIRTY_LOG of slot 0"));
    world_store(w, 0, f->ram, 70, 2);
    world_check(w, "not cleared");
    world_sync(w, false);
    g_assert_true(w->bmap[70]);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_blind(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_refused(f, false);
    world_sync(w, false);
    world_send_all(w);
    for (int i = 0; i < 2; i++) {
        world_store(w, 0, f->ram, 150, i + 1);
        world_sync(w, false);
        g_assert_cmpuint(world_to_send(w, 100, 100), ==, 100);
        g_assert_cmpuint(world_to_send(w, 0, 100), ==, 0);
        world_send_all(w);
    }
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* What was seen in one migration means nothing in the next. */
static void test_again(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 101, 1);
    world_sync(w, false);
    world_end_migration(w);
    g_assert_null(world_slot(w, f->ram, 101)->dirty_bmap);
    world_store(w, 0, f->ram, 103, 1);
    migrate_and_sync(f);
    world_store(w, 1, f->ram, 101, 2);
    world_store(w, 1, f->ram, 103, 2);
    world_check(w, "written");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_removed(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;
    KVMSlot *slot = world_slot(w, f->smm, 0);

    migrate_and_sync(f);
    world_store(w, 0, f->ram, 199, 1);
    world_store(w, 0, f->smm, 3, 1);
    world_unmap(w, f->smm);
    /* It may be too small for what takes its place. */
    g_assert_null(slot->dirty_bmap);
    world_unmap(w, f->ram);
    world_check(w, "removed");
    f->ram = world_map(w, 0, 50, 100, 100, 100);
    world_check(w, "another");
    world_store(w, 0, f->ram, 5, 1);
    world_check(w, "written");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A refresh of the display fetches the slots of that, and they alone. */
static void test_display(Fixture *f, gconstpointer opaque)
{
    unsigned long *words = ram_list.dirty_memory[DIRTY_MEMORY_VGA]->blocks[0];
    World *w = f->w;
    unsigned calls;

    world_set_display(w, f->smm, true);
    world_store(w, 0, f->smm, 7, 1);
    words[0] = 0;
    calls = kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG);
    world_sync_display(w, f->smm);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_GET_DIRTY_LOG), ==,
                     calls + 1);
    g_assert_true(words[0] & 1 << 7);
}

/* What KVM offers but does not do is done without. */
static void test_not_enabled(void)
{
    WorldConfig config = everything(KVM_DIRTY_TRACKING_MODE_LOG, PAGES);
    Fixture f = { .w = world_new(&config) };

    kvm_model_refuse(f.w->kvm, KVM_ENABLE_CAP, 0, 1, EPERM);
    g_assert_cmpint(world_probe(f.w), ==, 0);
    g_assert_nonnull(strstr(f.w->said->str, "cannot be enabled (Operation not "
                            "permitted): pages are protected by each fetch"));
    world_start(f.w);
    map_memory(&f, 100, 64);
    test_legacy(&f, NULL);
    world_free(f.w);
}

#define ADD(path, manual, fn) \
    g_test_add("/kvm-log/" path, Fixture, GINT_TO_POINTER(manual), set_up, fn, \
               tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("legacy", 0, test_legacy);
    ADD("manual", MANUAL, test_manual);
    ADD("manual/reason", MANUAL, test_reason);
    ADD("initially-set", MANUAL | SET, test_initially_set);
    ADD("initially-set/reason", MANUAL | SET, test_reason);
    ADD("unseen", MANUAL, test_unseen);
    ADD("ranges", MANUAL, test_ranges);
    ADD("last-pass", MANUAL, test_last_pass);
    ADD("get-fails", MANUAL, test_get_fails);
    ADD("clear-fails", MANUAL, test_clear_fails);
    ADD("blind-slot", MANUAL | SET, test_blind);
    ADD("again", MANUAL, test_again);
    ADD("again/initially-set", MANUAL | SET, test_again);
    ADD("removed", MANUAL, test_removed);
    ADD("removed/legacy", 0, test_removed);
    ADD("display", MANUAL, test_display);
    g_test_add_func("/kvm-log/not-enabled", test_not_enabled);
    return g_test_run();
}
