/*
 * KVM dirty page tracking: the dirty log, one bitmap per memslot
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "log.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/publish.h"
#include "accel/kvm/dirty/trace.h"

/* KVM_CLEAR_DIRTY_LOG wants ranges of so many pages, or up to the slot's end */
#define CLEAR_PAGES 64
/* and counts them with 32 bits */
#define CLEAR_PAGES_MAX (1ULL << 31)

void dirty_log_slot_alloc(KVMDirtyTracker *t, KVMSlot *slot)
{
    if (!slot->dirty_bmap) {
        /* The kernel copies whole 64-bit words, also for a 32-bit process. */
        slot->dirty_bmap_size =
            ROUND_UP(dirty_memslot_pages(slot), 64) / BITS_PER_BYTE;
        slot->dirty_bmap = g_malloc0(slot->dirty_bmap_size);
    }
}

int dirty_log_get(KVMDirtyTracker *t, KVMSlot *slot, uint32_t flags)
{
    struct kvm_dirty_log log = {
        .slot = dirty_memslot_key(slot),
        .padding1 = flags,
        .dirty_bitmap = slot->dirty_bmap,
    };
    int64_t start = get_clock();
    int ret = kvm_vm_ioctl(t->s, KVM_GET_DIRTY_LOG, &log);

    dirty_counters_ioctl(&t->counters.get_log, start);
    if (ret < 0 && ret != -ENOENT) {
        error_report_once("KVM_GET_DIRTY_LOG of slot %d failed: %s; treating "
                          "all of it as dirty", slot->slot, strerror(-ret));
    }
    return ret;
}

void dirty_log_fetch(KVMDirtyTracker *t, KVMSlot *slot)
{
    int ret;

    if (dirty_memslot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
        return;
    }

    ret = dirty_log_get(t, slot, 0);
    if (ret == 0) {
        dirty_publish_bitmap(t, slot);
    } else if (ret != -ENOENT) {
        t->log_missed = true;
        dirty_publish_slot(t, slot);
    }
}

static void fetch_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot)
{
    dirty_log_fetch(t, slot);
}

bool dirty_log_fetch_all(KVMDirtyTracker *t)
{
    t->log_missed = false;
    dirty_memslots_for_each_logged(t, fetch_slot);
    return !t->log_missed;
}

static void fetch_display_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                               KVMSlot *slot)
{
    const DirtySlot *where =
        dirty_slots_find(&t->slots, dirty_memslot_key(slot), 0);

    if (where && (where->clients & (1 << DIRTY_MEMORY_VGA))) {
        dirty_log_fetch(t, slot);
    }
}

void dirty_log_fetch_display(KVMDirtyTracker *t)
{
    dirty_memslots_for_each_logged(t, fetch_display_slot);
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
            .slot = dirty_memslot_key(slot),
            .first_page = first,
            .num_pages = MIN(end - first, CLEAR_PAGES_MAX),
            .dirty_bitmap = bitmap,
        };
        int64_t start = get_clock();
        int ret = kvm_vm_ioctl(t->s, KVM_CLEAR_DIRTY_LOG, &clear);

        dirty_counters_ioctl(&t->counters.clear_log, start);
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

void dirty_log_clear(KVMDirtyTracker *t, KVMSlot *slot, uint64_t first,
                     uint64_t end)
{
    uint64_t from = QEMU_ALIGN_DOWN(first, CLEAR_PAGES);
    uint64_t to = MIN(ROUND_UP(end, CLEAR_PAGES), dirty_memslot_pages(slot));
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
