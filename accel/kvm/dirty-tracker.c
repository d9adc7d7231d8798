/*
 * KVM dirty page tracking: the tracker
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Chooses the backend, keeps what all backends need (which slots there are
 * and who logs them) and hands on the rest.  The backend is fixed before the
 * first vCPU exists: with the ring on, x86's KVM refuses the dirty log.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "exec/memory.h"
#include "system/dirty-tracking.h"
#include "system/kvm.h"
#include "dirty-backend.h"
#include "dirty-fault.h"
#include "trace.h"

void kvm_dirty_tracker_class_init(ObjectClass *oc)
{
    dirty_options_class_init(oc);
    dirty_fault_class_init(oc);
}

void kvm_dirty_tracker_instance_init(KVMState *s)
{
    KVMDirtyTracker *t = g_new0(KVMDirtyTracker, 1);

    t->s = s;
    t->mode = KVM_DIRTY_TRACKING_MODE_AUTO;
    s->dirty_tracker = t;
}

void kvm_dirty_tracker_instance_finalize(Object *obj)
{
    KVMDirtyTracker *t = KVM_STATE(obj)->dirty_tracker;

    dirty_slots_destroy(&t->slots);
    g_free(t->reason);
    g_free(t);
}

static int use_backend(KVMDirtyTracker *t, const KVMDirtyBackendOps *backend,
                       const char *reason, Error **errp)
{
    int ret;

    t->reason = g_strdup(reason);
    ret = backend->enable(t, errp);
    if (ret < 0) {
        g_free(t->reason);
        t->reason = NULL;
        return ret;
    }
    t->backend = backend;
    trace_kvm_dirty_tracking(KvmDirtyBackend_str(backend->id), t->reason);
    return 0;
}

static int choose_log(KVMDirtyTracker *t, const char *reason, Error **errp)
{
    t->ring_size = 0;
    t->features = (DirtyFeatures) {};
    return use_backend(t, &kvm_dirty_backend_log, reason, errp);
}

/*
 * The best there is without a ring.  With a small guest protecting all at once
 * and page by page are as good as each other (docs/bench.md); what a pass costs
 * KVM is the same for any guest with the one, and grows with what the guest
 * writes with the other.
 */
static int choose_bitmap(KVMDirtyTracker *t, const char *reason, Error **errp)
{
    g_autofree char *both = NULL;
    Error *err = NULL;

    if (!t->features.wp_all) {
        return choose_log(t, reason, errp);
    }
    t->ring_size = 0;
    both = g_strdup_printf("%s, and KVM can write-protect all memory at once",
                           reason);
    if (use_backend(t, &kvm_dirty_backend_wp_all, both, &err) == 0) {
        return 0;
    }
    warn_reportf_err(err, "protecting memory page by page: ");
    t->fallback = true;
    return choose_log(t, reason, errp);
}

/* @others: the modes that would do instead */
static int insist_on(KVMDirtyTracker *t, const KVMDirtyBackendOps *backend,
                     const char *others, Error **errp)
{
    ERRP_GUARD();
    const char *mode = KvmDirtyTrackingMode_str(t->mode);
    g_autofree char *reason = g_strdup_printf("asked for by dirty-tracking=%s",
                                              mode);
    int ret = use_backend(t, backend, reason, errp);

    if (ret == -ENOTSUP) {
        error_prepend(errp, "dirty-tracking=%s is not possible, use "
                      "dirty-tracking=%s: ", mode, others);
    }
    return ret;
}

static void drop_ring_size(KVMDirtyTracker *t)
{
    if (t->ring_size) {
        warn_report("dirty-ring-size=%" PRIu32 " has no effect with "
                    "dirty-tracking=%s", t->ring_size,
                    KvmDirtyTrackingMode_str(t->mode));
        t->ring_size = 0;
    }
}

static int choose_backend(KVMDirtyTracker *t, Error **errp)
{
    Error *ring_err = NULL;
    int ret;

    switch (t->mode) {
    case KVM_DIRTY_TRACKING_MODE_LOG:
        drop_ring_size(t);
        return choose_log(t, "asked for by dirty-tracking=log", errp);

    case KVM_DIRTY_TRACKING_MODE_RING:
        if (!t->ring_size) {
            dirty_options_bad_ring_size(errp, "0", 0,
                                        "dirty-tracking=ring needs a ring");
            return -EINVAL;
        }
        return insist_on(t, &kvm_dirty_backend_ring, "auto or log", errp);

    case KVM_DIRTY_TRACKING_MODE_WP_ALL:
        drop_ring_size(t);
        return insist_on(t, &kvm_dirty_backend_wp_all, "auto, ring or log",
                         errp);

    default:
        if (!t->ring_size) {
            return choose_bitmap(t, "dirty-ring-size is 0", errp);
        }
        ret = use_backend(t, &kvm_dirty_backend_ring,
                          "asked for by dirty-ring-size", &ring_err);
        if (ret == -ENOTSUP) {
            warn_reportf_err(ring_err, "dirty-ring-size=%" PRIu32 " ignored, "
                             "using the dirty log (bitmap): ", t->ring_size);
            t->fallback = true;
            return choose_bitmap(t, "KVM_CAP_DIRTY_LOG_RING is not offered",
                                 errp);
        }
        error_propagate(errp, ring_err);
        return ret;
    }
}

