/*
 * QTests of KVM dirty page tracking: virtual machines
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "dirty-tracking-guest.h"
#include "dirty-tracking-vm.h"

/* A guest under emulated KVM on a busy machine is slow, but it moves. */
#define TIMEOUT_S 60
#define POLL_US (10 * 1000)
/* Three pages in a millisecond, if the CPU has 3 GHz */
#define SLOW_TICKS 1000000

const TestBackend test_backend_ring = {
    .name = "ring",
    .props = ",dirty-ring-size=4096",
    .rate_mode = "dirty-ring",
    .ring = true,
};

const TestBackend test_backend_log = {
    .name = "log",
    .props = "",
    .rate_mode = "dirty-bitmap",
};

static char *tmpdir;

const char *vm_tmpdir(void)
{
    if (!tmpdir) {
        g_autoptr(GError) err = NULL;

        tmpdir = g_dir_make_tmp("dirty-tracking-test-XXXXXX", &err);
        g_assert_no_error(err);
    }
    return tmpdir;
}

void vm_cleanup(void)
{
    g_autofree char *image = NULL;

    if (tmpdir) {
        image = g_strdup_printf("%s/guest.bin", tmpdir);
        g_unlink(image);
        g_rmdir(tmpdir);
        g_free(tmpdir);
        tmpdir = NULL;
    }
}

/*
 * Some machines offer /dev/kvm without vmx or svm: it interprets, and far
 * from all works.
 */
static bool host_can_virtualize(void)
{
    g_autofree char *info = NULL;

    return g_file_get_contents("/proc/cpuinfo", &info, NULL, NULL) &&
           g_regex_match_simple("^flags\\s*:.*\\b(vmx|svm)\\b", info,
                                G_REGEX_MULTILINE, 0);
}

bool vm_kvm_usable(void)
{
    if (!qtest_has_accel("kvm")) {
        g_test_skip("KVM is not built in, or /dev/kvm is not accessible");
    } else if (!host_can_virtualize()) {
        g_test_skip("the CPU has neither vmx nor svm");
    } else {
        return true;
    }
    return false;
}

bool vm_has_fault(const char *name)
{
    QTestState *qts = qtest_init("-machine none");
    QDict *rsp = qtest_qmp(qts, "{'execute': 'qom-list-properties',"
                           " 'arguments': {'typename': 'kvm-accel'}}");
    const QListEntry *entry;
    bool found = false;

    g_assert(qdict_haskey(rsp, "return"));
    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), entry) {
        QDict *prop = qobject_to(QDict, qlist_entry_obj(entry));

        found |= g_str_equal(qdict_get_str(prop, "name"), name);
    }
    qobject_unref(rsp);
    qtest_quit(qts);

    if (!found) {
        g_autofree char *why = g_strdup_printf("this build has no %s", name);

        g_test_skip(why);
    }
    return found;
}

bool vm_kvm_usable_with(const char *fault)
{
    return vm_kvm_usable() && (!fault || vm_has_fault(fault));
}

static TestVM *start(const char *props, const char *more)
{
    static int serial;
    g_autofree char *image = g_strdup_printf("%s/guest.bin", vm_tmpdir());
    TestVM *vm = g_new0(TestVM, 1);

    dirty_tracking_guest_write(image);
    vm->ram_path = g_strdup_printf("%s/ram-%d", tmpdir, serial);
    vm->err_path = g_strdup_printf("%s/stderr-%d", tmpdir, serial);
    serial++;

    /* Memory in a file, so that two VMs' can be compared at a glance. */
    vm->qts = qtest_initf("-accel kvm%s -machine q35,memory-backend=ram "
                          "-nodefaults -bios %s -m %dM -object "
                          "memory-backend-file,id=ram,size=%dM,share=on,"
                          "mem-path=%s %s 2>%s",
                          props, image, GUEST_RAM_MIB, GUEST_RAM_MIB,
                          vm->ram_path, more, vm->err_path);
    return vm;
}

TestVM *vm_start(const char *props, int smp)
{
    g_autofree char *more = g_strdup_printf("-smp %d,sockets=%d,maxcpus=%d",
                                            smp, GUEST_MAX_CPUS,
                                            GUEST_MAX_CPUS);
    TestVM *vm = start(props, more);

    vm_wait_round(vm, 0);
    return vm;
}

TestVM *vm_start_incoming(const char *props, const char *more)
{
    g_autofree char *all = g_strdup_printf("-S -incoming tcp:127.0.0.1:0 "
                                           "-smp 1,sockets=%d,maxcpus=%d %s",
                                           GUEST_MAX_CPUS, GUEST_MAX_CPUS,
                                           more);

    return start(props, all);
}

typedef struct BackendTest {
    const TestBackend *backend;
    void (*run)(const TestBackend *backend, TestVM *vm);
} BackendTest;

static void run_backend_test(const void *data)
{
    const BackendTest *test = data;

    if (vm_kvm_usable()) {
        test->run(test->backend, vm_start(test->backend->props, 1));
    }
}

