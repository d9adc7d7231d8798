/*
 * KVM dirty page tracking: KVM's memslots, and what is known of them
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "memslots.h"
#include "accel/kvm/dirty/stats/events.h"

void dirty_memslots_for_each_logged(KVMDirtyTracker *t, DirtyMemslotFn *fn)
{
    for (int as = 0; as < t->s->nr_as; as++) {
        KVMMemoryListener *kml = t->s->as[as].ml;

        for (unsigned i = 0; kml && i < kml->nr_slots_allocated; i++) {
            if (dirty_memslot_is_logged(&kml->slots[i])) {
                fn(t, kml, &kml->slots[i]);
            }
        }
    }
}

void dirty_memslots_protection_lost(KVMDirtyTracker *t)
{
    if (!t->protection_lost) {
        /* The monitor reads it without the lock. */
        qatomic_set(&t->protection_lost, true);
        dirty_events_protection_lost(t);
    }
}
