/*
 * Sorting harvested pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_RING_SORT_H
#define ACCEL_KVM_DIRTY_RING_SORT_H

#include "accel/kvm/dirty/key.h"

/* Keys that differ in these low bits only count as equal. */
#define DIRTY_SORT_IGNORED_BITS 6

/**
 * dirty_sort: bring keys into groups of neighbours
 * @spare: room for another @n keys
 *
 * Afterwards the keys are in order, but for the lowest DIRTY_SORT_IGNORED_BITS.
 *
 * Returns: where the result is, @keys or @spare.
 */
DirtyKey *dirty_sort(DirtyKey *keys, DirtyKey *spare, size_t n);

#endif
