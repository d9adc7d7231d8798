/*
 * Dirty page tracking, as the monitor shows it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-dirty-tracking.h"
#include "qapi/type-helpers.h"
#include "qemu/accel.h"
#include "exec/memory.h"
#include "exec/target_page.h"
#include "migration/dirty-info.h"
#include "migration/dirty-watch.h"
#include "system/dirty-tracking.h"

static void add_vcpu_rate(DirtyPageRate *sum, const DirtyPageRate *rate)
{
    sum->pages_1s += rate->pages_1s;
    sum->pages_10s += rate->pages_10s;
    sum->bytes_1s += rate->bytes_1s;
    sum->bytes_10s += rate->bytes_10s;
}

/* Of the whole guest, by its rings; on top of what is in @sum. */
static void add_vcpu_rates(DirtyPageRate *sum, const KvmDirtyRingInfo *ring)
{
    for (KvmDirtyVcpuInfoList *v = ring->vcpus; v; v = v->next) {
        add_vcpu_rate(sum, v->value->rate);
    }
}

static void add_ring(DirtyTrackingInfo *info)
{
    KvmDirtyRingTotals totals;

    info->rate = g_new0(DirtyPageRate, 1);
    kvm_dirty_tracking_totals(&totals, info->rate);
    /* If rings overflow, what they hold is not all that was written. */
    if (info->rate->pages_10s) {
        totals.harvest_pages = 0;
    }
    add_vcpu_rates(info->rate, info->kvm->ring);
    info->forecast = dirty_watch_forecast(totals.harvest_seconds,
                                          totals.harvest_pages);
}

static DirtyLogClientList *clients(void)
{
    unsigned tracking = qatomic_read(&global_dirty_tracking);
    DirtyLogClientList *list = NULL;

    if (tracking & GLOBAL_DIRTY_LIMIT) {
        QAPI_LIST_PREPEND(list, DIRTY_LOG_CLIENT_DIRTY_LIMIT);
    }
    if (tracking & GLOBAL_DIRTY_DIRTY_RATE) {
        QAPI_LIST_PREPEND(list, DIRTY_LOG_CLIENT_DIRTY_RATE);
    }
    if (tracking & GLOBAL_DIRTY_MIGRATION) {
        QAPI_LIST_PREPEND(list, DIRTY_LOG_CLIENT_MIGRATION);
    }
    return list;
}

static char *accelerator(void)
{
    g_autofree char *type =
        g_strdup(object_get_typename(OBJECT(current_accel())));
    char *suffix = g_strrstr(type, ACCEL_CLASS_SUFFIX);

    return suffix ? g_strndup(type, suffix - type) : g_strdup(type);
}

DirtyTrackingInfo *qmp_query_dirty_tracking(Error **errp)
{
    DirtyTrackingInfo *info = g_new0(DirtyTrackingInfo, 1);

    info->accelerator = accelerator();
    info->logging = clients();
    info->page_size = qemu_target_page_size();
    info->sync = dirty_watch_sync_info();
    info->kvm = kvm_dirty_tracking_info();
    if (info->kvm && info->kvm->ring) {
        add_ring(info);
    } else {
        info->rate = dirty_watch_rate();
        info->forecast = dirty_watch_forecast(0, 0);
    }
    return info;
}

HumanReadableText *qmp_x_query_dirty_tracking(Error **errp)
{
    g_autoptr(GString) text = g_string_new(NULL);
    DirtyTrackingInfo *info = qmp_query_dirty_tracking(errp);

    if (!info) {
        return NULL;
    }
    dirty_info_text(text, info);
    qapi_free_DirtyTrackingInfo(info);
    return human_readable_text_from_str(text);
}