/* Code of the kernel that was never run on such a host is used if asked for. */
static void find_features(KVMDirtyTracker *t)
{
    bool by_name = t->mode != KVM_DIRTY_TRACKING_MODE_AUTO;

    if (t->fault.no_features) {
        return;
    }
    dirty_features_probe(t->s, &t->offered);
    if (by_name || dirty_features_are_tried()) {
        t->features = t->offered;
    }
}

int kvm_dirty_tracker_probe(KVMState *s)
{
    Error *err = NULL;

    find_features(s->dirty_tracker);
    if (choose_backend(s->dirty_tracker, &err) < 0) {
        error_report_err(err);
        return -ECANCELED;
    }
    return 0;
}

void kvm_dirty_tracker_start(KVMState *s)
{
    KVMDirtyTracker *t = s->dirty_tracker;

    if (t->backend->start) {
        t->backend->start(t);
    }
    dirty_events_start(t);
}

static void log_global_after_sync(MemoryListener *listener)
{
    stat64_add(&kvm_state->dirty_tracker->stats.syncs, 1);
}

static void sync_nothing(MemoryListener *listener, bool last_stage)
{
}

/*
 * Where one sync is for all address spaces, that of the first does it.  The
 * others need the callback all the same, or the memory core would ask them slot
 * by slot.
 */
void kvm_dirty_tracker_setup_listener(KVMState *s, KVMMemoryListener *kml)
{
    KVMDirtyTracker *t = s->dirty_tracker;

    if (kml->as_id == 0) {
        kml->listener.log_global_after_sync = log_global_after_sync;
    }
    if (t->backend->late) {
        kml->listener.log_clear = dirty_late_log_clear;
    }
    dirty_wp_all_setup_commit(t, &kml->listener);
    if (t->backend->sync_once && kml->as_id != 0) {
        kml->listener.log_sync_global = sync_nothing;
    } else {
        t->backend->setup_listener(t, &kml->listener);
    }
}

bool kvm_dirty_tracker_attach_vcpu(CPUState *cpu, Error **errp)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    return !t->backend->attach_vcpu || t->backend->attach_vcpu(t, cpu, errp);
}

void kvm_dirty_tracker_detach_vcpu(CPUState *cpu)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    if (t->backend->detach_vcpu) {
        t->backend->detach_vcpu(t, cpu);
    }
}

void kvm_dirty_tracker_ring_full(CPUState *cpu)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    if (t->backend->ring_full) {
        t->backend->ring_full(t, cpu);
    }
}

void kvm_dirty_presync(void)
{
    KVMDirtyTracker *t = kvm_enabled() ? kvm_state->dirty_tracker : NULL;

    if (t && t->backend->presync) {
        t->backend->presync(t);
    }
}

void kvm_dirty_tracker_slot_set(KVMMemoryListener *kml, KVMSlot *slot,
                                MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    DirtySlot where = {
        .ram_addr = slot->ram_start_offset,
        .npages = kvm_dirty_slot_pages(slot),
        .clients = memory_region_get_dirty_log_mask(mr),
    };

    dirty_slots_set(&t->slots, kvm_dirty_slot_key(kml->as_id, slot), &where);
    dirty_late_update(t, kml, slot, where.clients);
    if (kvm_dirty_slot_is_logged(slot)) {
        t->backend->slot_logged(t, slot);
    } else {
        /* What was seen while it was logged means nothing the next time. */
        g_free(slot->dirty_bmap);
        slot->dirty_bmap = NULL;
    }
}

void kvm_dirty_tracker_slot_clear(KVMMemoryListener *kml, KVMSlot *slot)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    if (kvm_dirty_slot_is_logged(slot)) {
        t->backend->slot_drain(t, slot);
    }
    dirty_slots_set(&t->slots, kvm_dirty_slot_key(kml->as_id, slot),
                    &(DirtySlot) {});
    dirty_late_forget(t, slot);
    g_free(slot->dirty_bmap);
    slot->dirty_bmap = NULL;
}

static bool section_is_logged(const KVMMemoryListener *kml,
                              const MemoryRegionSection *section)
{
    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        if (kvm_dirty_slot_is_logged(&kml->slots[i]) &&
            kvm_dirty_slot_overlaps(&kml->slots[i], section)) {
            return true;
        }
    }
    return false;
}

bool kvm_dirty_tracker_must_quiesce(KVMMemoryListener *kml)
{
    KVMMemoryUpdate *update;

    QSIMPLEQ_FOREACH(update, &kml->transaction_del, next) {
        if (section_is_logged(kml, &update->section)) {
            return true;
        }
    }
    return false;
}

void kvm_dirty_for_each_logged_slot(KVMDirtyTracker *t,
                                    void (*fn)(KVMDirtyTracker *t,
                                               KVMMemoryListener *kml,
                                               KVMSlot *slot))
{
    for (int as = 0; as < t->s->nr_as; as++) {
        KVMMemoryListener *kml = t->s->as[as].ml;

        for (unsigned i = 0; kml && i < kml->nr_slots_allocated; i++) {
            if (kvm_dirty_slot_is_logged(&kml->slots[i])) {
                fn(t, kml, &kml->slots[i]);
            }
        }
    }
}

bool kvm_dirty_ring_enabled(void)
{
    return kvm_state && kvm_dirty_ring_size();
}

uint32_t kvm_dirty_ring_size(void)
{
    return kvm_state->dirty_tracker->ring_size;
}
