/*
 * KVM dirty page tracking: events for those who watch
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-dirty-tracking.h"
#include "block/aio.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/runstate.h"
#include "events.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/trace.h"

static void tell_fallback(KVMDirtyTracker *t, const char *reason)
{
    trace_kvm_dirty_fallback(KvmDirtyBackend_str(t->backend->id), reason);
    qapi_event_send_dirty_tracking_fallback(t->backend->id, reason);
}

/* Before the guest runs nobody may be listening yet. */
static void first_run(void *opaque, bool running, RunState state)
{
    KVMDirtyTracker *t = opaque;

    if (running && !t->fallback_told) {
        t->fallback_told = true;
        tell_fallback(t, t->reason);
    }
}

void dirty_events_start(KVMDirtyTracker *t)
{
    if (t->fallback) {
        qemu_add_vm_change_state_handler(first_run, t);
    }
}

static void tell_refused(void *opaque)
{
    tell_fallback(opaque, DIRTY_EVENTS_REFUSED);
}

void dirty_events_refused(KVMDirtyTracker *t)
{
    aio_bh_schedule_oneshot(qemu_get_aio_context(), tell_refused, t);
}

static void tell_protection_lost(void *opaque)
{
    tell_fallback(opaque, DIRTY_EVENTS_PROTECTION_LOST);
}

/* Monitors have locks of their own: not for the tracker lock's holder. */
void dirty_events_protection_lost(KVMDirtyTracker *t)
{
    aio_bh_schedule_oneshot(qemu_get_aio_context(), tell_protection_lost, t);
}

void dirty_events_overflow(uint64_t pages)
{
    if (pages) {
        trace_kvm_dirty_ring_overflow(pages);
        qapi_event_send_dirty_tracking_overflow(pages);
    }
}

void dirty_events_ring_full(const CPUState *cpu, const DirtyVcpuFull *full)
{
    int64_t us = full->time / SCALE_US;

    trace_kvm_dirty_ring_full_often(cpu->cpu_index, full->exits, us);
    qapi_event_send_dirty_tracking_ring_full(cpu->cpu_index, full->exits, us);
}
