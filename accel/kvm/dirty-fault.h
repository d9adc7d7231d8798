/*
 * Faults on purpose, for tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test that has never failed proves little.  Builds for tests define
 * CONFIG_KVM_DIRTY_FAULTS and then have two more properties of -accel kvm:
 *
 *   x-dirty-fault-drop=N      lose N dirty bits in the last sync of migration
 *   x-dirty-fault-no-ring=on  behave as if KVM offered no dirty ring
 *
 * In other builds they do not exist and the checks compile to nothing.
 */

#ifndef ACCEL_KVM_DIRTY_FAULT_H
#define ACCEL_KVM_DIRTY_FAULT_H

#ifdef CONFIG_KVM_DIRTY_FAULTS

void dirty_fault_class_init(ObjectClass *oc);

/**
 * dirty_fault_last_stage: the next publications are (not) those of the last
 * sync
 */
void dirty_fault_last_stage(bool last_stage);

/**
 * dirty_fault_drop_page: whether to lose the page at hand
 * @drop: how many there are still to lose
 *
 * Called with the tracker lock held.
 */
bool dirty_fault_drop_page(uint32_t *drop);

#else

static inline void dirty_fault_class_init(ObjectClass *oc)
{
}

static inline void dirty_fault_last_stage(bool last_stage)
{
}

static inline bool dirty_fault_drop_page(uint32_t *drop)
{
    return false;
}

#endif
#endif
