/*
 * The thread that harvests dirty rings before they are full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A full ring stops its vCPU, so somebody has to look at the rings while the
 * guest runs.  The thread does so without the BQL, at times that are planned
 * from turn to turn (pace.c), and only while the guest runs and its
 * memory is logged: at other times it waits for an event and costs nothing,
 * however long the guest lives.
 *
 * Syncs and full rings do not wait for the thread's turn: whoever needs the
 * dirty pages harvests in its own context, and only has the thread make the
 * reset ioctl for it.
 *
 * The thread sleeps in ppoll(): to the microsecond, as a fast guest fills a
 * small ring in less than one of the milliseconds that condition variables
 * offer; and so that a kernel that signals how full rings are is waited for in
 * the same place: it is given the event that others wake the thread with.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "reaper.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/trace.h"

static bool reaper_is_active(const DirtyReaper *reaper)
{
    return reaper->logging && reaper->running;
}

/* Called with the lock held, after what the thread waits for has changed. */
static void reaper_wake(DirtyReaper *reaper)
{
    if (reaper->asleep && !reaper->woken) {
        reaper->woken = true;
        event_notifier_set(&reaper->event);
    }
}

/* Called with the lock held, dropped meanwhile; @timeout in ns, -1: for ever */
static void reaper_poll(DirtyReaper *reaper, int64_t timeout)
{
    GPollFD fd = {
        .fd = event_notifier_get_fd(&reaper->event),
        .events = G_IO_IN,
    };

    reaper->asleep = true;
    qemu_mutex_unlock(&reaper->lock);
    qemu_poll_ns(&fd, 1, timeout);
    qemu_mutex_lock(&reaper->lock);
    reaper->asleep = false;
    if ((fd.revents & G_IO_IN) || reaper->woken) {
        event_notifier_test_and_clear(&reaper->event);
        if (reaper->kernel_signals) {
            reaper->next = 0;
        }
        reaper->woken = false;
    }
    stat64_add(&reaper->wakeups, 1);
}

/*
 * Sleep until it is time for a turn or something happens.
 * Called with the lock held, dropped meanwhile.
 */
static void reaper_sleep(DirtyReaper *reaper)
{
    int64_t next = reaper->next;
    int64_t left;

    if (!reaper_is_active(reaper)) {
        trace_kvm_dirty_ring_reaper("wait");
        reaper_poll(reaper, -1);
        return;
    }
    left = next - get_clock();
    if (left > 0) {
        reaper_poll(reaper, left);
        if (next == reaper->next) {
            reaper->turn.planned = next;
        }
    }
}

/* Called with the lock held; the caller of dirty_reaper_call() waits. */
static void reaper_serve(DirtyReaper *reaper)
{
    qemu_mutex_unlock(&reaper->lock);
    reaper->call_ret = reaper->call(reaper->call_opaque);
    qemu_mutex_lock(&reaper->lock);
    reaper->call = NULL;
    qemu_cond_signal(&reaper->called);
    stat64_add(&reaper->calls, 1);
    reaper->served = true;
    /* Its turn, if it is over due now, has an excuse. */
    reaper->turn.planned = 0;
}

/* Called with the lock held, dropped meanwhile. */
static void reaper_look(DirtyReaper *reaper)
{
    DirtyReaperTurn turn = reaper->turn;
    int64_t next;
    bool done;

    reaper->turn = (DirtyReaperTurn) {};
    reaper->next = INT64_MAX;
    qemu_mutex_unlock(&reaper->lock);
    if (reaper->served) {
        reaper->served = false;
        reaper->accounted = dirty_reaper_cpu(reaper);
    }
    done = reaper->look(reaper->opaque, &turn, &next);
    qemu_mutex_lock(&reaper->lock);
    if (!done) {
        reaper->turn.logging_started |= turn.logging_started;
        reaper->turn.vm_started |= turn.vm_started;
    }
    /* Who asked meanwhile is not to be forgotten. */
    reaper->next = MIN(reaper->next, next);
}

static void *dirty_reaper_thread(void *opaque)
{
    DirtyReaper *reaper = opaque;

    rcu_register_thread();
    /* Its holder may be waiting for us to make a call. */
    dirty_lock_never_wait();
    trace_kvm_dirty_ring_reaper("init");

    qemu_mutex_lock(&reaper->lock);
    while (true) {
        if (!reaper->call) {
            reaper_sleep(reaper);
        }
        if (reaper->call) {
            reaper_serve(reaper);
        }
        /* Serving others must not put off the thread's own turn. */
        if (reaper_is_active(reaper) && get_clock() >= reaper->next) {
            reaper_look(reaper);
        }
    }
    return NULL;
}

void dirty_reaper_start(DirtyReaper *reaper, DirtyReaperLook *look,
                        void *opaque)
{
    int ret = event_notifier_init(&reaper->event, 0);

    if (ret < 0) {
        error_report("cannot create an event for the reaper of dirty rings: "
                     "%s", strerror(-ret));
        exit(1);
    }
    qemu_mutex_init(&reaper->lock);
    qemu_cond_init(&reaper->called);
    reaper->look = look;
    reaper->opaque = opaque;
    qemu_thread_create(&reaper->thread, "kvm-reaper", dirty_reaper_thread,
                       reaper, QEMU_THREAD_DETACHED);
}

int dirty_reaper_call(DirtyReaper *reaper, int (*fn)(void *opaque),
                      void *opaque)
{
    if (qemu_thread_is_self(&reaper->thread)) {
        return fn(opaque);
    }

    QEMU_LOCK_GUARD(&reaper->lock);
    assert(!reaper->call);
    reaper->call = fn;
    reaper->call_opaque = opaque;
    reaper_wake(reaper);
    while (reaper->call) {
        qemu_cond_wait(&reaper->called, &reaper->lock);
    }
    return reaper->call_ret;
}

void dirty_reaper_look_by(DirtyReaper *reaper, int64_t when)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    if (when < reaper->next) {
        reaper->next = when;
        reaper_wake(reaper);
    }
}

void dirty_reaper_expect_signals(DirtyReaper *reaper)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    reaper->kernel_signals = true;
}

/*
 * Called with the lock held, after a change.  A thread that has nothing to do
 * any more finds out when its timer ends, or never wakes up.
 */
static void reaper_restart(DirtyReaper *reaper)
{
    reaper->turn.planned = 0;
    if (reaper_is_active(reaper)) {
        reaper->next = 0;
        reaper_wake(reaper);
    }
}

void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    reaper->turn.logging_started |= logging && !reaper->logging;
    reaper->logging = logging;
    reaper_restart(reaper);
}

void dirty_reaper_set_running(DirtyReaper *reaper, bool running)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    reaper->turn.vm_started |= running && !reaper->running;
    reaper->running = running;
    reaper_restart(reaper);
}

bool dirty_reaper_is_active(DirtyReaper *reaper)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    return reaper_is_active(reaper);
}

int64_t dirty_reaper_cpu(DirtyReaper *reaper)
{
    struct timespec ts = {};
    clockid_t clock;

    if (pthread_getcpuclockid(reaper->thread.thread, &clock) ||
        clock_gettime(clock, &ts) < 0) {
        return 0;
    }
    return ts.tv_sec * NANOSECONDS_PER_SECOND + ts.tv_nsec;
}

int64_t dirty_reaper_own_cpu(DirtyReaper *reaper, int64_t *all)
{
    *all = dirty_reaper_cpu(reaper);
    reaper->own += *all - reaper->accounted;
    reaper->accounted = *all;
    return reaper->own;
}
