/*
 * QTests of KVM dirty page tracking: migrating the guest
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "dirty-tracking-guest.h"
#include "dirty-tracking-move.h"
#include "migration/migration-qmp.h"

/* The guest dirties its area far faster than this. */
#define SLOW_BYTES_PER_S (32 * MiB)
#define PASSES 3
/* Of pages that differ, tell so many. */
#define MAX_MESSAGES 8

void vm_move_start(TestVM *from, TestVM *to, const char *uri)
{
    int64_t deadline = 0;

    migrate_set_parameter_int(from->qts, "max-bandwidth", SLOW_BYTES_PER_S);
    migrate_set_parameter_int(from->qts, "downtime-limit", 1);
    migrate_qmp(from->qts, to ? to->qts : NULL, uri, NULL, "{}");
    while (get_migration_pass(from->qts) < PASSES) {
        g_assert(vm_poll(&deadline));
    }
}

void vm_move_cancel(TestVM *from)
{
    static const char *bad[] = { "completed", "failed", NULL };

    migrate_cancel(from->qts);
    wait_for_migration_status(from->qts, "cancelled", bad);
}

/* Every page counts, also those of firmware and devices. */
static size_t count_differences(TestVM *from, TestVM *to)
{
    g_autoptr(GMappedFile) a = g_mapped_file_new(from->ram_path, false, NULL);
    g_autoptr(GMappedFile) b = g_mapped_file_new(to->ram_path, false, NULL);
    size_t size = GUEST_RAM_MIB * MiB;
    size_t differ = 0;

    g_assert(a && b);
    g_assert_cmpint(g_mapped_file_get_length(a), ==, size);
    g_assert_cmpint(g_mapped_file_get_length(b), ==, size);
    for (size_t i = 0; i < size; i += GUEST_PAGE_SIZE) {
        if (memcmp(g_mapped_file_get_contents(a) + i,
                   g_mapped_file_get_contents(b) + i, GUEST_PAGE_SIZE)) {
            differ++;
            if (differ <= MAX_MESSAGES) {
                g_test_message("page %#zx differs", i / GUEST_PAGE_SIZE);
            }
        }
    }
    return differ;
}

size_t vm_move_complete(TestVM *from, TestVM *to)
{
    migrate_set_parameter_int(from->qts, "max-bandwidth", 0);
    migrate_set_parameter_int(from->qts, "downtime-limit", 30 * 1000);
    wait_for_migration_complete(from->qts);
    wait_for_migration_complete(to->qts);
    return count_differences(from, to);
}

void vm_move_finish(TestVM *from, TestVM *to)
{
    uint32_t rounds;

    g_assert_cmpint(vm_move_complete(from, to), ==, 0);
    rounds = vm_rounds(from, 0);
    vm_quit(from);
    g_assert_cmpint(vm_rounds(to, 0), ==, rounds);
    qtest_qmp_assert_success(to->qts, "{'execute': 'cont'}");
    vm_wait_rounds(to, 0, 2);
}

void vm_move(TestVM *from, TestVM *to)
{
    vm_move_start(from, to, NULL);
    vm_move_finish(from, to);
}
