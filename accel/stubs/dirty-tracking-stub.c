/*
 * KVM dirty page tracking, in a build without KVM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/memory.h"
#include "system/dirty-tracking.h"

KvmDirtyTrackingInfo *kvm_dirty_tracking_info(void)
{
    return NULL;
}

void kvm_dirty_tracking_totals(KvmDirtyRingTotals *totals,
                               DirtyPageRate *overflows)
{
    *totals = (KvmDirtyRingTotals) {};
}

void kvm_dirty_tracking_presync(void)
{
}

bool kvm_dirty_tracking_start_late(Error **errp)
{
    return memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, errp);
}

void kvm_dirty_tracking_log_all(void)
{
}

uint8_t kvm_dirty_tracking_clear_shift(uint8_t shift)
{
    return shift;
}
