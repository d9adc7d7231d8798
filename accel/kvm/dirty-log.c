/*
 * KVM dirty page tracking by the dirty log: a bitmap a memslot
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_GET_DIRTY_LOG copies a slot's bitmap out.  What happens to protection
 * depends on what KVM offers (KVM API, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2):
 *
 *   legacy          GET also clears the kernel's bits and protects the pages
 *   manual protect  GET only copies; KVM_CLEAR_DIRTY_LOG clears and protects,
 *                   for the pages the sender is about to read
 *   initially set   besides, a slot starts out all dirty and unprotected, so
 *                   that starting to log does not walk the guest's memory
 *
 * In the manual modes KVMSlot.dirty_bmap remembers which bits user space has
 * seen.  Invariant: CLEAR is given only bits that are set there.  A bit the
 * kernel has set since the last GET would else be cleared unseen.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "dirty-backend.h"
#include "trace.h"

/* KVM_CLEAR_DIRTY_LOG wants ranges of so many pages, or up to the slot's end */
#define CLEAR_PAGES 64
/* and counts them with 32 bits */
#define CLEAR_PAGES_MAX (1ULL << 31)

void dirty_log_slot_alloc(KVMDirtyTracker *t, KVMSlot *slot)
{
    if (!slot->dirty_bmap) {
        /* The kernel copies whole 64-bit words, also for a 32-bit process. */
        slot->dirty_bmap_size =
            ROUND_UP(kvm_dirty_slot_pages(slot), 64) / BITS_PER_BYTE;
        slot->dirty_bmap = g_malloc0(slot->dirty_bmap_size);
    }
}

int dirty_log_get(KVMDirtyTracker *t, KVMSlot *slot, uint32_t flags)
{
    struct kvm_dirty_log log = {
        .slot = kvm_dirty_slot_key(slot->as_id, slot),
        .padding1 = flags,
        .dirty_bitmap = slot->dirty_bmap,
    };
    int64_t start = get_clock();
    int ret = kvm_vm_ioctl(t->s, KVM_GET_DIRTY_LOG, &log);

    dirty_ioctl_done(&t->stats.get_log, start);
    if (ret < 0 && ret != -ENOENT) {
        error_report_once("KVM_GET_DIRTY_LOG of slot %d failed: %s; treating "
                          "all of it as dirty", slot->slot, strerror(-ret));
    }
    return ret;
}

void dirty_log_publish(KVMDirtyTracker *t, KVMSlot *slot)
{
    uint64_t pages = cpu_physical_memory_set_dirty_lebitmap(
        slot->dirty_bmap, slot->ram_start_offset, kvm_dirty_slot_pages(slot));

    stat64_add(&t->stats.published_pages, pages);
}

void dirty_log_fetch(KVMDirtyTracker *t, KVMSlot *slot)
{
    int ret;

    if (kvm_dirty_slot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
        return;
    }

    ret = dirty_log_get(t, slot, 0);
    if (ret == 0) {
        dirty_log_publish(t, slot);
    } else if (ret != -ENOENT) {
        dirty_publish_slot(t, slot);
    }
}

static void fetch_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot)
{
    dirty_log_fetch(t, slot);
}

void dirty_log_fetch_all(KVMDirtyTracker *t)
{
    kvm_dirty_for_each_logged_slot(t, fetch_slot);
}

static void fetch_display_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                               KVMSlot *slot)
{
    const DirtySlot *where =
        dirty_slots_find(&t->slots, kvm_dirty_slot_key(kml->as_id, slot), 0);

    if (where && (where->clients & (1 << DIRTY_MEMORY_VGA))) {
        dirty_log_fetch(t, slot);
    }
}

void dirty_log_fetch_display(KVMDirtyTracker *t)
{
    kvm_dirty_for_each_logged_slot(t, fetch_display_slot);
}

/*
 * Call KVM_CLEAR_DIRTY_LOG for pages @first to @end of @slot, both at multiples
 * of CLEAR_PAGES or at the end of the slot.  Bit 0 of @bitmap is page @first.
 */
static void clear_range(KVMDirtyTracker *t, KVMSlot *slot, uint64_t first,
                        uint64_t end, unsigned long *bitmap)
{
    while (first < end) {
        struct kvm_clear_dirty_log clear = {
            .slot = kvm_dirty_slot_key(slot->as_id, slot),
            .first_page = first,
            .num_pages = MIN(end - first, CLEAR_PAGES_MAX),
            .dirty_bitmap = bitmap,
        };
        int64_t start = get_clock();
        int ret = kvm_vm_ioctl(t->s, KVM_CLEAR_DIRTY_LOG, &clear);

        dirty_ioctl_done(&t->stats.clear_log, start);
        if (ret < 0 && ret != -ENOENT) {
            /* The kernel keeps its bits: such pages are sent once more. */
            error_report_once("KVM_CLEAR_DIRTY_LOG of slot %d, pages %" PRIu64
                              " to %" PRIu64 ", failed: %s", slot->slot, first,
                              first + clear.num_pages, strerror(-ret));
        } else {
            trace_kvm_clear_dirty_log(clear.slot, clear.first_page,
                                      clear.num_pages);
        }
        bitmap += BIT_WORD(clear.num_pages);
        first += clear.num_pages;
    }
}

/* Clear and protect the known dirty pages of @slot, @first to before @end */
static void clear_pages(KVMDirtyTracker *t, KVMSlot *slot, uint64_t first,
                        uint64_t end)
{
    uint64_t from = QEMU_ALIGN_DOWN(first, CLEAR_PAGES);
    uint64_t to = MIN(ROUND_UP(end, CLEAR_PAGES), kvm_dirty_slot_pages(slot));
    unsigned long *seen = slot->dirty_bmap + BIT_WORD(from);

    if (from == first && to == end) {
        clear_range(t, slot, from, to, seen);
    } else {
        /* Pages of the first and last word that were not asked for stay. */
        g_autofree unsigned long *some = bitmap_new(ROUND_UP(to - from, 64));

        bitmap_copy(some, seen, to - from);
        bitmap_clear(some, 0, first - from);
        bitmap_clear(some, end - from, to - end);
        clear_range(t, slot, from, to, some);
    }
    bitmap_clear(slot->dirty_bmap, first, end - first);
}

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

        if (from < to && slot->dirty_bmap && kvm_dirty_slot_is_logged(slot)) {
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

    kvm_dirty_lock();
    for_each_slot_part(kvm_state->dirty_tracker, kml, section, fetch_pages);
    kvm_dirty_unlock();
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
    kvm_dirty_lock();
    for_each_slot_part(kvm_state->dirty_tracker, kml, section, clear_pages);
    kvm_dirty_unlock();
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
    t->log.manual = manual;

    reason = g_strdup_printf("%s (%s)", t->reason, log_mode(manual));
    g_free(t->reason);
    t->reason = reason;
    return 0;
}

static void log_setup_listener(KVMDirtyTracker *t, MemoryListener *listener)
{
    listener->log_sync = log_sync;
    if (t->log.manual) {
        listener->log_clear = log_clear;
    }
}

const KVMDirtyBackendOps kvm_dirty_backend_log = {
    .id = KVM_DIRTY_BACKEND_LOG,
    .enable = log_enable,
    .setup_listener = log_setup_listener,
    .slot_logged = dirty_log_slot_alloc,
    .slot_drain = dirty_log_fetch,
};
