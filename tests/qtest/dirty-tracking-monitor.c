/*
 * QTests of KVM dirty page tracking: what the monitor shows
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

#define RATE_MS 1500

static QDict *query(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts,
                                        "{'execute': 'query-dirty-tracking'}");
}

static bool hmp_shows(QTestState *qts, const char *words)
{
    g_autofree char *text = qtest_hmp(qts, "info dirty-tracking");

    g_test_message("%s", text);
    return strstr(text, words);
}

/* Whoever asks gets an answer, also where there is nothing to track. */
static void test_not_kvm(void)
{
    QTestState *qts = qtest_init("-machine none");
    QDict *info = query(qts);

    g_assert_cmpstr(qdict_get_str(info, "accelerator"), ==, "qtest");
    g_assert_cmpint(qdict_get_int(info, "page-size"), >=, 4096);
    g_assert(qlist_empty(qdict_get_qlist(info, "logging")));
    g_assert_false(qdict_haskey(info, "kvm"));
    g_assert_false(qdict_haskey(info, "forecast"));
    g_assert_true(hmp_shows(qts, "qtest"));
    g_assert_true(hmp_shows(qts, "nobody"));
    g_assert_false(hmp_shows(qts, "backend"));
    qobject_unref(info);
    qtest_quit(qts);
}

static bool has_migrated(QTestState *qts)
{
    QDict *rsp = qtest_qmp_assert_success_ref(qts,
                                              "{'execute': 'query-migrate'}");
    bool done = !strcmp(qdict_get_try_str(rsp, "status") ?: "", "completed");

    qobject_unref(rsp);
    return done;
}

/* Migration's syncs are counted whatever the accelerator. */
static void test_syncs_without_kvm(void)
{
    QTestState *qts = qtest_init("-machine q35 -m 64M -nodefaults -S");
    int64_t deadline = 0;
    QDict *info, *sync;

    qtest_qmp_assert_success(qts, "{'execute': 'migrate', 'arguments':"
                             " {'uri': 'exec:cat >/dev/null'}}");
    while (!has_migrated(qts)) {
        g_assert_true(vm_poll(&deadline));
    }
    info = query(qts);
    sync = qdict_get_qdict(info, "sync");
    g_assert_cmpint(qdict_get_int(sync, "count"), >=, 2);
    g_assert_cmpint(qdict_get_int(sync, "time-max"), >=,
                    qdict_get_int(sync, "time-mean"));
    g_assert_cmpint(qdict_get_int(sync, "time-last"), >=,
                    qdict_get_int(sync, "locked-last"));
    g_assert_false(qdict_haskey(info, "forecast"));
    g_assert_false(hmp_shows(qts, "syncs:        0"));
    qobject_unref(info);
    qtest_quit(qts);
}

static QDict *first_vcpu(QDict *kvm)
{
    QList *vcpus = qdict_get_qlist(qdict_get_qdict(kvm, "ring"), "vcpus");

    return qobject_to(QDict, qlist_peek(vcpus));
}

static int64_t ioctls(QDict *kvm, const char *name)
{
    return qdict_get_int(qdict_get_qdict(qdict_get_qdict(kvm, "ioctls"), name),
                         "count");
}

/* A statistic of the first vCPU in query-stats, or -1 */
static int64_t stat_of_vcpu(QTestState *qts, const char *name)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'query-stats', 'arguments': {"
                           "'target': 'vcpu', 'providers': ["
                           "{'provider': 'kvm', 'names': [%s]}]}}", name);
    QList *results = qdict_get_qlist(rsp, "return");
    int64_t value = -1;

    if (results && !qlist_empty(results)) {
        QDict *result = qobject_to(QDict, qlist_peek(results));
        QList *stats = qdict_get_qlist(result, "stats");
        QDict *stat = qobject_to(QDict, qlist_peek(stats));

        g_assert_cmpstr(qdict_get_str(stat, "name"), ==, name);
        value = qdict_get_int(stat, "value");
    }
    qobject_unref(rsp);
    return value;
}

