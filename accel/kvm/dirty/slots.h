/*
 * From KVM's memslots to QEMU's RAM pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_SLOTS_H
#define ACCEL_KVM_DIRTY_SLOTS_H

/* Where the pages of a memslot are in QEMU's RAM; all zero if there is none. */
typedef struct DirtySlot {
    uint64_t ram_addr;          /* ram_addr_t of the first page */
    uint64_t npages;            /* size in host pages */
    uint8_t clients;            /* 1 << DIRTY_MEMORY_*: who wants to know */
} DirtySlot;

/* Address spaces KVM can tell apart (x86: memory and SMM). */
#define DIRTY_SLOTS_AS_MAX 2

/*
 * A table an address space, indexed by slot id: looking an entry up touches
 * one cache line.  Protected by the tracker lock.
 */
typedef struct DirtySlots {
    struct {
        DirtySlot *slots;
        uint32_t allocated;
    } as[DIRTY_SLOTS_AS_MAX];
} DirtySlots;

/**
 * dirty_slots_set: enter, change or (with @npages 0) remove a slot
 * @key: address space << 16 | slot id, as in struct kvm_dirty_gfn
 */
void dirty_slots_set(DirtySlots *map, uint32_t key, const DirtySlot *slot);

/**
 * dirty_slots_find: the slot that holds page @offset of slot @key
 *
 * Returns: NULL if the kernel named a slot, or a page, that does not exist.
 * The result is valid until the next dirty_slots_set().
 */
const DirtySlot *dirty_slots_find(const DirtySlots *map, uint32_t key,
                                  uint64_t offset);

void dirty_slots_destroy(DirtySlots *map);

#endif
