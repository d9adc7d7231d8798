/*
 * KVM dirty page tracking: what is counted
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Any thread counts, with or without a lock; the monitor reads.
 */

#ifndef ACCEL_KVM_DIRTY_STATS_COUNTERS_H
#define ACCEL_KVM_DIRTY_STATS_COUNTERS_H

#include "qemu/stats64.h"
#include "qemu/timer.h"

/* Calls of one ioctl, and how long they took in all */
typedef struct DirtyCountersIoctl {
    Stat64 count;
    Stat64 ns;
} DirtyCountersIoctl;

typedef struct DirtyCounters {
    Stat64 syncs;               /* of migration: log_global_after_sync */
    Stat64 published_pages;
    Stat64 stray_entries;       /* named a slot or page that is not there */
    Stat64 reprotections;
    Stat64 overflow_fetches;    /* of all bitmaps, as rings had overflowed */
    DirtyCountersIoctl get_log;
    DirtyCountersIoctl clear_log;
    DirtyCountersIoctl reset_rings;
    DirtyCountersIoctl protect_all; /* KVM_WRITE_PROTECT_ALL_MEM */
} DirtyCounters;

/**
 * dirty_counters_ioctl: count a call that began at @start, ns of get_clock()
 */
static inline void dirty_counters_ioctl(DirtyCountersIoctl *calls,
                                        int64_t start)
{
    stat64_add(&calls->count, 1);
    stat64_add(&calls->ns, get_clock() - start);
}

#endif