/* Whether @who is the only one; NULL: nobody */
static bool is_logging(TestVM *vm, const char *who)
{
    QDict *info = query(vm->qts);
    QList *logging = qdict_get_qlist(info, "logging");
    QString *first = qobject_to(QString, qlist_peek(logging));
    bool found = qlist_size(logging) == !!who &&
                 (!who || !strcmp(qstring_get_str(first), who));

    qobject_unref(info);
    return found;
}

static void wait_logging(TestVM *vm, const char *who)
{
    int64_t deadline = 0;

    while (!is_logging(vm, who)) {
        g_assert_true(vm_poll(&deadline));
    }
}

/* What was never measured is not told as 0. */
static void check_untold(TestVM *vm)
{
    QDict *kvm = vm_tracking(vm);
    QDict *ring = qdict_get_qdict(kvm, "ring");
    QDict *reaper = qdict_get_qdict(ring, "reaper");

    g_assert_true(qdict_haskey(reaper, "cpu-cap"));
    g_assert_false(qdict_haskey(reaper, "lead-mean"));
    g_assert_false(qdict_haskey(reaper, "lead-min"));
    g_assert_false(qdict_haskey(reaper, "fill-mean"));
    g_assert_false(qdict_haskey(reaper, "lateness-mean"));
    g_assert_false(qdict_haskey(reaper, "lateness-max"));
    g_assert_false(hmp_shows(vm->qts, "late by"));
    qobject_unref(kvm);
}

/* Whoever woke up as planned was measured; to harvest it need not have come. */
static void check_told(QDict *kvm)
{
    QDict *ring = qdict_get_qdict(kvm, "ring");
    QDict *reaper = qdict_get_qdict(ring, "reaper");

    if (qdict_get_int(reaper, "early-wakeups")) {
        g_assert_true(qdict_haskey(reaper, "lateness-mean"));
    }
    if (qdict_haskey(reaper, "lateness-mean")) {
        g_assert_cmpint(qdict_get_int(reaper, "lateness-max"), >=,
                        qdict_get_int(reaper, "lateness-mean"));
    }
    if (qdict_haskey(reaper, "lead-mean")) {
        g_assert_cmpint(qdict_get_int(reaper, "lead-min"), <=,
                        qdict_get_int(reaper, "lead-mean"));
        g_assert_cmpint(qdict_get_int(reaper, "fill-mean"), >, 0);
    }
}

static void test_ring(void)
{
    QDict *kvm, *vcpu, *ring;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(test_backend_ring.props, 1);
    g_assert_true(is_logging(vm, NULL));
    check_untold(vm);
    vm_dirty_rate_start(vm, test_backend_ring.rate_mode, RATE_MS);
    wait_logging(vm, "dirty-rate");

    /* Two looks, and all that comes between them */
    g_usleep(RATE_MS * 500);
    kvm = vm_tracking(vm);
    ring = qdict_get_qdict(kvm, "ring");
    vcpu = first_vcpu(kvm);
    g_assert_cmpint(qdict_get_int(vcpu, "occupancy"), <=,
                    qdict_get_int(ring, "size"));
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(vcpu, "rate"), "pages-1s"),
                    >, 0);
    qobject_unref(kvm);
    g_assert_true(hmp_shows(vm->qts, "high-water"));
    g_assert_true(hmp_shows(vm->qts, "dirty-rate"));

    qobject_unref(vm_dirty_rate_result(vm));
    wait_logging(vm, NULL);
    kvm = vm_tracking(vm);
    ring = qdict_get_qdict(kvm, "ring");
    vcpu = first_vcpu(kvm);
    g_assert_cmpint(qdict_get_int(vcpu, "high-water"), >, 0);
    g_assert_cmpint(qdict_get_int(vcpu, "harvested-pages"), ==,
                    qdict_get_int(ring, "harvested-pages"));
    g_assert_cmpint(qdict_get_int(ring, "harvest-time"), >, 0);
    check_told(kvm);
    g_assert_cmpint(ioctls(kvm, "reset-dirty-rings"), >=,
                    qdict_get_int(ring, "resets"));
    g_assert_cmpint(ioctls(kvm, "clear-dirty-log"), ==, 0);
    g_assert_cmpint(stat_of_vcpu(vm->qts, "dirty_ring_harvested_pages"), ==,
                    qdict_get_int(vcpu, "harvested-pages"));
    g_assert_cmpint(stat_of_vcpu(vm->qts, "dirty_ring_full_exits"), ==,
                    qdict_get_int(vcpu, "full-exits"));
    qobject_unref(kvm);
    vm_quit(vm);
}

