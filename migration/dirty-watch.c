/*
 * A migration's dirty log syncs and what it sends, as they happen
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Migration's thread tells of a sync when there is one, and ten times a second
 * what it has sent.  Nothing here makes it do more than it does anyway.  The
 * monitor asks from the main thread.
 */

#include "qemu/osdep.h"
#include <math.h>
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "exec/target_page.h"
#include "system/dirty-page-rate.h"
#include "system/dirty-tracking.h"
#include "system/runstate.h"
#include "migration-stats.h"
#include "migration.h"
#include "migration/dirty-watch.h"
#include "dirty-forecast.h"
#include "options.h"
#include "ram.h"
#include "trace.h"

/*
 * Spans of sending of which most pages were sent whole: of pages that are zero
 * only a note is sent, which says nothing about the network.
 */
#define SPANS 128
#define MOSTLY 0.8

/* How much slower or faster than ever it may yet become */
#define MARGIN 0.05

/* Advice is of no use beyond what can be set: in ms, and in percent. */
#define MAX_DOWNTIME 2000000
#define MAX_THROTTLE 99

typedef struct DirtyWatch {
    QemuMutex lock;             /* leaf lock; protects what follows */

    /* Syncs, in ns */
    uint64_t syncs;
    int64_t ahead;              /* spent before the sync that is to come */
    int64_t began;
    uint64_t dirty;             /* pages, when it began */
    int64_t time_last, time_sum, time_max;
    int64_t locked_last, locked_sum, locked_max;
    uint64_t found_last;
    uint64_t found;             /* pages, by all syncs */
    DirtyHistory history;       /* of these */

    /* The migration */
    DirtyForecastInput seen;
    int64_t synced;             /* when, in ns; 0: not yet */
    uint64_t normal, zero;      /* pages sent when a span began */
    struct {
        double pages;
        double bytes;
        double seconds;
    } spans[SPANS];
    unsigned spans_used, spans_next;
} DirtyWatch;

static DirtyWatch watch;

static void __attribute__((constructor)) watch_init(void)
{
    qemu_mutex_init(&watch.lock);
}

void dirty_watch_presync(void)
{
    int64_t start = get_clock();

    kvm_dirty_tracking_presync();
    WITH_QEMU_LOCK_GUARD(&watch.lock) {
        watch.ahead = get_clock() - start;
    }
}

/* Called with the lock held. */
static void forget_migration(DirtyWatch *w)
{
    w->seen = (DirtyForecastInput) {};
    w->synced = 0;
    w->spans_used = 0;
    w->spans_next = 0;
    w->normal = 0;
    w->zero = 0;
}

void dirty_watch_sync_begin(bool first, uint64_t dirty)
{
    int64_t now = get_clock();

    QEMU_LOCK_GUARD(&watch.lock);
    if (first) {
        forget_migration(&watch);
        dirty_history_start(&watch.history, now, watch.found);
    }
    watch.began = now;
    watch.dirty = dirty;
}

/* Called with the lock held. */
static void count_sync(DirtyWatch *w, int64_t locked)
{
    w->syncs++;
    w->locked_last = locked;
    w->locked_sum += locked;
    w->locked_max = MAX(w->locked_max, locked);
    w->time_last = locked + w->ahead;
    w->time_sum += w->time_last;
    w->time_max = MAX(w->time_max, w->time_last);
    w->ahead = 0;
}

/* In the first sync of a migration all pages become dirty: it tells nothing. */
void dirty_watch_sync_end(uint64_t dirty)
{
    int64_t now = get_clock();

    QEMU_LOCK_GUARD(&watch.lock);
    count_sync(&watch, now - watch.began);
    watch.found_last = dirty - MIN(dirty, watch.dirty);
    if (watch.synced) {
        DirtyForecastPass pass = {
            .seconds = (now - watch.synced) / 1e9,
            .unsent = watch.dirty,
            .found = watch.found_last,
            .first = !watch.seen.count,
        };

        dirty_forecast_add_pass(&watch.seen, &pass);
        watch.found += watch.found_last;
        dirty_history_see(&watch.history, now, watch.found);
    }
    watch.synced = now;
    trace_dirty_watch_sync(watch.time_last / SCALE_US,
                           watch.locked_last / SCALE_US, watch.found_last,
                           watch.dirty);
}

