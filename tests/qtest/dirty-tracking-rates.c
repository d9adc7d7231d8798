/*
 * QTests of KVM dirty page tracking: dirty rate, dirty limit, idle guests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "dirty-tracking-guest.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

#define RATE_MS 500
#define SMALL_RING 1024

/* While nothing is logged the reaper sleeps, however much the guest writes. */
static void check_idle(TestVM *vm)
{
    uint64_t wakeups;

    /* Give it time to fall asleep. */
    g_usleep(100 * 1000);
    wakeups = vm_reaper_counter(vm, "wakeups");
    vm_wait_round(vm, 0);
    g_usleep(1500 * 1000);
    g_assert_cmpint(vm_reaper_counter(vm, "wakeups"), ==, wakeups);
}

static void test_idle(void)
{
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(test_backend_ring.props, 1);
    check_idle(vm);
    g_assert_cmpint(vm_ring_counter(vm, "harvested-pages"), ==, 0);
    g_assert_cmpint(vm_counter(vm, "published-pages"), ==, 0);
    vm_quit(vm);
}

static void check_wrong_mode(TestVM *vm, const char *mode)
{
    QDict *err = qtest_qmp_assert_failure_ref(
        vm->qts, "{'execute': 'calc-dirty-rate',"
        " 'arguments': {'calc-time': 1, 'mode': %s}}", mode);

    g_assert_nonnull(strstr(qdict_get_str(err, "desc"), mode));
    qobject_unref(err);
}

static void test_rate(const TestBackend *backend, TestVM *vm)
{
    uint64_t before = 0;
    QDict *answer;

    /* Measured twice: logging starts, stops, and starts again. */
    for (int i = 0; i < 2; i++) {
        answer = vm_dirty_rate(vm, backend->rate_mode, RATE_MS);
        g_assert_cmpint(qdict_get_int(answer, "dirty-rate"), >, 0);
        if (backend->ring) {
            uint64_t harvested = vm_ring_counter(vm, "harvested-pages");

            g_assert_cmpint(vm_dirty_rate_of(answer, 0), >, 0);
            g_assert_cmpint(harvested, >, before);
            g_assert_cmpint(vm_ring_counter(vm, "resets"), >, 0);
            before = harvested;
        }
        qobject_unref(answer);
    }

    if (backend->ring) {
        g_assert_cmpint(vm_ring_counter(vm, "short-resets"), ==, 0);
        g_assert_cmpint(vm_ring_counter(vm, "stray-entries"), ==, 0);
        check_idle(vm);
        check_wrong_mode(vm, "dirty-bitmap");
    } else {
        check_wrong_mode(vm, "dirty-ring");
    }
    vm_quit(vm);
}

static void set_limit(TestVM *vm, int64_t mb_per_s)
{
    qtest_qmp_assert_success(vm->qts, "{'execute': 'set-vcpu-dirty-limit',"
                             " 'arguments': {'cpu-index': 0,"
                             " 'dirty-rate': %" PRId64 "}}", mb_per_s);
}

static void cancel_limit(TestVM *vm)
{
    qtest_qmp_assert_success(vm->qts, "{'execute': 'cancel-vcpu-dirty-limit',"
                             " 'arguments': {'cpu-index': 0}}");
}

/*
 * A ring with fewer entries than the guest has pages to write, and nobody but
 * its vCPU to empty it: there is no reaper.  The limit is there to have pages
 * logged, and too high to slow anything down.
 */
