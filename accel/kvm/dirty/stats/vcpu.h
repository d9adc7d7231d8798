/*
 * What is told of a vCPU's dirty ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_STATS_VCPU_H
#define ACCEL_KVM_DIRTY_STATS_VCPU_H

#include "qemu/dirty-history.h"

/* Protected by the tracker lock.  Times in ns. */
typedef struct DirtyVcpuStats {
    uint64_t harvested;         /* entries */
    uint64_t full_exits;
    int64_t full_time;          /* stood still because of them */
    uint32_t high_water;        /* entries seen to wait, at most */
    DirtyHistory pushed;        /* entries, since logging started */
    int64_t harvested_at;       /* the last time; 0: not since then */
    int64_t span;               /* from the time before to that; 0: unknown */
    uint32_t span_pages;        /* entries taken off then */
    /* For the event of a ring that is full again and again */
    int64_t full_from;          /* it has been so since then, */
    int64_t full_last;          /* the last time then; 0: never */
    int64_t told;               /* when last there was an event; 0: never */
} DirtyVcpuStats;

/* How often a ring was full, and for how long, in ns */
typedef struct DirtyVcpuFull {
    uint64_t exits;
    int64_t time;
    bool often;                 /* of late, so that it should be told */
} DirtyVcpuFull;

/**
 * dirty_vcpu_start: dirty logging starts; @fill entries wait
 */
void dirty_vcpu_start(DirtyVcpuStats *stats, int64_t now, uint32_t fill);

/**
 * dirty_vcpu_see: @fill entries wait in the ring @now
 */
void dirty_vcpu_see(DirtyVcpuStats *stats, int64_t now, uint32_t fill);

/**
 * dirty_vcpu_harvested: @count entries were taken off the ring
 */
void dirty_vcpu_harvested(DirtyVcpuStats *stats, int64_t now, uint32_t count);

/**
 * dirty_vcpu_was_full: the vCPU stood still from @since until @now
 * @meant: it was meant to, by a dirty limit
 */
DirtyVcpuFull dirty_vcpu_was_full(DirtyVcpuStats *stats, int64_t since,
                                  int64_t now, bool meant);

#endif
