/*
 * QTests of KVM dirty page tracking: options, errors, fallback
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qemu/units.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

/* QEMU under emulated KVM on a busy machine takes seconds to look around. */
#define EXIT_TIMEOUT_MS 30000

/* Properties that are accepted, and what then is in use */
typedef struct Accepted {
    const char *name;
    const char *props;
    const char *mode;
    /* 0: bitmaps */
    int ring_size;
    /* How it begins */
    const char *reason;
    /* What a warning must contain; NULL: there is none */
    const char *warning;
    /* Which of the faults for tests it needs; NULL: none */
    const char *fault;
} Accepted;

static const Accepted accepted[] = {
    { "default", "", "auto", 0, "dirty-ring-size is 0" },
    { "size-0", ",dirty-ring-size=0", "auto", 0, "dirty-ring-size is 0" },
    { "no-features", ",x-dirty-fault-no-features=on", "auto", 0,
      "dirty-ring-size is 0 (" },
    { "size-1024", ",dirty-ring-size=1024", "auto", 1024,
      "asked for by dirty-ring-size" },
    { "auto-4096", ",dirty-tracking=auto,dirty-ring-size=4096", "auto", 4096,
      "asked for by dirty-ring-size" },
    { "ring-65536", ",dirty-ring-size=65536,dirty-tracking=ring", "ring",
      65536, "asked for by dirty-tracking=ring" },
    { "log", ",dirty-tracking=log", "log", 0,
      "asked for by dirty-tracking=log" },
    { "log-4096", ",dirty-tracking=log,dirty-ring-size=4096", "log", 0,
      "asked for by dirty-tracking=log", "dirty-ring-size=4096" },
    { "last-wins", ",dirty-ring-size=1024,dirty-ring-size=2048", "auto", 2048,
      "asked for by dirty-ring-size" },
};

static const Accepted fallback = {
    "fallback/auto", ",dirty-ring-size=4096,x-dirty-fault-no-ring=on", "auto",
    0, "KVM_CAP_DIRTY_LOG_RING is not offered", "KVM_CAP_DIRTY_LOG_RING",
    "x-dirty-fault-no-ring"
};

/* Properties that are refused; @words is what the one line must contain */
typedef struct Refused {
    const char *name;
    const char *props;
    const char *words[5];
    const char *fault;
} Refused;

#define SIZE_RANGE "1024", "65536"
#define MODES "auto", "ring", "log", "wp-all"

static const Refused refused[] = {
    { "size/not-a-power-of-two", ",dirty-ring-size=1000",
      { "dirty-ring-size=1000", SIZE_RANGE } },
    { "size/too-small", ",dirty-ring-size=1",
      { "dirty-ring-size=1 ", SIZE_RANGE } },
    { "size/below-minimum", ",dirty-ring-size=128",
      { "dirty-ring-size=128", SIZE_RANGE } },
    { "size/above-maximum", ",dirty-ring-size=131072",
      { "dirty-ring-size=131072", SIZE_RANGE } },
    { "size/largest-power", ",dirty-ring-size=2147483648",
      { "dirty-ring-size=2147483648", SIZE_RANGE } },
    { "size/33-bits", ",dirty-ring-size=4294967296",
      { "dirty-ring-size=4294967296", SIZE_RANGE } },
    { "size/33-bits-and-4096", ",dirty-ring-size=4294971392",
      { "dirty-ring-size=4294971392", SIZE_RANGE } },
    { "size/65-bits", ",dirty-ring-size=18446744073709551616",
      { "dirty-ring-size=18446744073709551616", SIZE_RANGE } },
    { "size/negative", ",dirty-ring-size=-5",
      { "dirty-ring-size=-5", SIZE_RANGE } },
    { "size/text", ",dirty-ring-size=abc",
      { "dirty-ring-size=abc", SIZE_RANGE } },
    { "size/suffix", ",dirty-ring-size=4k",
      { "dirty-ring-size=4k", SIZE_RANGE } },
    { "size/fraction", ",dirty-ring-size=4096.5",
      { "dirty-ring-size=4096.5", SIZE_RANGE } },
    { "size/empty", ",dirty-ring-size=",
      { "dirty-ring-size=", SIZE_RANGE } },
    { "size/ring-needs-one", ",dirty-tracking=ring",
      { "dirty-ring-size=0", "dirty-tracking=ring", SIZE_RANGE } },
    { "size/ring-and-0", ",dirty-ring-size=0,dirty-tracking=ring",
      { "dirty-ring-size=0", "dirty-tracking=ring", SIZE_RANGE } },
    { "mode/unknown", ",dirty-tracking=foo",
      { "dirty-tracking=foo", MODES } },
    { "mode/empty", ",dirty-tracking=", { "dirty-tracking=", MODES } },
    { "mode/upper-case", ",dirty-tracking=RING",
      { "dirty-tracking=RING", MODES } },
    { "mode/number", ",dirty-tracking=1", { "dirty-tracking=1", MODES } },
};

