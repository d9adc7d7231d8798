/*
 * KVM dirty page tracking: how much memory is protected at a time
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_LATE_PART_H
#define ACCEL_KVM_DIRTY_LATE_PART_H

#include "qemu/host-utils.h"
#include "qemu/units.h"

/* The guest's memory is cut into about so many parts, if that is sensible: */
#define DIRTY_LATE_PARTS 64
/* small ones cost an ioctl each; */
#define DIRTY_LATE_PART_MIN (16 * MiB)
/* large ones take long to protect. */
#define DIRTY_LATE_PART_MAX (1 * GiB)

/* No block of memory takes more slots than this, and a few; */
#define DIRTY_LATE_BLOCK_PARTS 1024
/* nor more than this part of those that are left for blocks. */
#define DIRTY_LATE_BLOCK_SHARE 4

/* No slot is larger: KVM takes 2^31 - 1 pages at most.  A power of 2. */
#define DIRTY_LATE_SLOT_MAX (4 * TiB)

/**
 * dirty_late_part: how much memory to protect at a time
 * @ram: bytes the guest has, or may get by hotplug
 * @slots: memory slots that KVM has for an address space, or less than 1 if
 *         that is not known
 *
 * The result is a power of 2.  Slots of that size take no more than a quarter
 * of those there are: devices want some, too.
 */
static inline uint64_t dirty_late_part(uint64_t ram, int slots)
{
    uint64_t part = pow2ceil(MAX(ram / DIRTY_LATE_PARTS, DIRTY_LATE_PART_MIN));
    uint64_t most = MAX(slots / 4, 1);

    part = MIN(part, DIRTY_LATE_PART_MAX);
    while (DIV_ROUND_UP(ram, part) > most) {
        part *= 2;
    }
    return part;
}

/**
 * dirty_late_block_part: the same, for one block of memory
 * @part: of the guest's memory as a whole
 * @length: bytes of the block
 * @left: how many slots are left for it and other blocks
 *
 * Memory that the machine knows nothing of, such as that of large PCI devices,
 * must not take all slots.  The more there is of it, the fewer each block gets.
 */
static inline uint64_t dirty_late_block_part(uint64_t part, uint64_t length,
                                             int64_t left)
{
    uint64_t most = MAX(left / DIRTY_LATE_BLOCK_SHARE, 1);

    most = MIN(most, DIRTY_LATE_BLOCK_PARTS);
    part = MAX(part, pow2ceil(DIV_ROUND_UP(length, most)));
    return MIN(part, DIRTY_LATE_SLOT_MAX);
}

#endif