void dirty_watch_sent(int64_t ms, uint64_t bytes)
{
    /* Pages of which only the difference was sent are in neither. */
    uint64_t normal = stat64_get(&mig_stats.normal_pages) +
                      xbzrle_counters.pages - xbzrle_counters.overflow;
    uint64_t zero = stat64_get(&mig_stats.zero_pages);

    QEMU_LOCK_GUARD(&watch.lock);
    uint64_t whole = normal - MIN(normal, watch.normal);
    uint64_t all = whole + zero - MIN(zero, watch.zero);

    if (ms > 0 && whole && whole >= all * MOSTLY) {
        watch.spans[watch.spans_next].pages = whole;
        watch.spans[watch.spans_next].bytes = bytes;
        watch.spans[watch.spans_next].seconds = ms / 1e3;
        watch.spans_next = (watch.spans_next + 1) % SPANS;
        watch.spans_used = MIN(watch.spans_used + 1, SPANS);
    }
    watch.normal = normal;
    watch.zero = zero;
}

DirtySyncInfo *dirty_watch_sync_info(void)
{
    DirtySyncInfo *info = g_new0(DirtySyncInfo, 1);
    uint64_t count;

    QEMU_LOCK_GUARD(&watch.lock);
    count = MAX(watch.syncs, 1);
    info->count = watch.syncs;
    info->time_last = watch.time_last / SCALE_US;
    info->time_mean = watch.time_sum / count / SCALE_US;
    info->time_max = watch.time_max / SCALE_US;
    info->locked_last = watch.locked_last / SCALE_US;
    info->locked_mean = watch.locked_sum / count / SCALE_US;
    info->locked_max = watch.locked_max / SCALE_US;
    info->pages_last = watch.found_last;
    return info;
}

DirtyPageRate *dirty_watch_rate(void)
{
    DirtyPageRate *rate = g_new0(DirtyPageRate, 1);

    /* What the last one found of one that is over is not so any more. */
    if (qatomic_read(&global_dirty_tracking) & GLOBAL_DIRTY_MIGRATION) {
        QEMU_LOCK_GUARD(&watch.lock);
        dirty_page_rate_add(rate, &watch.history, watch.synced, watch.found);
    }
    return rate;
}

static double pages_of(double bytes)
{
    return bytes / qemu_target_page_size();
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/*
 * What QEMU takes the rate to be when it decides whether the rest is little
 * enough: bytes, as they are after compression, or what it was told.
 * Called with the lock held.
 */
static void add_switchover(const DirtyWatch *w, DirtyForecastInput *in)
{
    uint64_t told = migrate_avail_switchover_bandwidth();
    double bytes = 0, pages = 0;

    for (unsigned i = 0; i < w->spans_used; i++) {
        bytes += w->spans[i].bytes;
        pages += w->spans[i].pages;
    }
    in->switchover_fixed = told;
    in->switchover = told ? pages_of(told)
                          : in->throughput * pages_of(bytes / pages);
}

/*
 * Pages a second.  Spans in which something held the sender up, such as zero
 * pages in between, are slower than what is to come, hence not the middle one.
 * Called with the lock held.
 */
static void add_throughput(const DirtyWatch *w, DirtyForecastInput *in)
{
    double sorted[SPANS];
    unsigned n = w->spans_used;

    if (!n) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        sorted[i] = w->spans[i].pages / w->spans[i].seconds;
    }
    qsort(sorted, n, sizeof(sorted[0]), compare);
    in->throughput = sorted[(n - 1) * 3 / 4];
    in->slow = sorted[(n - 1) / 4] * (1 - MARGIN);
    in->fast = sorted[(n - 1) * 19 / 20] * (1 + MARGIN);
    add_switchover(w, in);
}

