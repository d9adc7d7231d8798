/*
 * Tests of write-protecting all memory at once, on a model of KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/ramlist.h"
#include "system/dirty-tracking.h"
#include "kvm-fixture.h"

#define PAGES 256

/* What the tracker asked of KVM, in order: see letter_of(). */
static struct {
    GString *calls;
    /* Fail the next calls of that letter, if not 0. */
    char refuse;
    int err;
    /* Called before each ioctl */
    void (*before)(Fixture *f, char letter);
} asked;

/*
 * g: a log is fetched, t: is taken, pages staying writable
 * p: all memory is protected, s: a slot begins to be logged
 * u/n: from now on that leaves its pages writable/protects them
 */
static char letter_of(unsigned long request, const void *arg)
{
    const struct kvm_userspace_memory_region *region = arg;
    const struct kvm_enable_cap *cap = arg;
    const struct kvm_dirty_log *log = arg;

    switch (request) {
    case KVM_GET_DIRTY_LOG:
        return log->padding1 & KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT ? 't' : 'g';
    case KVM_WRITE_PROTECT_ALL_MEM:
        return 'p';
    case KVM_SET_USER_MEMORY_REGION:
        return region->flags & KVM_MEM_LOG_DIRTY_PAGES ? 's' : 0;
    case KVM_ENABLE_CAP:
        if (cap->cap != KVM_CAP_X86_WRITE_PROTECT_ALL_MEM) {
            return 0;
        }
        return cap->args[0] & KVM_WRITE_PROTECT_ALL_MEM_LOG_START ? 'u' : 'n';
    default:
        return 0;
    }
}

static int enter(void *opaque, unsigned long request, const void *arg)
{
    World *w = opaque;
    Fixture *f = w->test;
    char letter = letter_of(request, arg);

    if (!f || !letter) {
        return 0;
    }
    g_string_append_c(asked.calls, letter);
    if (asked.before) {
        asked.before(f, letter);
    }
    return asked.refuse == letter ? -asked.err : 0;
}

static void start(Fixture *f, KvmDirtyTrackingMode mode)
{
    WorldConfig config = everything(mode, PAGES);

    config.enter = enter;
    memset(&asked, 0, sizeof(asked));
    asked.calls = g_string_new(NULL);
    boot(f, &config, 128, 64);
    f->w->test = f;
}

static void set_up(Fixture *f, gconstpointer opaque)
{
    start(f, KVM_DIRTY_TRACKING_MODE_WP_ALL);
}

static void set_up_ring(Fixture *f, gconstpointer opaque)
{
    start(f, KVM_DIRTY_TRACKING_MODE_RING);
}

static void stop(Fixture *f, gconstpointer opaque)
{
    f->w->test = NULL;
    tear_down(f, opaque);
    g_string_free(asked.calls, true);
}

static void assert_calls(const char *expected)
{
    g_assert_cmpstr(asked.calls->str, ==, expected);
    g_string_truncate(asked.calls, 0);
}

static unsigned long published(uint64_t page)
{
    unsigned long *words =
        ram_list.dirty_memory[DIRTY_MEMORY_MIGRATION]->blocks[0];

    return words[BIT_WORD(page)] >> page % BITS_PER_LONG & 1;
}

/* Nothing is published as long as it can be written. */
static void not_yet_published(Fixture *f, char letter)
{
    if (letter == 't' || letter == 'p') {
        g_assert_false(published(5));
        g_assert_false(published(200));
    }
}

static void test_order(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    g_string_truncate(asked.calls, 0);
    world_store(w, 0, f->ram, 5, 1);
    world_store(w, 1, f->ram, 200, 1);
    asked.before = not_yet_published;
    world_sync(w, false);
    assert_calls("tttp");
    g_assert_true(w->bmap[5]);
    g_assert_true(w->bmap[200]);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 2);
    world_check(w, "synced");
    asked.before = NULL;
    world_send_all(w);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* All is sent, and a write after that is seen. */
static void send_write_and_finish(Fixture *f, uint64_t page)
{
    World *w = f->w;

    world_send_all(w);
    world_check(w, "sent");
    world_store(w, 0, f->ram, page, 2000);
    world_check(w, "written");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A page is written when its bit is taken and it is not protected yet. */
static void write_before_protection(Fixture *f, char letter)
{
    if (letter == 'p') {
        world_store_once(f->w, 0, f->ram, 5, 1000);
        world_store_once(f->w, 0, f->ram, 6, 1000);
    }
}

static void test_written_meanwhile(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    world_store(w, 0, f->ram, 5, 1);
    asked.before = write_before_protection;
    world_sync(w, false);
    asked.before = NULL;
    world_check(w, "synced");
    send_write_and_finish(f, 6);
}

/* With slots that nobody logs, protecting all would only cost faults. */
static void test_first_is_late(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, true);
    assert_calls("ggg");
    world_store(w, 0, f->ram, 3, 1);
    world_send(w, 3);
    assert_calls("ss");
    world_store(w, 0, f->ram, 3, 2);
    world_store(w, 0, f->ram, 250, 2);
    world_sync(w, false);
    assert_calls("tttp");
    g_assert_true(w->bmap[3]);
    world_check(w, "synced");
    world_send_all(w);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* A slot of which KVM says nothing in a sync is not taken for the last one. */
static void test_stale_bitmap(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    world_store(w, 0, f->ram, 5, 1);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 1);
    world_send_all(w);
    asked.refuse = 't';
    asked.err = ENOENT;
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);
}

