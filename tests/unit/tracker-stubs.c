/*
 * Parts of the tracker that its tests do without
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reaper's thread is played by whoever calls; events are counted.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "accel/kvm/dirty/options.h"
#include "accel/kvm/dirty/stats/events.h"
#include "accel/kvm/dirty/stats/info.h"
#include "kvm-world.h"

void dirty_reaper_start(DirtyReaper *reaper, DirtyReaperLook *look,
                        void *opaque)
{
    world->look = look;
}

int dirty_reaper_call(DirtyReaper *reaper, int (*fn)(void *opaque),
                      void *opaque)
{
    WorldRole role = world_role();
    CPUState *cpu = current_cpu;
    int ret;

    qatomic_inc(&world->reaper_calls);
    world_set_role(WORLD_REAPER, NULL);
    ret = fn(opaque);
    world_set_role(role, cpu);
    return ret;
}

void dirty_reaper_look_by(DirtyReaper *reaper, int64_t when)
{
}

void dirty_reaper_expect_signals(DirtyReaper *reaper)
{
}

void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging)
{
    qatomic_set(&world->reaper_logging, logging);
}

void dirty_reaper_set_running(DirtyReaper *reaper, bool running)
{
    qatomic_set(&world->reaper_running, running);
}

bool dirty_reaper_is_active(DirtyReaper *reaper)
{
    return qatomic_read(&world->reaper_logging) &&
        qatomic_read(&world->reaper_running);
}

int64_t dirty_reaper_cpu(DirtyReaper *reaper)
{
    return 0;
}

int64_t dirty_reaper_own_cpu(DirtyReaper *reaper, int64_t *all)
{
    *all = 0;
    return 0;
}

void dirty_events_start(KVMDirtyTracker *t)
{
}

void dirty_events_protection_lost(KVMDirtyTracker *t)
{
    g_assert_true(world_lock_is_held());
    world->lost++;
}

void dirty_events_refused(KVMDirtyTracker *t)
{
    g_assert_true(world_lock_is_held());
    world->refusals++;
}

void dirty_events_overflow(uint64_t pages)
{
    g_assert_false(world_lock_is_held());
    if (pages) {
        world->overflow_news = pages;
    }
}

void dirty_events_ring_full(const CPUState *cpu, const DirtyVcpuFull *full)
{
    g_assert_false(world_lock_is_held());
}

void dirty_options_class_init(ObjectClass *oc)
{
}

void dirty_options_bad_ring_size(Error **errp, const char *value, uint32_t max,
                                 const char *why)
{
    error_setg(errp, "dirty-ring-size=%s, max %" PRIu32 ": %s", value, max,
               why ?: "too large");
}

KvmDirtyTrackingInfo *dirty_stats_info(KVMDirtyTracker *t)
{
    g_assert_not_reached();
}

void dirty_stats_totals(KVMDirtyTracker *t, KvmDirtyRingTotals *totals,
                        DirtyPageRate *overflows)
{
    g_assert_not_reached();
}
