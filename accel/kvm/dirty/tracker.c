/*
 * KVM dirty page tracking: the tracker
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The door for kvm-all.c: keeps the slot table, which all backends need, and
 * hands on the rest.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "tracker.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/blind.h"
#include "accel/kvm/dirty/choice.h"
#include "accel/kvm/dirty/fault-options.h"
#include "accel/kvm/dirty/late.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/options.h"
#include "accel/kvm/dirty/publish.h"
#include "accel/kvm/dirty/slots.h"
#include "accel/kvm/dirty/log/wp-all.h"
#include "accel/kvm/dirty/stats/events.h"

void kvm_dirty_tracker_class_init(ObjectClass *oc)
{
    dirty_options_class_init(oc);
    dirty_fault_options_class_init(oc);
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

    if (t->backend && t->backend->disable) {
        t->backend->disable(t);
    }
    dirty_slots_destroy(&t->slots);
    g_free(t->reason);
    g_free(t);
}

int kvm_dirty_tracker_probe(KVMState *s)
{
    Error *err = NULL;

    if (dirty_choice_make(s->dirty_tracker, &err) < 0) {
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
    stat64_add(&kvm_state->dirty_tracker->counters.syncs, 1);
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

hwaddr kvm_dirty_tracker_slot_part(const MemoryRegion *mr, hwaddr start,
                                   hwaddr size)
{
    return dirty_late_slot_part(kvm_state->dirty_tracker, mr, start, size);
}

bool kvm_dirty_tracker_log_late(KVMSlot *slot, MemoryRegion *mr)
{
    return dirty_late_begin(kvm_state->dirty_tracker, slot, mr);
}

bool kvm_dirty_tracker_has_slot(KVMMemoryListener *kml, hwaddr start)
{
    bool found = false;

    dirty_lock_acquire();
    for (unsigned i = 0; i < kml->nr_slots_allocated && !found; i++) {
        found = kml->slots[i].memory_size && kml->slots[i].start_addr == start;
    }
    dirty_lock_release();
    return found;
}

void kvm_dirty_tracker_slot_set(KVMMemoryListener *kml, KVMSlot *slot,
                                MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    DirtySlot where = {
        .ram_addr = slot->ram_start_offset,
        .npages = dirty_memslot_pages(slot),
        .clients = memory_region_get_dirty_log_mask(mr),
    };

    dirty_slots_set(&t->slots, dirty_memslot_key(slot), &where);
    dirty_late_update(t, kml, slot, where.clients);
    if (dirty_memslot_is_logged(slot)) {
        t->backend->slot_logged(t, slot);
    } else {
        /* What was seen while it was logged means nothing the next time. */
        dirty_blind_forget(slot);
        g_free(slot->dirty_bmap);
        slot->dirty_bmap = NULL;
    }
}

int kvm_dirty_tracker_slot_new(KVMMemoryListener *kml, KVMSlot *slot)
{
    return dirty_blind_new(kvm_state->dirty_tracker, kml, slot);
}

void kvm_dirty_tracker_slot_told(KVMSlot *slot, int ret)
{
    dirty_blind_told(kvm_state->dirty_tracker, slot, ret);
}

void kvm_dirty_tracker_slot_clear(KVMMemoryListener *kml, KVMSlot *slot)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    if (dirty_memslot_is_logged(slot)) {
        t->backend->slot_drain(t, slot);
    }
    if (slot->dirty_late) {
        /*
         * The flat view has switched already, so log_clear found no range
         * here: the sender may have read pages that nobody logs.
         */
        dirty_publish_slot(t, slot);
    }
    dirty_slots_set(&t->slots, dirty_memslot_key(slot),
                    &(DirtySlot) {});
    dirty_late_forget(t, slot);
    dirty_blind_forget(slot);
    g_free(slot->dirty_bmap);
    slot->dirty_bmap = NULL;
}

static bool section_is_logged(const KVMMemoryListener *kml,
                              const MemoryRegionSection *section)
{
    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        if (dirty_memslot_is_logged(&kml->slots[i]) &&
            dirty_memslot_overlaps(&kml->slots[i], section)) {
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