static void test_take_fails(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_unmap(w, f->smm);
    migrate(f);
    world_store(w, 0, f->ram, 200, 1);
    /* Of the first slot only */
    kvm_model_refuse(w->kvm, KVM_GET_DIRTY_LOG, 0, 1, ENOMEM);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, 128), ==, 128);
    g_assert_cmpuint(world_to_send(w, 128, 128), ==, 1);
    g_assert_nonnull(strstr(w->said->str, "KVM_GET_DIRTY_LOG of slot 0"));
    world_check(w, "synced");
    world_send_all(w);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);
}

static void test_protection_fails(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    g_assert_cmpuint(w->lost, ==, 0);
    asked.refuse = 'p';
    asked.err = EIO;
    world_sync(w, false);
    g_assert_cmpuint(w->lost, ==, 1);
    asked.refuse = 0;
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
        world_send_all(w);
        world_sync(w, false);
    }
    world_send_all(w);
    world_store(w, 0, f->ram, 77, 1);
    g_assert_cmpuint(w->lost, ==, 1);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Slots that KVM does not log are dirty in each sync. */
static void test_blind(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate_refused(f, false);
    for (int i = 0; i < 2; i++) {
        world_sync(w, false);
        g_assert_cmpuint(world_to_send(w, 0, 128), ==, 0);
        g_assert_cmpuint(world_to_send(w, 128, 128), ==, 128);
        world_send_all(w);
        world_store(w, 0, f->ram, 130, i + 1);
    }
    g_assert_cmpuint(world_finish(w), ==, 0);
}

/* Slots begin to be logged together: one protection instead of one each */
static void test_log_start(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_migrate(w, false);
    g_assert_true(g_str_has_prefix(asked.calls->str, "usssnp"));
    g_assert_false(kvm_model_starts_unprotected(w->kvm));
    send_write_and_finish(f, 9);
}

/* What is late begins to be logged one by one, and is protected by that. */
static void test_log_start_late(Fixture *f, gconstpointer opaque)
{
    world_migrate(f->w, true);
    g_assert_null(strpbrk(asked.calls->str, "unps"));
    world_send_all(f->w);
    world_check(f->w, "sent");
    g_assert_null(strpbrk(asked.calls->str, "un"));
}

static void test_log_start_refused(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    asked.refuse = 'u';
    asked.err = EINVAL;
    world_migrate(w, false);
    g_assert_true(g_str_has_prefix(asked.calls->str, "usss"));
    g_assert_null(strchr(asked.calls->str, 'n'));
    g_assert_cmpuint(w->lost, ==, 0);
    world_send_all(w);
    world_check(w, "sent");
}

/* KVM would not protect slots that begin to be logged later. */
static void test_log_start_stuck(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    asked.refuse = 'n';
    asked.err = EINVAL;
    world_migrate(w, false);
    g_assert_cmpuint(w->lost, ==, 1);
    world_send_all(w);
    world_store(w, 0, f->ram, 5, 1);
    world_sync(w, false);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, PAGES);
}

/* A display that begins to be logged later is on its own. */
static void test_other_commits(Fixture *f, gconstpointer opaque)
{
    world_migrate(f->w, false);
    g_string_truncate(asked.calls, 0);
    world_end_migration(f->w);
    world_set_display(f->w, f->smm, true);
    assert_calls("s");
}

/* A refresh is about the display's slots, and protects them alone. */
static void test_display(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    world_set_display(w, f->smm, true);
    migrate(f);
    g_string_truncate(asked.calls, 0);
    world_store(w, 0, f->smm, 3, 1);
    world_store(w, 0, f->ram, 200, 1);
    world_sync_display(w, f->smm);
    assert_calls("g");
    world_check(w, "refreshed");
    world_take_published(w);
    g_assert_true(w->bmap[3]);
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_drain(Fixture *f, gconstpointer opaque)
{
    World *w = f->w;

    migrate(f);
    world_store(w, 0, f->ram, 200, 1);
    world_store(w, 0, f->smm, 7, 2);
    world_unmap(w, f->smm);
    world_unmap(w, f->ram);
    world_check(w, "removed");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

#define ADD(path, set, fn) \
    g_test_add("/kvm-wp-all/" path, Fixture, NULL, set, fn, stop)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("take-protect-publish", set_up, test_order);
    ADD("written-meanwhile", set_up, test_written_meanwhile);
    ADD("first-sync-is-late", set_up, test_first_is_late);
    ADD("stale-bitmap", set_up, test_stale_bitmap);
    ADD("take-fails", set_up, test_take_fails);
    ADD("protection-fails", set_up, test_protection_fails);
    ADD("blind-slot", set_up, test_blind);
    ADD("log-start", set_up, test_log_start);
    ADD("log-start/late", set_up, test_log_start_late);
    ADD("log-start/refused", set_up, test_log_start_refused);
    ADD("log-start/stuck", set_up, test_log_start_stuck);
    ADD("log-start/ring", set_up_ring, test_log_start);
    ADD("log-start/ring-late", set_up_ring, test_log_start_late);
    ADD("log-start/ring-refused", set_up_ring, test_log_start_refused);
    ADD("log-start/ring-stuck", set_up_ring, test_log_start_stuck);
    ADD("log-start/others", set_up, test_other_commits);
    ADD("display", set_up, test_display);
    ADD("drain", set_up, test_drain);
    return g_test_run();
}
