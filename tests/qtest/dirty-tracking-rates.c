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

/* While nothing is logged the reaper sleeps, however much the guest writes. */
static void check_idle(TestVM *vm)
{
    uint64_t wakeups;

    /* Give it time to fall asleep. */
    g_usleep(100 * 1000);
    wakeups = vm_ring_counter(vm, "reaper-wakeups");
    vm_wait_rounds(vm, 0, 2);
    g_usleep(1500 * 1000);
    g_assert_cmpint(vm_ring_counter(vm, "reaper-wakeups"), ==, wakeups);
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

static void test_rate(const void *data)
{
    const TestBackend *backend = data;
    uint64_t before = 0;
    QDict *answer;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(backend->props, 1);

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

/* A ring with fewer entries than the guest has pages to write */
static void test_ring_full(void)
{
    int64_t deadline = 0;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    QEMU_BUILD_BUG_ON(GUEST_AREA_PAGES <= 1024);
    vm = vm_start(",dirty-ring-size=1024", 1);

    while (!vm_ring_counter(vm, "full-exits")) {
        qobject_unref(vm_dirty_rate(vm, "dirty-ring", RATE_MS));
        g_assert(vm_poll(&deadline));
    }
    /* Full, and yet it goes on */
    vm_dirty_rate_start(vm, "dirty-ring", RATE_MS);
    vm_wait_rounds(vm, 0, 2);
    qobject_unref(vm_dirty_rate_result(vm));
    vm_quit(vm);
}

static QList *query_limits(TestVM *vm, QDict **rsp)
{
    *rsp = qtest_qmp(vm->qts, "{'execute': 'query-vcpu-dirty-limit'}");
    g_assert(qdict_haskey(*rsp, "return"));
    return qdict_get_qlist(*rsp, "return");
}

static int64_t measure(TestVM *vm)
{
    QDict *answer = vm_dirty_rate(vm, "dirty-ring", 1000);
    int64_t rate = vm_dirty_rate_of(answer, 0);

    qobject_unref(answer);
    return rate;
}

/*
 * A limit slows the guest down, and with the limit gone it is fast again.
 * How well it keeps to its limit is upstream's business.
 */
static void test_limit(void)
{
    int64_t free_rate, limit, rate, deadline = 0;
    QDict *rsp, *shown;
    QList *list;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(test_backend_ring.props, 1);

    free_rate = measure(vm);
    g_assert_cmpint(free_rate, >=, 4);
    limit = free_rate / 4;

    qtest_qmp_assert_success(vm->qts, "{'execute': 'set-vcpu-dirty-limit',"
                             " 'arguments': {'cpu-index': 0,"
                             " 'dirty-rate': %" PRId64 "}}", limit);
    list = query_limits(vm, &rsp);
    shown = qobject_to(QDict, qlist_peek(list));
    g_assert_cmpint(qdict_get_int(shown, "cpu-index"), ==, 0);
    g_assert_cmpint(qdict_get_int(shown, "limit-rate"), ==, limit);
    qobject_unref(rsp);

    do {
        g_assert(vm_poll(&deadline));
        rate = measure(vm);
    } while (rate > free_rate / 2);
    vm_wait_rounds(vm, 0, 1);

    qtest_qmp_assert_success(vm->qts, "{'execute': 'cancel-vcpu-dirty-limit',"
                             " 'arguments': {'cpu-index': 0}}");
    list = query_limits(vm, &rsp);
    g_assert(qlist_empty(list));
    qobject_unref(rsp);

    deadline = 0;
    do {
        g_assert(vm_poll(&deadline));
        rate = measure(vm);
    } while (rate <= free_rate / 2);
    vm_quit(vm);
}

/* The limit works by full rings: without rings it must say so. */
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
    qtest_add_data_func("/dirty-tracking/dirty-rate/ring", &test_backend_ring,
                        test_rate);
    qtest_add_data_func("/dirty-tracking/dirty-rate/log", &test_backend_log,
                        test_rate);
    qtest_add_func("/dirty-tracking/ring-full", test_ring_full);
    qtest_add_func("/dirty-tracking/dirty-limit/ring", test_limit);
    qtest_add_func("/dirty-tracking/dirty-limit/log", test_limit_needs_ring);
}
