/*
 * Dirty page tracking, for people: HMP's "info dirty-tracking"
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "migration/dirty-info.h"

#define LABEL "%-14s"

static void add_rate(GString *text, const char *label,
                     const DirtyPageRate *rate)
{
    g_autofree char *one = size_to_str(rate->bytes_1s);
    g_autofree char *ten = size_to_str(rate->bytes_10s);

    g_string_append_printf(text, LABEL "%" PRIu64 " pages/s (%s/s) over 1 s, "
                           "%" PRIu64 " pages/s (%s/s) over 10 s\n", label,
                           rate->pages_1s, one, rate->pages_10s, ten);
}

static void add_logging(GString *text, const DirtyTrackingInfo *info)
{
    g_string_append_printf(text, LABEL, "logged for:");
    if (!info->logging) {
        g_string_append(text, "nobody");
    }
    for (DirtyLogClientList *c = info->logging; c; c = c->next) {
        g_string_append_printf(text, "%s%s", DirtyLogClient_str(c->value),
                               c->next ? ", " : "");
    }
    g_string_append_c(text, '\n');
}

static void add_features(GString *text, const char *label,
                         const KvmDirtyFeatureList *list)
{
    g_string_append_printf(text, LABEL "%s", label, list ? "" : "none");
    for (; list; list = list->next) {
        g_string_append_printf(text, "%s%s", KvmDirtyFeature_str(list->value),
                               list->next ? ", " : "");
    }
    g_string_append_c(text, '\n');
}

static void add_ioctl(GString *text, const char *name,
                      const KvmDirtyIoctlInfo *info)
{
    if (info->count) {
        g_string_append_printf(text, LABEL "%" PRIu64 " calls, %" PRIu64
                               " us in all\n", name, info->count, info->time);
    }
}

static void add_vcpus(GString *text, const KvmDirtyRingInfo *ring)
{
    g_string_append_printf(text, "%4s %8s %10s %12s %8s %9s %8s %8s\n", "vcpu",
                           "waiting", "high-water", "harvested", "full",
                           "full-ms", "1s/s", "10s/s");
    for (KvmDirtyVcpuInfoList *v = ring->vcpus; v; v = v->next) {
        const KvmDirtyVcpuInfo *vcpu = v->value;

        g_string_append_printf(text, "%4" PRId64 " %8" PRIu32 " %10" PRIu32
                               " %12" PRIu64 " %8" PRIu64 " %9" PRIu64
                               " %8" PRIu64 " %8" PRIu64 "\n", vcpu->cpu_index,
                               vcpu->occupancy, vcpu->high_water,
                               vcpu->harvested_pages, vcpu->full_exits,
                               vcpu->full_time / 1000, vcpu->rate->pages_1s,
                               vcpu->rate->pages_10s);
    }
}

static void add_ring(GString *text, const KvmDirtyRingInfo *ring)
{
    const KvmDirtyReaperInfo *reaper = ring->reaper;

    g_string_append_printf(text, LABEL "%" PRIu32 " entries each, %" PRIu64
                           " pages harvested in %" PRIu64 " us, %" PRIu64
                           " full exits of %" PRIu64 " us\n", "rings:",
                           ring->size, ring->harvested_pages,
                           ring->harvest_time, ring->full_exits,
                           ring->full_time);
    if (ring->overflowed_pages) {
        g_string_append_printf(text, LABEL "%" PRIu64 " pages, bitmaps fetched "
                               "%" PRIu64 " times\n", "overflow:",
                               ring->overflowed_pages, ring->overflow_fetches);
    }
    if (ring->short_resets || ring->reprotections || ring->stray_entries) {
        g_string_append_printf(text, LABEL "%" PRIu64 " short resets, %" PRIu64
                               " times all protected again, %" PRIu64
                               " stray entries\n", "trouble:",
                               ring->short_resets, ring->reprotections,
                               ring->stray_entries);
    }
    g_string_append_printf(text, LABEL "%" PRIu64 " wake-ups, %" PRIu64
                           " harvests, %" PRIu64 " misses, ", "reaper:",
                           reaper->wakeups, reaper->harvests, reaper->misses);
    if (reaper->has_lateness_mean) {
        g_string_append_printf(text, "late by %" PRIu64 " us (at most %" PRIu64
                               " us), ", reaper->lateness_mean,
                               reaper->lateness_max);
    }
    g_string_append_printf(text, "CPU %" PRIu32 ".%" PRIu32 " %%\n",
                           reaper->cpu_share / 10, reaper->cpu_share % 10);
    add_vcpus(text, ring);
}

static void add_kvm(GString *text, const KvmDirtyTrackingInfo *kvm)
{
    g_string_append_printf(text, LABEL "%s, as dirty-tracking=%s: %s%s\n",
                           "backend:", KvmDirtyBackend_str(kvm->backend),
                           KvmDirtyTrackingMode_str(kvm->mode), kvm->reason,
                           kvm->fallback ? " [FALLBACK]" : "");
    add_features(text, "KVM offers:", kvm->offered);
    add_features(text, "in use:", kvm->features);
    if (kvm->late_slots) {
        g_string_append_printf(text, LABEL "%" PRIu32 " parts of %" PRIu64
                               " MiB that are not sent yet\n", "not logged:",
                               kvm->late_slots, kvm->slot_size >> 20);
    }
    add_ioctl(text, "get log:", kvm->ioctls->get_dirty_log);
    add_ioctl(text, "clear log:", kvm->ioctls->clear_dirty_log);
    add_ioctl(text, "reset rings:", kvm->ioctls->reset_dirty_rings);
    add_ioctl(text, "protect all:", kvm->ioctls->write_protect_all);
    if (kvm->ring) {
        add_ring(text, kvm->ring);
    }
}

static void add_sync(GString *text, const DirtySyncInfo *sync)
{
    g_string_append_printf(text, LABEL "%" PRIu64, "syncs:", sync->count);
    if (sync->count) {
        g_string_append_printf(text, ", last %" PRIu64 " us, mean %" PRIu64
                               " us, at most %" PRIu64 " us; big lock held "
                               "%" PRIu64 ", %" PRIu64 ", %" PRIu64 " us",
                               sync->time_last, sync->time_mean,
                               sync->time_max, sync->locked_last,
                               sync->locked_mean, sync->locked_max);
    }
    g_string_append_c(text, '\n');
}

static void add_seconds(GString *text, bool has, uint64_t ms)
{
    if (has) {
        g_string_append_printf(text, "%" PRIu64 ".%" PRIu64 " s", ms / 1000,
                               ms / 100 % 10);
    } else {
        g_string_append(text, "never");
    }
}

static void add_range(GString *text, const char *label,
                      const DirtyForecastRange *range)
{
    g_string_append_printf(text, LABEL, label);
    add_seconds(text, range->has_likely, range->likely);
    g_string_append(text, " likely, ");
    add_seconds(text, range->has_least, range->least);
    g_string_append(text, " to ");
    add_seconds(text, range->has_most, range->most);
    g_string_append_c(text, '\n');
}

static void add_forecast(GString *text, const DirtyForecast *forecast)
{
    g_string_append_printf(text, LABEL "%s, after %" PRIu32 " pass%s\n",
                           "forecast:",
                           DirtyForecastVerdict_str(forecast->verdict),
                           forecast->passes, forecast->passes == 1 ? "" : "es");
    if (forecast->verdict == DIRTY_FORECAST_VERDICT_UNKNOWN) {
        return;
    }
    add_range(text, " total:", forecast->total);
    add_range(text, " downtime:", forecast->downtime);
    g_string_append_printf(text, LABEL "%" PRIu64 " pages/s to %" PRIu64
                           " pages; %" PRIu64 " MiB/s are sent\n", " writes:",
                           forecast->write_rate, forecast->working_set,
                           forecast->throughput >> 20);
    if (forecast->has_needed_downtime_limit) {
        g_string_append_printf(text, LABEL "downtime-limit %" PRIu64 " ms\n",
                               " would need:", forecast->needed_downtime_limit);
    }
    if (forecast->has_needed_throttle) {
        g_string_append_printf(text, LABEL "vCPUs throttled by %" PRIu32
                               " %%\n", forecast->has_needed_downtime_limit
                               ? " or:" : " would need:",
                               forecast->needed_throttle);
    }
}

void dirty_info_text(GString *text, const DirtyTrackingInfo *info)
{
    g_string_append_printf(text, LABEL "%s\n", "accelerator:",
                           info->accelerator);
    add_logging(text, info);
    add_rate(text, "dirty rate:", info->rate);
    add_sync(text, info->sync);
    if (info->kvm) {
        add_kvm(text, info->kvm);
    }
    if (info->forecast) {
        add_forecast(text, info->forecast);
    }
}
