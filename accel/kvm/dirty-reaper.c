/*
 * The thread that harvests dirty rings before they are full
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A full ring stops its vCPU, so somebody has to look at the rings while the
 * guest runs.  The thread does so without the BQL, at a fixed period, and only
 * while the guest runs and its memory is logged: at other times it waits for a
 * condition and costs nothing, however long the guest lives.
 *
 * Syncs and full rings do not wait for the thread's turn: whoever needs the
 * dirty pages harvests in its own context, and only has the thread make the
 * reset ioctl for it.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "dirty-reaper.h"
#include "trace.h"

#define DIRTY_REAPER_PERIOD_MS 10

static bool reaper_is_active(const DirtyReaper *reaper)
{
    return reaper->logging && reaper->running;
}

/*
 * Sleep until @next (in ms of get_clock()) or something happens.
 * Called with the lock held, and again on return.
 */
static void reaper_sleep(DirtyReaper *reaper, int64_t next)
{
    if (reaper_is_active(reaper)) {
        int64_t left = next - get_clock() / SCALE_MS;

        if (left <= 0) {
            return;
        }
        qemu_cond_timedwait(&reaper->cond, &reaper->lock, left);
    } else {
        trace_kvm_dirty_ring_reaper("wait");
        qemu_cond_wait(&reaper->cond, &reaper->lock);
    }
    stat64_add(&reaper->wakeups, 1);
}

/* Called with the lock held; the caller of dirty_reaper_call() waits. */
static void reaper_serve(DirtyReaper *reaper)
{
    qemu_mutex_unlock(&reaper->lock);
    reaper->call_ret = reaper->call(reaper->call_opaque);
    qemu_mutex_lock(&reaper->lock);
    reaper->call = NULL;
    qemu_cond_signal(&reaper->called);
}

/* Called with the lock held, dropped meanwhile. */
static void reaper_reap(DirtyReaper *reaper)
{
    qemu_mutex_unlock(&reaper->lock);
    if (reaper->reap(reaper->opaque)) {
        stat64_add(&reaper->harvests, 1);
    }
    qemu_mutex_lock(&reaper->lock);
}

static void *dirty_reaper_thread(void *opaque)
{
    DirtyReaper *reaper = opaque;
    int64_t next = 0;

    rcu_register_thread();
    trace_kvm_dirty_ring_reaper("init");

    qemu_mutex_lock(&reaper->lock);
    while (true) {
        if (!reaper->call) {
            reaper_sleep(reaper, next);
        }
        if (reaper->call) {
            reaper_serve(reaper);
        }
        /* Serving others must not put off the thread's own turn. */
        if (reaper_is_active(reaper) && get_clock() / SCALE_MS >= next) {
            reaper_reap(reaper);
            next = get_clock() / SCALE_MS + DIRTY_REAPER_PERIOD_MS;
        }
    }
    return NULL;
}

void dirty_reaper_start(DirtyReaper *reaper, bool (*reap)(void *opaque),
                        void *opaque)
{
    qemu_mutex_init(&reaper->lock);
    qemu_cond_init(&reaper->cond);
    qemu_cond_init(&reaper->called);
    reaper->reap = reap;
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
    qemu_cond_signal(&reaper->cond);
    while (reaper->call) {
        qemu_cond_wait(&reaper->called, &reaper->lock);
    }
    return reaper->call_ret;
}

void dirty_reaper_set_logging(DirtyReaper *reaper, bool logging)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    reaper->logging = logging;
    qemu_cond_signal(&reaper->cond);
}

void dirty_reaper_set_running(DirtyReaper *reaper, bool running)
{
    QEMU_LOCK_GUARD(&reaper->lock);
    reaper->running = running;
    qemu_cond_signal(&reaper->cond);
}
