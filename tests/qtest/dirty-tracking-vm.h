/*
 * QTests of KVM dirty page tracking: virtual machines
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef DIRTY_TRACKING_VM_H
#define DIRTY_TRACKING_VM_H

#include "libqtest.h"

typedef struct TestVM {
    QTestState *qts;
    /* Its memory */
    char *ram_path;
    /* What QEMU wrote to stderr */
    char *err_path;
} TestVM;

/* For tests that run once for each backend */
typedef struct TestBackend {
    const char *name;
    /* Properties of -accel kvm */
    const char *props;
    /* How calc-dirty-rate measures with it */
    const char *rate_mode;
    bool ring;
} TestBackend;

extern const TestBackend test_backend_ring;
extern const TestBackend test_backend_log;

/* Created by the first test that asks, removed by vm_cleanup */
const char *vm_tmpdir(void);
void vm_cleanup(void);

/**
 * vm_kvm_usable: whether guests can run under KVM here
 *
 * Otherwise skips the running test, saying why.
 */
bool vm_kvm_usable(void);

/**
 * vm_has_fault: whether this QEMU has property @name of -accel kvm
 *
 * Only builds for tests have the faults.  Otherwise skips the running test.
 */
bool vm_has_fault(const char *name);

/* The same, and whether this QEMU has @fault, if not NULL */
bool vm_kvm_usable_with(const char *fault);

/**
 * vm_start: start the guest under KVM and wait until it writes memory
 * @props: properties of the accelerator, "" for none
 * @smp: vCPUs at the start; only the first of them runs then
 */
TestVM *vm_start(const char *props, int smp);

/**
 * vm_start_incoming: start the destination of a migration, paused
 * @more: what else its command line needs, "" for nothing
 */
TestVM *vm_start_incoming(const char *props, const char *more);

/**
 * vm_add_backend_tests: add a test that runs once for each backend
 * @name: /dirty-tracking/@name/ring and so on are what they are called
 * @test: starts with a guest under KVM, which has one vCPU; not called where
 *        guests cannot run
 */
void vm_add_backend_tests(const char *name,
                          void (*test)(const TestBackend *backend, TestVM *vm));

/* Quit QEMU, which must have been in good health. */
void vm_quit(TestVM *vm);

/* What QEMU has written to stderr so far; free it. */
char *vm_stderr(TestVM *vm);

/* What query-dirty-tracking tells of KVM; unref it. */
QDict *vm_tracking(TestVM *vm);
uint64_t vm_counter(TestVM *vm, const char *name);
uint64_t vm_ring_counter(TestVM *vm, const char *name);
uint64_t vm_reaper_counter(TestVM *vm, const char *name);

/* Pages that a vCPU has written */
uint32_t vm_writes(TestVM *vm, int cpu);

/* Wait until a vCPU has written so many more; fail if it does not. */
void vm_wait_writes(TestVM *vm, int cpu, uint32_t pages);

/* Wait until it has written all of its area. */
void vm_wait_round(TestVM *vm, int cpu);

/**
 * vm_set_slow: make the guest write a few thousand pages a second
 *
 * At first it writes as fast as it can.
 */
void vm_set_slow(TestVM *vm, bool slow);

/**
 * vm_poll: wait, but not for ever
 * @deadline: 0 at first
 *
 * Returns false if it has taken too long.
 */
bool vm_poll(int64_t *deadline);

/**
 * vm_dirty_rate: measure the dirty rate
 * @mode: as calc-dirty-rate wants it
 * @ms: for how long
 *
 * Returns the answer of query-dirty-rate; unref it.
 */
QDict *vm_dirty_rate(TestVM *vm, const char *mode, int ms);
void vm_dirty_rate_start(TestVM *vm, const char *mode, int ms);
QDict *vm_dirty_rate_result(TestVM *vm);

/* The dirty rate of one vCPU in such an answer, in MB/s, or -1 */
int64_t vm_dirty_rate_of(QDict *answer, int cpu);

#endif
