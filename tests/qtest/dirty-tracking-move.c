/*
 * QTests of KVM dirty page tracking: migrating the guest
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "dirty-tracking-guest.h"
#include "dirty-tracking-move.h"
#include "migration/migration-qmp.h"

/* The guest dirties its area far faster than the first. */
#define SLOW_BYTES_PER_S (32 * MiB)
#define FAST_BYTES_PER_S (128 * MiB)
#define FAST_DOWNTIME_MS 10
#define DISTRACTION_BYTES (256 * KiB)
#define PASSES 3
/* Before the last sync; what is written to memory until then must arrive. */
#define PAUSE "pause-before-switchover"
/* Bytes a second, of which QEMU thinks when it decides to end; 0: measured */
#define BANDWIDTH_AT_END "avail-switchover-bandwidth"
#define ONE_PAGE_IN_1_MS (GUEST_PAGE_SIZE * 1000)
/* Of pages that differ, tell so many. */
#define MAX_MESSAGES 8

void vm_move_start(TestVM *from, TestVM *to, const char *uri)
{
    int64_t deadline = 0;

    /*
     * On a busy host the guest hardly gets to run, and few pages are dirty:
     * let it end only if there is none.
     */
    migrate_set_parameter_int(from->qts, BANDWIDTH_AT_END, ONE_PAGE_IN_1_MS);
    migrate_set_capability(from->qts, PAUSE, true);
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

static void tell_difference(size_t addr, const char *sent,
                            const char *received)
{
    size_t first = 0;

    while (sent[first] == received[first]) {
        first++;
    }
    first = QEMU_ALIGN_DOWN(first, sizeof(uint64_t));
    g_test_message("page 0x%zx differs, at 0x%zx: 0x%" PRIx64 " was sent or "
                   "should have been, 0x%" PRIx64 " was received",
                   addr / GUEST_PAGE_SIZE, first, ldq_le_p(sent + first),
                   ldq_le_p(received + first));
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
        const char *sent = g_mapped_file_get_contents(a) + i;
        const char *received = g_mapped_file_get_contents(b) + i;

        if (memcmp(sent, received, GUEST_PAGE_SIZE)) {
            differ++;
            if (differ <= MAX_MESSAGES) {
                tell_difference(i, sent, received);
            }
        }
    }
    return differ;
}

/*
 * Between the last but one sync, which decides that few enough pages are left,
 * and the last, with the guest stopped, there is next to no time to write, and
 * nothing would depend on the last.  Work for QEMU's main thread makes time:
 * the migration thread has to wait for the BQL then.
 */
static void distract_main_thread(TestVM *vm)
{
    g_autofree char *buffer = g_malloc(DISTRACTION_BYTES);

    qtest_memread(vm->qts, GUEST_AREA(0), buffer, DISTRACTION_BYTES);
}

size_t vm_move_complete(TestVM *from, TestVM *to)
{
    int64_t deadline = 0;

    /* What the last sync finds shall not be what waits to be sent anyway. */
    vm_set_slow(from, true);
    migrate_set_parameter_int(from->qts, "max-bandwidth", FAST_BYTES_PER_S);
    migrate_set_parameter_int(from->qts, "downtime-limit", FAST_DOWNTIME_MS);
    migrate_set_parameter_int(from->qts, BANDWIDTH_AT_END, 0);
    for (;;) {
        g_autofree char *status = migrate_query_status(from->qts);

        if (g_str_equal(status, "completed")) {
            break;
        }
        g_assert_cmpstr(status, !=, "failed");
        if (g_str_equal(status, "pre-switchover")) {
            migrate_continue(from->qts, status);
        }
        distract_main_thread(from);
        g_assert(vm_poll(&deadline));
    }
    wait_for_migration_complete(to->qts);
    return count_differences(from, to);
}

void vm_move_finish(TestVM *from, TestVM *to)
{
    g_assert_cmpint(vm_move_complete(from, to), ==, 0);
    vm_quit(from);

    qtest_qmp_assert_success(to->qts, "{'execute': 'cont'}");
    vm_set_slow(to, false);
    vm_wait_round(to, 0);
}

void vm_move(TestVM *from, TestVM *to)
{
    vm_move_start(from, to, NULL);
    vm_move_finish(from, to);
}
