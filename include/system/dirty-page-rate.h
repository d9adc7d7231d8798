/*
 * A rate of dirty pages, as QMP has it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_DIRTY_PAGE_RATE_H
#define SYSTEM_DIRTY_PAGE_RATE_H

#include "qapi/qapi-types-dirty-tracking.h"
#include "exec/target_page.h"
#include "qemu/dirty-history.h"
#include "qemu/timer.h"

/**
 * dirty_page_rate_add: add to @rate how fast a count of pages has grown
 * @count: what it is @now, ns of get_clock()
 */
static inline void dirty_page_rate_add(DirtyPageRate *rate,
                                       const DirtyHistory *history,
                                       int64_t now, uint64_t count)
{
    uint64_t size = qemu_target_page_size();

    rate->pages_1s += dirty_history_rate(history, now, count,
                                         NANOSECONDS_PER_SECOND);
    rate->pages_10s += dirty_history_rate(history, now, count,
                                          10 * NANOSECONDS_PER_SECOND);
    rate->bytes_1s = rate->pages_1s * size;
    rate->bytes_10s = rate->pages_10s * size;
}

#endif
