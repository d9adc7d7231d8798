/*
 * KVM dirty page tracking: pages on their way from KVM to QEMU's dirty memory
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To publish a page is to set its bit in ram_list.dirty_memory, where
 * migration, dirty-rate and the display look for it.  This is the tracker's
 * only place that does so.
 *
 * Invariant 1 of docs/protocol.md: whoever publishes a page has protected it
 * again before; or the sender has it protected before it reads it (manual
 * protect, log/log.h); or all of the slot counts as dirty.  The sender may take
 * the bit and read the page at once; if the page were still writable, a later
 * write to it would be recorded nowhere.
 *
 * All functions are called with the tracker lock held, which keeps slots and
 * the RAM behind them in place.
 */

#ifndef ACCEL_KVM_DIRTY_PUBLISH_H
#define ACCEL_KVM_DIRTY_PUBLISH_H

#include "accel/kvm/dirty/key.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/state.h"

/**
 * dirty_publish_pages: publish harvested pages, for who logs their slots
 * @opaque: the KVMDirtyTracker
 *
 * The signature is that of DirtyRingOps.publish.  Cost: O(1) a page.
 */
void dirty_publish_pages(void *opaque, const DirtyKey *keys, size_t n);

/**
 * dirty_publish_slot: publish all pages of a slot
 */
void dirty_publish_slot(KVMDirtyTracker *t, const KVMSlot *slot);

/**
 * dirty_publish_bitmap: publish what is set in KVMSlot.dirty_bmap
 *
 * Cost: O(words of the bitmap).
 */
void dirty_publish_bitmap(KVMDirtyTracker *t, const KVMSlot *slot);

/**
 * dirty_publish_untold: publish all of a slot if nobody can say what was
 * written there
 *
 * A DirtyMemslotFn.
 */
static inline void dirty_publish_untold(KVMDirtyTracker *t,
                                        KVMMemoryListener *kml, KVMSlot *slot)
{
    if (dirty_memslot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
    }
}

#endif
