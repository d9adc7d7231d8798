/*
 * KVM dirty page tracking: the log backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "log-backend.h"
#include "log.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/memslots.h"

/* Call @fn(t, slot, first, end) for the pages that @section has of slots. */
static void for_each_slot_part(KVMDirtyTracker *t, KVMMemoryListener *kml,
                               MemoryRegionSection *section,
                               void (*fn)(KVMDirtyTracker *t, KVMSlot *slot,
                                          uint64_t first, uint64_t end))
{
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);
    size_t page_size = qemu_real_host_page_size();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        KVMSlot *slot = &kml->slots[i];
        hwaddr slot_end = slot->start_addr + slot->memory_size;
        hwaddr from = MAX(start, slot->start_addr);
        hwaddr to = MIN(end, slot_end);

        if (from < to && slot->dirty_bmap && dirty_memslot_is_logged(slot)) {
            fn(t, slot, (from - slot->start_addr) / page_size,
               DIV_ROUND_UP(to - slot->start_addr, page_size));
        }
    }
}

static void fetch_pages(KVMDirtyTracker *t, KVMSlot *slot, uint64_t first,
                        uint64_t end)
{
    /* KVM knows only whole slots here. */
    dirty_log_fetch(t, slot);
}

static void log_sync(MemoryListener *listener, MemoryRegionSection *section)
{
    KVMMemoryListener *kml = container_of(listener, KVMMemoryListener,
                                          listener);

    dirty_lock_acquire();
    for_each_slot_part(kvm_state->dirty_tracker, kml, section, fetch_pages);
    dirty_lock_release();
}

/*
 * In the last pass of a migration the guest has stopped and nobody fetches any
 * more: to protect pages would only make its stop longer.  Should it go on here
 * after all, what was not cleared is reported once more.
 */
static bool is_last_pass(void)
{
    return runstate_check(RUN_STATE_FINISH_MIGRATE);
}

static void log_clear(MemoryListener *listener, MemoryRegionSection *section)
{
    KVMMemoryListener *kml = container_of(listener, KVMMemoryListener,
                                          listener);

    if (is_last_pass()) {
        return;
    }
    dirty_lock_acquire();
    for_each_slot_part(kvm_state->dirty_tracker, kml, section,
                       dirty_log_clear);
    dirty_lock_release();
}

static const char *log_mode(uint64_t manual)
{
    if (manual & KVM_DIRTY_LOG_INITIALLY_SET) {
        return "manual protect, initially set";
    }
    return manual ? "manual protect" : "protected by each fetch";
}

static int log_enable(KVMDirtyTracker *t, Error **errp)
{
    uint64_t manual;
    char *reason;
    int ret;

    manual = kvm_check_extension(t->s, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    manual &= KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
    if (manual) {
        ret = kvm_vm_enable_cap(t->s, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0,
                                manual);
        if (ret < 0) {
            warn_report("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is offered but "
                        "cannot be enabled (%s): pages are protected by each "
                        "fetch of the dirty log", strerror(-ret));
            manual = 0;
        }
    }
    t->log_manual = manual;

    reason = g_strdup_printf("%s (%s)", t->reason, log_mode(manual));
    g_free(t->reason);
    t->reason = reason;
    return 0;
}

static void log_setup_listener(KVMDirtyTracker *t, MemoryListener *listener)
{
    listener->log_sync = log_sync;
    if (t->log_manual) {
        listener->log_clear = log_clear;
    }
}

const KVMDirtyBackendOps dirty_log_backend = {
    .id = KVM_DIRTY_BACKEND_LOG,
    .enable = log_enable,
    .setup_listener = log_setup_listener,
    .slot_logged = dirty_log_slot_alloc,
    .slot_drain = dirty_log_fetch,
};