static void test_log(void)
{
    QDict *kvm;
    TestVM *vm;

    if (!vm_kvm_usable()) {
        return;
    }
    vm = vm_start(test_backend_log.props, 1);
    qobject_unref(vm_dirty_rate(vm, test_backend_log.rate_mode, 500));
    kvm = vm_tracking(vm);
    g_assert_false(qdict_haskey(kvm, "ring"));
    g_assert_cmpint(ioctls(kvm, "get-dirty-log"), >, 0);
    g_assert_cmpint(ioctls(kvm, "reset-dirty-rings"), ==, 0);
    g_assert_cmpint(stat_of_vcpu(vm->qts, "dirty_ring_harvested_pages"), ==,
                    -1);
    qobject_unref(kvm);
    vm_quit(vm);
}

/* A client that is there before the guest runs learns that it has no ring. */
static void test_fallback_event(void)
{
    QTestState *qts;
    QDict *event, *data, *info, *kvm;

    if (!vm_kvm_usable_with("x-dirty-fault-no-ring")) {
        return;
    }
    qts = qtest_init("-machine q35 -nodefaults -S -accel kvm,"
                     "dirty-ring-size=1024,x-dirty-fault-no-ring=on");
    info = query(qts);
    kvm = qdict_get_qdict(info, "kvm");
    g_assert_true(qdict_get_bool(kvm, "fallback"));

    qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    event = qtest_qmp_eventwait_ref(qts, "DIRTY_TRACKING_FALLBACK");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpstr(qdict_get_str(data, "backend"), ==,
                    qdict_get_str(kvm, "backend"));
    g_assert_cmpstr(qdict_get_str(data, "reason"), ==,
                    qdict_get_str(kvm, "reason"));
    g_assert_true(hmp_shows(qts, "FALLBACK"));
    qobject_unref(event);
    qobject_unref(info);
    qtest_quit(qts);
}

/* Nobody but the vCPU itself empties its small ring. */
static void test_full_event(void)
{
    QDict *event, *data;
    TestVM *vm;

    if (!vm_kvm_usable_with("x-dirty-fault-no-reaper") ||
        !vm_has_fault("x-dirty-fault-no-features")) {
        return;
    }
    vm = vm_start(",dirty-ring-size=1024,x-dirty-fault-no-reaper=on,"
                  "x-dirty-fault-no-features=on", 1);
    vm_dirty_rate_start(vm, "dirty-ring", 3000);
    event = qtest_qmp_eventwait_ref(vm->qts, "DIRTY_TRACKING_RING_FULL");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpint(qdict_get_int(data, "cpu-index"), ==, 0);
    g_assert_cmpint(qdict_get_int(data, "full-exits"), >, 1);
    g_assert_cmpint(qdict_get_int(data, "full-time"), >, 0);
    g_assert_cmpint(vm_ring_counter(vm, "full-time"), >=,
                    qdict_get_int(data, "full-time"));
    qobject_unref(event);
    qobject_unref(vm_dirty_rate_result(vm));
    vm_quit(vm);
}

void dirty_tracking_add_monitor(void)
{
    qtest_add_func("/dirty-tracking/monitor/not-kvm", test_not_kvm);
    qtest_add_func("/dirty-tracking/monitor/syncs-without-kvm",
                   test_syncs_without_kvm);
    qtest_add_func("/dirty-tracking/monitor/ring", test_ring);
    qtest_add_func("/dirty-tracking/monitor/log", test_log);
    qtest_add_func("/dirty-tracking/monitor/fallback-event",
                   test_fallback_event);
    qtest_add_func("/dirty-tracking/monitor/full-event", test_full_event);
}