static const Refused refused_fallback[] = {
    { "fallback/ring",
      ",dirty-tracking=ring,dirty-ring-size=4096,x-dirty-fault-no-ring=on",
      { "dirty-tracking=ring", "KVM_CAP_DIRTY_LOG_RING", "auto", "log" },
      "x-dirty-fault-no-ring" },
    { "fallback/wp-all", ",dirty-tracking=wp-all,x-dirty-fault-no-features=on",
      { "dirty-tracking=wp-all", "KVM_CAP_X86_WRITE_PROTECT_ALL_MEM", "auto",
        "ring", "log" },
      "x-dirty-fault-no-features" },
};

/* Without a ring auto takes what this kernel has, and says so. */
static const char *bitmap_backend(const Accepted *want, QDict *info)
{
    bool wp_all = g_str_equal(want->mode, "auto") &&
                  strstr(qdict_get_str(info, "reason"), "write-protect all");

    return wp_all ? "wp-all" : "log";
}

static void check_accepted(const Accepted *want)
{
    g_autofree char *text = NULL;
    TestVM *vm = vm_start(want->props, 1);
    QDict *info = vm_tracking(vm);
    QDict *ring = qdict_get_qdict(info, "ring");

    g_assert_cmpstr(qdict_get_str(info, "mode"), ==, want->mode);
    g_assert_cmpstr(qdict_get_str(info, "backend"), ==,
                    want->ring_size ? "ring" : bitmap_backend(want, info));
    /* The log adds how it protects pages again. */
    g_assert_true(g_str_has_prefix(qdict_get_str(info, "reason"),
                                   want->reason));
    g_assert_cmpint(qdict_get_int(info, "syncs"), ==, 0);
    g_assert(!ring == !want->ring_size);
    if (ring) {
        g_assert_cmpint(qdict_get_int(ring, "size"), ==, want->ring_size);
    }
    qobject_unref(info);

    text = vm_stderr(vm);
    if (want->warning) {
        g_assert_nonnull(strstr(text, "warning: dirty"));
        g_assert_nonnull(strstr(text, want->warning));
        g_assert_nonnull(strstr(text, "log"));
    } else {
        /* Others than ours may warn, of the host's few CPUs for instance. */
        g_assert_null(strstr(text, "warning: dirty"));
    }
    vm_quit(vm);
}

static void test_accepted(const void *data)
{
    const Accepted *want = data;

    if (vm_kvm_usable_with(want->fault)) {
        check_accepted(want);
    }
}

/* Returns what it writes until it closes stderr, NULL if it does not. */
static char *read_to_end(int fd)
{
    g_autoptr(GString) text = g_string_new("");
    int64_t deadline = g_get_monotonic_time() + EXIT_TIMEOUT_MS * 1000LL;

    for (;;) {
        int64_t left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        char buffer[1024];
        ssize_t len;

        if (left <= 0 || poll(&pfd, 1, left) <= 0) {
            return NULL;
        }
        len = read(fd, buffer, sizeof(buffer));
        if (len <= 0) {
            return g_strdup(text->str);
        }
        g_string_append_len(text, buffer, len);
    }
}

/*
 * Run QEMU without the qtest accelerator, which would step in for the one
 * that failed, and expect it to exit by itself.
 */
static char *run_until_exit(const char *props, int *wstatus)
{
    g_autofree char *accel = g_strdup_printf("kvm%s", props);
    const char *argv[] = { getenv("QTEST_QEMU_BINARY"), "-accel", accel,
                           "-machine", "q35", "-nodefaults", "-display",
                           "none", "-S", NULL };
    g_autoptr(GError) err = NULL;
    char *text;
    GPid pid;
    int fd;

    g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                             G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                             NULL, NULL, &fd, &err);
    g_assert_no_error(err);
    text = read_to_end(fd);
    if (!text) {
        kill(pid, SIGKILL);
    }
    g_assert_cmpint(waitpid(pid, wstatus, 0), ==, pid);
    close(fd);
    return text;
}

