/*
 * Harvested pages as numbers
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_KEY_H
#define ACCEL_KVM_DIRTY_KEY_H

/*
 * A page of a memslot as one number: by slot, then by place in it.
 */
typedef uint64_t DirtyKey;

#define DIRTY_KEY_OFFSET_BITS 44
#define DIRTY_KEY_SLOT_BITS (64 - DIRTY_KEY_OFFSET_BITS)

/* For what does not fit, as no page of any kernel: a slot that never is. */
#define DIRTY_KEY_STRAY (~(DirtyKey)0)

/**
 * dirty_key: the key of a page
 * @slot: address space << 16 | slot id, as in struct kvm_dirty_gfn
 * @offset: pages from the start of the slot
 */
static inline DirtyKey dirty_key(uint32_t slot, uint64_t offset)
{
    if (slot >> DIRTY_KEY_SLOT_BITS || offset >> DIRTY_KEY_OFFSET_BITS) {
        return DIRTY_KEY_STRAY;
    }
    return (DirtyKey)slot << DIRTY_KEY_OFFSET_BITS | offset;
}

static inline uint32_t dirty_key_slot(DirtyKey key)
{
    return key >> DIRTY_KEY_OFFSET_BITS;
}

static inline uint64_t dirty_key_offset(DirtyKey key)
{
    return key & (((DirtyKey)1 << DIRTY_KEY_OFFSET_BITS) - 1);
}

#endif
