/*
 * QTests of KVM dirty page tracking: migrations cancelled, tried again, and
 * several in a row
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dirty-tracking-move.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

#define CANCELS 3
#define MOVES 3

typedef struct Progress {
    uint64_t syncs;
    uint64_t published;
    uint64_t harvested;
} Progress;

static Progress look(TestVM *vm, const TestBackend *backend)
{
    return (Progress) {
        .syncs = vm_counter(vm, "syncs"),
        .published = vm_counter(vm, "published-pages"),
        .harvested = backend->ring ? vm_ring_counter(vm, "harvested-pages")
                                   : 0,
    };
}

/* Each attempt must have found dirty pages of its own. */
static void check_progress(TestVM *vm, const TestBackend *backend,
                           Progress *before)
{
    Progress now = look(vm, backend);

    g_assert_cmpint(now.syncs, >=, before->syncs + 2);
    g_assert_cmpint(now.published, >, before->published);
    if (backend->ring) {
        g_assert_cmpint(now.harvested, >, before->harvested);
        g_assert_cmpint(vm_ring_counter(vm, "short-resets"), ==, 0);
        g_assert_cmpint(vm_ring_counter(vm, "reprotections"), ==, 0);
        g_assert_cmpint(vm_ring_counter(vm, "stray-entries"), ==, 0);
    }
    *before = now;
}

static void test_cancel(const TestBackend *backend, TestVM *from)
{
    Progress seen = look(from, backend);
    TestVM *to;

    for (int i = 0; i < CANCELS; i++) {
        vm_move_start(from, NULL, "exec:cat >/dev/null");
        check_progress(from, backend, &seen);
        vm_move_cancel(from);
        vm_wait_round(from, 0);
    }

    to = vm_start_incoming(backend->props, "");
    vm_move_start(from, to, NULL);
    check_progress(from, backend, &seen);
    vm_move_finish(from, to);
    vm_quit(to);
}

/* Each destination is the next source. */
static void test_in_a_row(const TestBackend *backend, TestVM *from)
{
    TestVM *to;
    Progress seen;

    for (int i = 0; i < MOVES; i++) {
        to = vm_start_incoming(backend->props, "");
        seen = look(from, backend);
        vm_move_start(from, to, NULL);
        check_progress(from, backend, &seen);
        vm_move_finish(from, to);
        from = to;
    }
    vm_quit(from);
}

/* Backend and ring size are the host's affair: they may differ. */
static void test_between_backends(void)
{
    TestVM *from, *to;

    if (!vm_kvm_usable()) {
        return;
    }
    from = vm_start(",dirty-ring-size=4096", 1);
    to = vm_start_incoming(",dirty-tracking=log", "");
    vm_move(from, to);
    from = to;
    to = vm_start_incoming(",dirty-ring-size=1024", "");
    vm_move(from, to);
    vm_quit(to);
}

/*
 * The comparison notices when a page's dirty bits are lost.  That is no loss if
 * the guest did not write to the page after it was sent: then try again.
 */
static void test_drop(void)
{
    size_t differ = 0;

    if (!vm_kvm_usable_with("x-dirty-fault-drop")) {
        return;
    }
    for (int i = 0; i < 5 && !differ; i++) {
        TestVM *from = vm_start(",dirty-ring-size=4096,x-dirty-fault-drop=1",
                                1);
        TestVM *to = vm_start_incoming(",dirty-ring-size=4096", "");

        vm_move_start(from, to, NULL);
        differ = vm_move_complete(from, to);
        vm_quit(from);
        vm_quit(to);
    }
    g_assert_cmpint(differ, ==, 1);
}

void dirty_tracking_add_migration(void)
{
    vm_add_backend_tests("cancel", test_cancel);
    vm_add_backend_tests("in-a-row", test_in_a_row);
    qtest_add_func("/dirty-tracking/between-backends", test_between_backends);
    qtest_add_func("/dirty-tracking/drop", test_drop);
}