static void check_refused(const Refused *want)
{
    g_autofree char *text = NULL;
    int wstatus;

    text = run_until_exit(want->props, &wstatus);
    if (!text) {
        g_error("-accel kvm%s: QEMU has not exited in %d ms", want->props,
                EXIT_TIMEOUT_MS);
    }
    g_test_message("%s", text);

    g_assert(WIFEXITED(wstatus));
    g_assert_cmpint(WEXITSTATUS(wstatus), ==, 1);
    for (int i = 0; i < ARRAY_SIZE(want->words) && want->words[i]; i++) {
        if (!strstr(text, want->words[i])) {
            g_error("no \"%s\" in: %s", want->words[i], text);
        }
    }
    /* One line */
    g_assert_nonnull(strchr(text, '\n'));
    g_assert_cmpstr(strchr(text, '\n'), ==, "\n");
}

static void test_refused(const void *data)
{
    const Refused *want = data;

    if (vm_kvm_usable_with(want->fault)) {
        check_refused(want);
    }
}

/*
 * How much memory the guest has may be said by a memory backend alone; the
 * parts it is cut into must not be those of a small guest then.
 */
static void test_slot_size(void)
{
    static const struct {
        const char *memory;
        uint64_t slot_size;
    } cases[] = {
        { "-m 128M", 16 * MiB },
        { "-m 4G", 64 * MiB },
        { "-m 128M,slots=2,maxmem=128G", 1 * GiB },
        { "-object memory-backend-ram,id=m,size=16G,reserve=off "
          "-machine memory-backend=m", 256 * MiB },
    };

    if (!vm_kvm_usable()) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QTestState *qts = qtest_initf("-machine pc -S -accel "
                                      "kvm,dirty-ring-size=1024 %s",
                                      cases[i].memory);
        QDict *rsp = qtest_qmp_assert_success_ref(
            qts, "{'execute': 'query-dirty-tracking'}");
        QDict *kvm = qdict_get_qdict(rsp, "kvm");

        g_assert_cmpint(qdict_get_int(kvm, "slot-size"), ==,
                        cases[i].slot_size);
        g_assert_cmpint(qdict_get_int(kvm, "late-slots"), ==, 0);
        qobject_unref(rsp);
        qtest_quit(qts);
    }
}

/* Management software probes the properties by type. */
static void test_properties(void)
{
    static const char * const names[] = { "dirty-ring-size",
                                          "dirty-tracking" };
    QTestState *qts = qtest_init("-machine none");
    QDict *rsp = qtest_qmp(qts, "{'execute': 'qom-list-properties',"
                           " 'arguments': {'typename': 'kvm-accel'}}");
    unsigned found = 0;
    const QListEntry *entry;

    if (qdict_haskey(rsp, "error")) {
        g_test_skip("KVM is not built in");
        goto out;
    }
    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), entry) {
        QDict *prop = qobject_to(QDict, qlist_entry_obj(entry));

        for (int i = 0; i < ARRAY_SIZE(names); i++) {
            if (g_str_equal(qdict_get_str(prop, "name"), names[i])) {
                g_assert(qdict_haskey(prop, "description"));
                found |= 1 << i;
            }
        }
    }
    g_assert_cmphex(found, ==, (1 << ARRAY_SIZE(names)) - 1);
out:
    qobject_unref(rsp);
    qtest_quit(qts);
}

/* @group: what comes before the name, with a slash; or "" */
static void add(const char *group, const char *name, const void *want,
                void (*test)(const void *want))
{
    g_autofree char *path = g_strdup_printf("/dirty-tracking/%s%s", group,
                                            name);

    qtest_add_data_func(path, want, test);
}

void dirty_tracking_add_options(void)
{
    qtest_add_func("/dirty-tracking/properties", test_properties);
    for (int i = 0; i < ARRAY_SIZE(accepted); i++) {
        add("options/", accepted[i].name, &accepted[i], test_accepted);
    }
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        add("errors/", refused[i].name, &refused[i], test_refused);
    }
    add("", fallback.name, &fallback, test_accepted);
    for (int i = 0; i < ARRAY_SIZE(refused_fallback); i++) {
        add("", refused_fallback[i].name, &refused_fallback[i], test_refused);
    }
    qtest_add_func("/dirty-tracking/slot-size", test_slot_size);
}
