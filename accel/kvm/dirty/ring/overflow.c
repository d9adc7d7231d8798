/*
 * KVM dirty page tracking: pages that found no room in a ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "overflow.h"
#include "reset.h"
#include "set.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/log/log.h"
#include "accel/kvm/dirty/stats/events.h"

/* How often an overflow is told, at most */
#define TELL_AGAIN (10 * NANOSECONDS_PER_SECOND)

void dirty_overflow_fetch(KVMDirtyTracker *t)
{
    DirtyOverflow *overflow = &t->rings->overflow;

    if (!t->features.overflow) {
        return;
    }
    /* It tells the count, also when no entry is to be reset. */
    if (dirty_reset_rings(t) < 0 || overflow->pages != overflow->fetched ||
        overflow->missed) {
        overflow->fetched = overflow->pages;
        stat64_add(&t->counters.overflow_fetches, 1);
        /* Writes to pages that stay writable do not move the count. */
        overflow->missed = !dirty_log_fetch_all(t);
    }
}

void dirty_overflow_stop_by_full(KVMDirtyTracker *t, bool stop)
{
    DirtyOverflow *overflow = &t->rings->overflow;
    int ret;

    if (t->features.overflow && overflow->stopped_by_full != stop) {
        ret = dirty_features_enable_overflow(t->s, stop);
        if (ret < 0) {
            error_report_once("dirty limits may have no effect: KVM cannot be "
                              "told to stop vCPUs with full rings: %s",
                              strerror(-ret));
        }
        overflow->stopped_by_full = stop;
    }
}

/*
 * Returns how many pages to tell of; 0: nothing.
 * Called with the tracker lock held.
 */
static uint64_t news(DirtyOverflow *overflow)
{
    int64_t now;

    if (overflow->pages == overflow->told) {
        return 0;
    }
    now = get_clock();
    if (overflow->told_when && now - overflow->told_when < TELL_AGAIN) {
        return 0;
    }
    overflow->told = overflow->pages;
    overflow->told_when = now;
    return overflow->pages;
}

void dirty_overflow_unlock_and_tell(KVMDirtyTracker *t)
{
    uint64_t pages = news(&t->rings->overflow);

    dirty_lock_release();
    dirty_events_overflow(pages);
}
