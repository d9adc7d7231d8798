/*
 * KVM dirty page tracking: what may interrupt a reset in a vCPU's thread
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include <sys/utsname.h>
#include "block/aio.h"
#include "qemu/main-loop.h"
#include "signals.h"

/*
 * A vCPU that does I/O does it in the main loop's context.  Who has submitted
 * to its ring has set it up before, or has seen it set up; once there it stays.
 */
bool dirty_signals_only(void)
{
#ifdef CONFIG_LINUX_IO_URING
    return !qatomic_read(&qemu_get_aio_context()->linux_io_uring);
#else
    return true;
#endif
}

int dirty_signals_blocked_call(int (*fn)(void *opaque), void *opaque)
{
    sigset_t all, old;
    int ret;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ret = fn(opaque);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ret;
}

bool dirty_signals_stop_resets(void)
{
    struct utsname name;
    int major, minor;

    if (uname(&name) < 0 ||
        sscanf(name.release, "%d.%d", &major, &minor) != 2) {
        return true;
    }
    return major > 6 || (major == 6 && minor >= 17);
}

long dirty_signals_sleeps(void)
{
    struct rusage usage = {};

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}
