/*
 * The thread that harvests dirty rings before they are full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_RING_REAPER_H
#define ACCEL_KVM_DIRTY_RING_REAPER_H

#include "qemu/event_notifier.h"
#include "qemu/stats64.h"
#include "qemu/thread.h"

/* Why and when the thread has a turn.  Times in ns of get_clock(). */
typedef struct DirtyReaperTurn {
    int64_t planned;            /* it woke up for this time; 0: for a reason */
    bool logging_started;       /* since the last turn */
    bool vm_started;            /* likewise */
} DirtyReaperTurn;

/*
 * A turn of the thread.  Called without locks.  It must not wait for a lock
 * under which dirty_reaper_call() may be called.
 *
 * Sets @next to when it wants the next turn, at the latest.  Returns false if
 * it did nothing: @turn is then still to come.
 */
typedef bool DirtyReaperLook(void *opaque, const DirtyReaperTurn *turn,
                             int64_t *next);

typedef struct DirtyReaper {
    QemuThread thread;
    EventNotifier event;        /* wakes the thread, if @asleep */
    QemuMutex lock;             /* leaf lock; protects what follows */
    QemuCond called;            /* for the caller: call is NULL again */
    bool asleep;
    bool woken;                 /* @event is set */
    bool logging;
    bool running;
    bool kernel_signals;        /* @event, too: then it is time to look */
    int64_t next;               /* when to look, ns of get_clock() */
    DirtyReaperTurn turn;       /* the next one */
    int (*call)(void *opaque);
    void *call_opaque;
    int call_ret;
    /* Statistics */
    Stat64 wakeups;             /* from any sleep */
    Stat64 calls;
    /* CPU time in ns; of the thread alone */
    int64_t own;                /* spent on turns, */
    int64_t accounted;          /* up to where the total was this */
    bool served;                /* some of it since then was for a call */
    /* Constant once started */
    DirtyReaperLook *look;
    void *opaque;
} DirtyReaper;

/**
 * dirty_reaper_start: start the thread, asleep
 * @look: called while logging and running, first at once and then at the times
 *        it asks for
 */
void dirty_reaper_start(DirtyReaper *reaper, DirtyReaperLook *look,
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
 * dirty_reaper_look_by: look at @when, unless the thread will do so earlier
 */
void dirty_reaper_look_by(DirtyReaper *reaper, int64_t when);

/**
 * dirty_reaper_expect_signals: the kernel sets @event, too, from now on
 */
void dirty_reaper_expect_signals(DirtyReaper *reaper);

/**
 * dirty_reaper_set_logging: pages are (not) logged from now on
 * dirty_reaper_set_running: vCPUs (do not) run from now on
 *
 * Unless both are true there is nothing to come, and the thread sleeps without
 * a timer.
 */
void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging);
void dirty_reaper_set_running(DirtyReaper *reaper, bool running);

/**
 * dirty_reaper_is_active: whether the thread looks at the rings
 */
bool dirty_reaper_is_active(DirtyReaper *reaper);

/**
 * dirty_reaper_cpu: CPU time of the thread so far, in ns
 *
 * From any thread.
 */
int64_t dirty_reaper_cpu(DirtyReaper *reaper);

/**
 * dirty_reaper_own_cpu: what of that was spent on turns, not on calls
 * @all: dirty_reaper_cpu()
 *
 * From the thread itself, in a turn.
 */
int64_t dirty_reaper_own_cpu(DirtyReaper *reaper, int64_t *all);

#endif
