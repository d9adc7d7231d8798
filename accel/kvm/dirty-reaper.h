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
    QemuCond cond;              /* for the thread: logging, or a call */
    QemuCond called;            /* for the caller: call is NULL again */
    bool logging;
    bool running;
    int (*call)(void *opaque);
    void *call_opaque;
    int call_ret;
    /* Statistics */
    Stat64 wakeups;             /* from any sleep */
    Stat64 harvests;            /* that found something to do */
    /* Constant once started */
    bool (*reap)(void *opaque);
    void *opaque;
} DirtyReaper;

/**
 * dirty_reaper_start: start the thread, asleep
 * @reap: called every DIRTY_REAPER_PERIOD_MS while logging and running, with
 *        no lock held; returns whether there was anything to harvest.  It must
 *        not wait for a lock under which dirty_reaper_call() may be called.
 */
void dirty_reaper_start(DirtyReaper *reaper, bool (*reap)(void *opaque),
                        void *opaque);

/**
 * dirty_reaper_call: have the thread call @fn(@opaque), and wait for it
 *
 * For system calls that must not be interrupted: the thread has all signals
 * blocked.  From the thread itself it is a plain call.  One caller at a time.
 *
 * Returns: what @fn returns.
 */
int dirty_reaper_call(DirtyReaper *reaper, int (*fn)(void *opaque),
                      void *opaque);

/**
 * dirty_reaper_set_logging: pages are (not) logged from now on
 * dirty_reaper_set_running: vCPUs (do not) run from now on
 *
 * Unless both are true there is nothing to come, and the thread sleeps without
 * a timer.
 */
void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging);
void dirty_reaper_set_running(DirtyReaper *reaper, bool running);

#endif
