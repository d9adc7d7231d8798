/*
 * QTests of KVM dirty page tracking: vCPUs that come, go, and come back
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest has no operating system, so the test does that part: it starts
 * vCPUs by interrupt messages, and ejects them by the ACPI registers that an
 * operating system would use.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "dirty-tracking-guest.h"
#include "dirty-tracking-move.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

#define RATE_MS 500

#define CPU_DRIVER "qemu64-x86_64-cpu"

/* Messages to the local APIC with this ID; the data of INIT and start IPI */
#define MSI_ADDRESS(apic_id) (0xfee00000 + ((apic_id) << 12))
#define MSI_INIT 0x500
#define MSI_START (0x600 | GUEST_SIPI_VECTOR)

/* ACPI CPU hotplug registers of q35 */
#define ACPI_CPU_SELECTOR 0xcd8
#define ACPI_CPU_FLAGS 0xcdc
#define ACPI_CPU_REMOVING (1 << 2)
#define ACPI_CPU_EJECT (1 << 3)

static void cpu_run(TestVM *vm, int cpu)
{
    qtest_writel(vm->qts, MSI_ADDRESS(cpu), MSI_INIT);
    qtest_writel(vm->qts, MSI_ADDRESS(cpu), MSI_START);
    vm_wait_round(vm, cpu);
}

static void cpu_plug(TestVM *vm, int cpu)
{
    g_autofree char *id = g_strdup_printf("cpu%d", cpu);

    qtest_qmp_device_add(vm->qts, CPU_DRIVER, id, "{'socket-id': %d,"
                         " 'core-id': 0, 'thread-id': 0}", cpu);
}

static void cpu_request_unplug(TestVM *vm, int cpu)
{
    g_autofree char *id = g_strdup_printf("cpu%d", cpu);

    /* This 0 makes the registers the present-day ones, which can eject. */
    qtest_outl(vm->qts, ACPI_CPU_SELECTOR, 0);
    qtest_qmp_device_del_send(vm->qts, id);
    qtest_outl(vm->qts, ACPI_CPU_SELECTOR, cpu);
    g_assert(qtest_inb(vm->qts, ACPI_CPU_FLAGS) & ACPI_CPU_REMOVING);
    qtest_outb(vm->qts, ACPI_CPU_FLAGS, ACPI_CPU_REMOVING);
}

static void cpu_eject(TestVM *vm, int cpu)
{
    uint32_t writes;

    qtest_outl(vm->qts, ACPI_CPU_SELECTOR, cpu);
    qtest_outb(vm->qts, ACPI_CPU_FLAGS, ACPI_CPU_EJECT);
    qtest_qmp_eventwait(vm->qts, "DEVICE_DELETED");

    /* It is gone, the first goes on. */
    writes = vm_writes(vm, cpu);
    vm_wait_round(vm, 0);
    g_assert_cmpint(vm_writes(vm, cpu), ==, writes);
}

/* Pages that the vCPU writes are found, in its own ring if there is one. */
static void check_rate(TestVM *vm, const TestBackend *backend, int cpu)
{
    QDict *answer = vm_dirty_rate(vm, backend->rate_mode, RATE_MS);

    g_assert_cmpint(qdict_get_int(answer, "dirty-rate"), >, 0);
    if (backend->ring) {
        g_assert_cmpint(vm_dirty_rate_of(answer, 0), >, 0);
        g_assert_cmpint(vm_dirty_rate_of(answer, cpu), >, 0);
    }
    qobject_unref(answer);
}

static void test_plug(const TestBackend *backend, TestVM *from)
{
    TestVM *to;

    /* One while nothing is logged, one while all is. */
    cpu_plug(from, 1);
    cpu_run(from, 1);
    check_rate(from, backend, 1);
    vm_move_start(from, NULL, "exec:cat >/dev/null");
    vm_move_cancel(from);
    vm_dirty_rate_start(from, backend->rate_mode, RATE_MS);
    cpu_plug(from, 2);
    cpu_run(from, 2);
    qobject_unref(vm_dirty_rate_result(from));
    check_rate(from, backend, 2);

    to = vm_start_incoming(backend->props,
        "-device " CPU_DRIVER ",socket-id=1,core-id=0,thread-id=0 "
        "-device " CPU_DRIVER ",socket-id=2,core-id=0,thread-id=0");
    vm_move(from, to);
    vm_wait_round(to, 1);
    vm_wait_round(to, 2);
    vm_quit(to);
}

/*
 * KVM keeps a vCPU that is unplugged, and its ring with it: the next one with
 * this ID finds the ring's indices where they were.
 */
static void test_replug(const TestBackend *backend, TestVM *from)
{
    TestVM *to;

    for (int i = 0; i < 3; i++) {
        cpu_plug(from, 1);
        cpu_run(from, 1);
        check_rate(from, backend, 1);

        /* Unplugged while logging is on, and the ring not empty */
        vm_dirty_rate_start(from, backend->rate_mode, RATE_MS);
        vm_wait_round(from, 1);
        cpu_request_unplug(from, 1);
        cpu_eject(from, 1);
        qobject_unref(vm_dirty_rate_result(from));
    }

    cpu_plug(from, 1);
    cpu_run(from, 1);
    to = vm_start_incoming(backend->props, "-device " CPU_DRIVER
                           ",socket-id=1,core-id=0,thread-id=0");
    vm_move(from, to);
    vm_wait_round(to, 1);
    if (backend->ring) {
        g_assert_cmpint(vm_ring_counter(to, "stray-entries"), ==, 0);
    }
    vm_quit(to);
}

/*
 * What an unplugged vCPU wrote last must reach the destination.  QEMU takes no
 * request in the middle of a migration, but the guest may take its time to
 * comply with an earlier one.
 */
static void test_eject_late(const TestBackend *backend, TestVM *from)
{
    TestVM *to;

    cpu_plug(from, 1);
    cpu_run(from, 1);
    cpu_request_unplug(from, 1);

    to = vm_start_incoming(backend->props, "");
    vm_move_start(from, to, NULL);
    cpu_eject(from, 1);
    vm_move_finish(from, to);
    vm_quit(to);
}

void dirty_tracking_add_vcpus(void)
{
    vm_add_backend_tests("plug", test_plug);
    vm_add_backend_tests("replug", test_replug);
    vm_add_backend_tests("eject-late", test_eject_late);
}
