/*
 * The thread that harvests dirty rings before they are full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_REAPER_H
#define ACCEL_KVM_DIRTY_REAPER_H

#include "qemu/stats64.h"
#include "qemu/thread.h"

typedef struct DirtyReaper {
    QemuThread thread;
    QemuMutex lock;             /* leaf lock; protects what follows */
    QemuCond cond;
    bool logging;
    /* Statistics */
    Stat64 wakeups;             /* from any sleep */
    Stat64 harvests;            /* that found something to do */
    /* Constant once started */
    bool (*reap)(void *opaque);
    void *opaque;
} DirtyReaper;

/**
 * dirty_reaper_start: start the thread, asleep
 * @reap: called every DIRTY_REAPER_PERIOD_MS while logging, with no lock
 *        held; returns whether there was anything to harvest
 */
void dirty_reaper_start(DirtyReaper *reaper, bool (*reap)(void *opaque),
                        void *opaque);

/**
 * dirty_reaper_set_logging: pages are (not) logged from now on
 *
 * While they are not, the thread sleeps without a timer.
 */
void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging);

#endif