/* Returns false if there is nothing to tell. */
static bool gather(DirtyForecastInput *in)
{
    const MigrationState *s = migrate_get_current();
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (s->state != MIGRATION_STATUS_ACTIVE || migrate_background_snapshot() ||
        !runstate_is_running()) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&watch.lock) {
        if (!watch.synced) {
            return false;
        }
        *in = watch.seen;
        add_throughput(&watch, in);
        in->since_sync = (get_clock() - watch.synced) / 1e9;
    }
    in->limit = migrate_downtime_limit() / 1e3;
    in->memory = pages_of(ram_bytes_total());
    in->remaining = pages_of(ram_bytes_remaining());
    in->elapsed = (now - s->start_time) / 1e3;
    return true;
}

static uint64_t rounded(double value)
{
    return value < 1e15 ? llround(fmax(value, 0)) : 0;
}

static void set_ms(bool *has, uint64_t *ms, double seconds)
{
    *has = isfinite(seconds);
    *ms = *has ? rounded(seconds * 1e3) : 0;
}

static DirtyForecastRange *range(const DirtyForecastSpan *span)
{
    DirtyForecastRange *info = g_new0(DirtyForecastRange, 1);

    set_ms(&info->has_least, &info->least, span->least);
    set_ms(&info->has_likely, &info->likely, span->likely);
    set_ms(&info->has_most, &info->most, span->most);
    return info;
}

static DirtyForecastVerdict verdict(const DirtyForecastResult *result)
{
    if (!result->certain) {
        return DIRTY_FORECAST_VERDICT_UNCERTAIN;
    }
    return isfinite(result->total.most) ? DIRTY_FORECAST_VERDICT_CONVERGES
                                        : DIRTY_FORECAST_VERDICT_DIVERGES;
}

/* Pages of the first pass are still to be sent. */
static void forecast_nothing(const DirtyForecastInput *in,
                             DirtyForecastResult *result)
{
    *result = (DirtyForecastResult) {
        .total = {
            in->throughput > 0 ? in->elapsed + in->remaining / in->throughput
                               : INFINITY,
            INFINITY, INFINITY,
        },
        .downtime = { INFINITY, INFINITY, INFINITY },
    };
}

static void add_needs(DirtyForecast *info, const DirtyForecastResult *result)
{
    if (isfinite(result->total.likely)) {
        return;
    }
    info->needed_downtime_limit = ceil(fmin(result->needed_limit * 1e3,
                                            UINT32_MAX));
    info->has_needed_downtime_limit =
        info->needed_downtime_limit <= MAX_DOWNTIME;
    info->needed_throttle = ceil(result->needed_throttle * 100);
    info->has_needed_throttle = info->needed_throttle <= MAX_THROTTLE;
}

DirtyForecast *dirty_watch_forecast(double seconds, double pages)
{
    DirtyForecastInput in;
    DirtyForecastResult result;
    DirtyForecast *info;

    if (!gather(&in)) {
        return NULL;
    }
    in.harvest_seconds = seconds;
    in.harvest_pages = pages;
    info = g_new0(DirtyForecast, 1);
    if (dirty_forecast(&in, &result)) {
        info->verdict = verdict(&result);
        add_needs(info, &result);
    } else {
        info->verdict = DIRTY_FORECAST_VERDICT_UNKNOWN;
        forecast_nothing(&in, &result);
    }
    info->total = range(&result.total);
    info->downtime = range(&result.downtime);
    info->write_rate = rounded(result.write_rate);
    info->working_set = rounded(result.working_set);
    info->throughput = rounded(in.throughput * qemu_target_page_size());
    info->passes = in.count;
    return info;
}
