/*
 * Faults on purpose, for tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A test that has never failed proves little.  Builds for tests define
 * CONFIG_KVM_DIRTY_FAULTS and then have more properties of -accel kvm:
 *
 *   x-dirty-fault-drop=N          choose N pages that are dirty after
 *                                 migration's first sync and never tell of
 *                                 them again
 *   x-dirty-fault-no-ring=on      behave as if KVM offered no dirty ring
 *   x-dirty-fault-no-features=on  ... or nothing of patches/linux
 *   x-dirty-fault-no-reaper=on    the reaper looks at nothing by itself
 *   x-dirty-fault-late=on         read pages of late slots without logging them
 *
 * In other builds they do not exist and the checks compile to nothing.
 */

#ifndef ACCEL_KVM_DIRTY_FAULT_H
#define ACCEL_KVM_DIRTY_FAULT_H

typedef struct DirtyFault {
    uint32_t drop;              /* pages still to choose */
    bool no_ring;               /* behave as if KVM had no ring */
    bool no_features;           /* ... or had none of our features */
    bool no_reaper;             /* its turns are idle */
    bool late;                  /* late slots stay so */
    unsigned syncs;             /* since logging started; tracker lock */
    GHashTable *lost;           /* the chosen pages; tracker lock */
} DirtyFault;

#ifdef CONFIG_KVM_DIRTY_FAULTS

/**
 * dirty_fault_log_start: migration starts to log
 * dirty_fault_sync: a sync of migration begins
 *
 * Called with the tracker lock held.
 */
void dirty_fault_log_start(DirtyFault *fault);
void dirty_fault_sync(DirtyFault *fault);

/**
 * dirty_fault_is_armed: whether dirty_fault_drop_page() may say yes
 */
bool dirty_fault_is_armed(const DirtyFault *fault);

/**
 * dirty_fault_drop_page: whether to lose the dirty bit at hand
 * @page: any number that stands for the page
 *
 * Called with the tracker lock held.
 */
bool dirty_fault_drop_page(DirtyFault *fault, uint64_t page);

/**
 * dirty_fault_stays_late: whether not to log a slot that is about to be read
 */
bool dirty_fault_stays_late(const DirtyFault *fault);

/**
 * dirty_fault_reaper_is_idle: whether the reaper is not to do its work
 */
bool dirty_fault_reaper_is_idle(const DirtyFault *fault);

#else

static inline void dirty_fault_log_start(DirtyFault *fault)
{
}

static inline void dirty_fault_sync(DirtyFault *fault)
{
}

static inline bool dirty_fault_is_armed(const DirtyFault *fault)
{
    return false;
}

static inline bool dirty_fault_drop_page(DirtyFault *fault, uint64_t page)
{
    return false;
}

static inline bool dirty_fault_stays_late(const DirtyFault *fault)
{
    return false;
}

static inline bool dirty_fault_reaper_is_idle(const DirtyFault *fault)
{
    return false;
}

#endif
#endif