static void test_ring_full(void)
{
    int64_t deadline = 0;
    uint64_t full;
    TestVM *vm;

    if (!vm_kvm_usable_with("x-dirty-fault-no-reaper") ||
        !vm_has_fault("x-dirty-fault-no-features")) {
        return;
    }
    QEMU_BUILD_BUG_ON(GUEST_AREA_PAGES <= SMALL_RING);
    vm = vm_start(",dirty-ring-size=" stringify(SMALL_RING)
                  ",x-dirty-fault-no-reaper=on,x-dirty-fault-no-features=on",
                  1);
    set_limit(vm, 1000 * 1000);
    do {
        g_assert(vm_poll(&deadline));
        full = vm_ring_counter(vm, "full-exits");
    } while (!full);

    /* Full, and yet the guest goes on, until the ring is full again. */
    vm_wait_round(vm, 0);
    vm_wait_round(vm, 0);
    g_assert_cmpint(vm_ring_counter(vm, "full-exits"), >, full);
    g_assert_cmpint(vm_ring_counter(vm, "harvested-pages"), >=, SMALL_RING);
    g_assert_cmpint(vm_ring_counter(vm, "short-resets"), ==, 0);
    g_assert_cmpint(vm_reaper_counter(vm, "harvests"), ==, 0);
    cancel_limit(vm);
    vm_quit(vm);
}

static int64_t measure(TestVM *vm)
{
    QDict *answer = vm_dirty_rate(vm, "dirty-ring", 1000);
    int64_t rate = vm_dirty_rate_of(answer, 0);

    qobject_unref(answer);
    return rate;
}

/* The limit shown for the first vCPU, -1 if there is none */
static int64_t shown_limit(TestVM *vm)
{
    QDict *rsp = qtest_qmp(vm->qts, "{'execute': 'query-vcpu-dirty-limit'}");
    int64_t limit = -1;
    QDict *shown;

    g_assert(qdict_haskey(rsp, "return"));
    shown = qobject_to(QDict, qlist_peek(qdict_get_qlist(rsp, "return")));
    if (shown) {
        g_assert_cmpint(qdict_get_int(shown, "cpu-index"), ==, 0);
        limit = qdict_get_int(shown, "limit-rate");
    }
    qobject_unref(rsp);
    return limit;
}

/*
 * A limit slows the guest down to it, within a factor of two, and with the
 * limit gone it is fast again.
 */
static void test_limit(void)
{
    int64_t free_rate, limit, rate, deadline = 0;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(",dirty-ring-size=" stringify(SMALL_RING), 1);
    free_rate = measure(vm);
    g_assert_cmpint(free_rate, >=, 4);
    limit = free_rate / 4;

    set_limit(vm, limit);
    g_assert_cmpint(shown_limit(vm), ==, limit);
    do {
        g_assert(vm_poll(&deadline));
        rate = measure(vm);
        g_test_message("%" PRId64 " MB/s, free %" PRId64 ", limit %" PRId64,
                       rate, free_rate, limit);
    } while (rate > limit * 2);
    vm_wait_writes(vm, 0, 1);

    cancel_limit(vm);
    g_assert_cmpint(shown_limit(vm), ==, -1);
    deadline = 0;
    do {
        g_assert(vm_poll(&deadline));
        rate = measure(vm);
        g_test_message("%" PRId64 " MB/s, free %" PRId64, rate, free_rate);
    } while (rate <= free_rate / 2);
    vm_quit(vm);
}

/* The limit counts entries of rings: without rings it must say so. */
static void test_limit_needs_ring(void)
{
    TestVM *vm;
    QDict *err;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(",dirty-tracking=log,dirty-ring-size=4096", 1);
    err = qtest_qmp_assert_failure_ref(
        vm->qts, "{'execute': 'set-vcpu-dirty-limit',"
        " 'arguments': {'dirty-rate': 1}}");
    g_assert_nonnull(strstr(qdict_get_str(err, "desc"), "dirty-ring-size"));
    qobject_unref(err);
    vm_quit(vm);
}

void dirty_tracking_add_rates(void)
{
    qtest_add_func("/dirty-tracking/idle/ring", test_idle);
    vm_add_backend_tests("dirty-rate", test_rate);
    qtest_add_func("/dirty-tracking/ring-full", test_ring_full);
    qtest_add_func("/dirty-tracking/dirty-limit/ring", test_limit);
    qtest_add_func("/dirty-tracking/dirty-limit/log", test_limit_needs_ring);
}
