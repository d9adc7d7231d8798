/*
 * What is told of a vCPU's dirty ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vcpu.h"

#define SEC INT64_C(1000000000)

/* A ring that is full for so long, never being so quiet, is worth an event, */
#define FULL_OFTEN SEC
#define FULL_QUIET SEC
/* but no more than one in this time. */
#define TELL_AGAIN (10 * SEC)

void dirty_vcpu_start(DirtyVcpuStats *stats, int64_t now, uint32_t fill)
{
    stats->high_water = fill;
    stats->harvested_at = 0;
    stats->span = 0;
    dirty_history_start(&stats->pushed, now, stats->harvested + fill);
}

void dirty_vcpu_see(DirtyVcpuStats *stats, int64_t now, uint32_t fill)
{
    stats->high_water = MAX(stats->high_water, fill);
    dirty_history_see(&stats->pushed, now, stats->harvested + fill);
}

void dirty_vcpu_harvested(DirtyVcpuStats *stats, int64_t now, uint32_t count)
{
    stats->high_water = MAX(stats->high_water, count);
    stats->harvested += count;
    stats->span = stats->harvested_at ? now - stats->harvested_at : 0;
    stats->span_pages = count;
    stats->harvested_at = now;
    dirty_history_see(&stats->pushed, now, stats->harvested);
}

/* Returns whether it is full so often that it should be told. */
static bool is_full_often(DirtyVcpuStats *stats, int64_t since, int64_t now)
{
    if (!stats->full_last || since - stats->full_last >= FULL_QUIET) {
        stats->full_from = since;
    }
    stats->full_last = now;
    if (now - stats->full_from < FULL_OFTEN ||
        (stats->told && now - stats->told < TELL_AGAIN)) {
        return false;
    }
    stats->told = now;
    return true;
}

DirtyVcpuFull dirty_vcpu_was_full(DirtyVcpuStats *stats, int64_t since,
                                  int64_t now, bool meant)
{
    stats->full_exits++;
    stats->full_time += now - since;
    if (meant) {
        stats->full_last = 0;
    }
    return (DirtyVcpuFull) {
        .exits = stats->full_exits,
        .time = stats->full_time,
        .often = !meant && is_full_often(stats, since, now),
    };
}
