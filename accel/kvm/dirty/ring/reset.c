/*
 * KVM dirty page tracking: resetting the rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "reset.h"
#include "set.h"
#include "signals.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/ioctl.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/publish.h"

/*
 * In the thread of who resets, or of the reaper.  The tracker lock is held, by
 * the former.
 */
static int reset_ioctl(void *opaque)
{
    KVMDirtyTracker *t = opaque;
    DirtyOverflow *overflow = &t->rings->overflow;
    int64_t start = get_clock();
    long sleeps = 0;
    int ret;

    if (t->rings->interruptible) {
        sleeps = dirty_signals_sleeps();
    }
    if (t->features.overflow) {
        ret = dirty_features_reset(t->s, &overflow->pages);
        dirty_history_see(&overflow->history, start, overflow->pages);
    } else {
        ret = dirty_ioctl_vm(t->s, KVM_RESET_DIRTY_RINGS, NULL);
    }
    if (t->rings->interruptible && dirty_signals_sleeps() != sleeps) {
        t->rings->stage.doubtful = true;
    }
    dirty_counters_ioctl(&t->counters.reset_rings, start);
    return ret;
}

int dirty_reset_rings(void *opaque)
{
    KVMDirtyTracker *t = opaque;
    bool main_thread = qemu_get_thread_id() == getpid();
    int64_t start = get_clock();
    int ret;

    if (current_cpu && dirty_signals_only()) {
        ret = dirty_signals_blocked_call(reset_ioctl, t);
    } else if (current_cpu || main_thread) {
        ret = dirty_reaper_call(&t->rings->reaper, reset_ioctl, t);
    } else {
        ret = reset_ioctl(t);
    }
    t->rings->reset_time += get_clock() - start;
    return ret;
}

/*
 * Switching the dirty log off and on write-protects the whole slot, whatever
 * state its pages were in.  What was written between the two is logged by
 * nobody, hence all of the slot is dirty.
 */
static void reprotect_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                           KVMSlot *slot)
{
    int flags = slot->flags;
    int ret;

    if (slot->dirty_late || dirty_memslot_is_blind(slot)) {
        /* Not read yet; or dirty in each sync anyway. */
        return;
    }
    slot->flags = flags & ~KVM_MEM_LOG_DIRTY_PAGES;
    ret = kvm_set_user_memory_region(kml, slot, false);
    slot->flags = flags;
    if (kvm_set_user_memory_region(kml, slot, false) < 0 || ret < 0) {
        dirty_memslots_protection_lost(t);
    }
    dirty_publish_slot(t, slot);
}

void dirty_reset_reprotect(void *opaque)
{
    KVMDirtyTracker *t = opaque;

    warn_report_once("KVM_RESET_DIRTY_RINGS did not finish: protecting all "
                     "logged memory again and treating it as dirty");
    stat64_add(&t->counters.reprotections, 1);
    dirty_memslots_for_each_logged(t, reprotect_slot);
}