void vm_add_backend_tests(const char *name,
                          void (*test)(const TestBackend *backend, TestVM *vm))
{
    static const TestBackend * const backends[] = {
        &test_backend_ring, &test_backend_log,
    };

    for (int i = 0; i < ARRAY_SIZE(backends); i++) {
        g_autofree char *path = g_strdup_printf("/dirty-tracking/%s/%s", name,
                                                backends[i]->name);
        BackendTest *data = g_new(BackendTest, 1);

        *data = (BackendTest) { .backend = backends[i], .run = test };
        qtest_add_data_func_full(path, data, run_backend_test, g_free);
    }
}

void vm_quit(TestVM *vm)
{
    qtest_quit(vm->qts);
    g_unlink(vm->ram_path);
    g_unlink(vm->err_path);
    g_free(vm->ram_path);
    g_free(vm->err_path);
    g_free(vm);
}

char *vm_stderr(TestVM *vm)
{
    g_autoptr(GError) err = NULL;
    char *text = NULL;

    g_file_get_contents(vm->err_path, &text, NULL, &err);
    g_assert_no_error(err);
    return text;
}

QDict *vm_tracking(TestVM *vm)
{
    QDict *all = qtest_qmp_assert_success_ref(
        vm->qts, "{'execute': 'query-dirty-tracking'}");
    QDict *kvm = qdict_get_qdict(all, "kvm");

    qobject_ref(kvm);
    qobject_unref(all);
    return kvm;
}

uint64_t vm_counter(TestVM *vm, const char *name)
{
    QDict *info = vm_tracking(vm);
    uint64_t value = qdict_get_int(info, name);

    qobject_unref(info);
    return value;
}

uint64_t vm_ring_counter(TestVM *vm, const char *name)
{
    QDict *info = vm_tracking(vm);
    uint64_t value = qdict_get_int(qdict_get_qdict(info, "ring"), name);

    qobject_unref(info);
    return value;
}

uint64_t vm_reaper_counter(TestVM *vm, const char *name)
{
    QDict *info = vm_tracking(vm);
    QDict *ring = qdict_get_qdict(info, "ring");
    uint64_t value = qdict_get_int(qdict_get_qdict(ring, "reaper"), name);

    qobject_unref(info);
    return value;
}

bool vm_poll(int64_t *deadline)
{
    int64_t now = g_get_monotonic_time();

    if (!*deadline) {
        *deadline = now + TIMEOUT_S * G_USEC_PER_SEC;
    } else if (now > *deadline) {
        return false;
    }
    g_usleep(POLL_US);
    return true;
}

uint32_t vm_writes(TestVM *vm, int cpu)
{
    return qtest_readl(vm->qts, GUEST_COUNT(cpu));
}

/* For the log of a test that fails: is it running, and where? */
static void tell_vm(TestVM *vm)
{
    static const char * const commands[] = {
        "info status", "info migrate", "info registers -a",
    };

    for (int i = 0; i < ARRAY_SIZE(commands); i++) {
        g_autofree char *answer = qtest_hmp(vm->qts, "%s", commands[i]);

        g_test_message("%s: %s", commands[i], answer);
    }
    g_test_message("delay 0x%x", qtest_readl(vm->qts, GUEST_DELAY));
}

void vm_wait_writes(TestVM *vm, int cpu, uint32_t pages)
{
    uint32_t begin = vm_writes(vm, cpu);
    int64_t deadline = 0;

    /* The difference is right even when the count wraps around. */
    while (vm_writes(vm, cpu) - begin < pages) {
        if (!vm_poll(&deadline)) {
            tell_vm(vm);
            g_error("vCPU %d has not written %u pages in %d s, only %u", cpu,
                    pages, TIMEOUT_S, vm_writes(vm, cpu) - begin);
        }
    }
}

void vm_wait_round(TestVM *vm, int cpu)
{
    vm_wait_writes(vm, cpu, GUEST_AREA_PAGES);
}

void vm_set_slow(TestVM *vm, bool slow)
{
    qtest_writel(vm->qts, GUEST_DELAY, slow ? SLOW_TICKS : 0);
}

void vm_dirty_rate_start(TestVM *vm, const char *mode, int ms)
{
    qtest_qmp_assert_success(vm->qts, "{'execute': 'calc-dirty-rate',"
                             " 'arguments': {'calc-time': %d,"
                             " 'calc-time-unit': 'millisecond', 'mode': %s}}",
                             ms, mode);
}

QDict *vm_dirty_rate_result(TestVM *vm)
{
    int64_t deadline = 0;

    while (vm_poll(&deadline)) {
        QDict *answer = qtest_qmp_assert_success_ref(
            vm->qts, "{'execute': 'query-dirty-rate'}");

        if (g_str_equal(qdict_get_str(answer, "status"), "measured")) {
            return answer;
        }
        qobject_unref(answer);
    }
    g_error("the dirty rate has not been measured in %d s", TIMEOUT_S);
}

QDict *vm_dirty_rate(TestVM *vm, const char *mode, int ms)
{
    vm_dirty_rate_start(vm, mode, ms);
    return vm_dirty_rate_result(vm);
}

int64_t vm_dirty_rate_of(QDict *answer, int cpu)
{
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "vcpu-dirty-rate"), entry) {
        QDict *rate = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(rate, "id") == cpu) {
            return qdict_get_int(rate, "dirty-rate");
        }
    }
    return -1;
}
