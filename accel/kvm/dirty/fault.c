/*
 * Faults on purpose, for tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "fault.h"

#ifdef CONFIG_KVM_DIRTY_FAULTS

/*
 * Migration's sync number 1 comes before its first pass over memory.  What is
 * found later was written to memory that the sender has got to: it is sent in
 * this pass, and never again.
 */
#define DROP_FROM_SYNC 1

void dirty_fault_log_start(DirtyFault *fault)
{
    fault->syncs = 0;
}

void dirty_fault_sync(DirtyFault *fault)
{
    fault->syncs++;
}

bool dirty_fault_is_armed(const DirtyFault *fault)
{
    return fault->syncs >= DROP_FROM_SYNC && (fault->drop || fault->lost);
}

bool dirty_fault_drop_page(DirtyFault *fault, uint64_t page)
{
    gpointer key = (gpointer)(uintptr_t)page;

    if (!dirty_fault_is_armed(fault)) {
        return false;
    }
    if (fault->lost && g_hash_table_contains(fault->lost, key)) {
        return true;
    }
    if (!fault->drop) {
        return false;
    }
    if (!fault->lost) {
        fault->lost = g_hash_table_new(NULL, NULL);
    }
    g_hash_table_add(fault->lost, key);
    fault->drop--;
    return true;
}

bool dirty_fault_stays_late(const DirtyFault *fault)
{
    return fault->late;
}

bool dirty_fault_reaper_is_idle(const DirtyFault *fault)
{
    return fault->no_reaper;
}

#endif
