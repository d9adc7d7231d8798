/*
 * Refuse a request to log a memslot, to be preloaded into QEMU
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With REFUSE_LOG=N in the environment the Nth request of the process to log a
 * memslot (KVM_SET_USER_MEMORY_REGION with KVM_MEM_LOG_DIRTY_PAGES) fails with
 * ENOMEM, as it does when the kernel finds no memory for it.  All others go to
 * the kernel.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* Slot and flags come first in both kinds of request. */
static int is_log_request(unsigned long request, const void *arg)
{
    const struct kvm_userspace_memory_region *region = arg;

    return (request == KVM_SET_USER_MEMORY_REGION
#ifdef KVM_SET_USER_MEMORY_REGION2
            || request == KVM_SET_USER_MEMORY_REGION2
#endif
           ) && (region->flags & KVM_MEM_LOG_DIRTY_PAGES);
}

static int is_refused(void)
{
    static int seen;
    const char *which = getenv("REFUSE_LOG");

    return which && __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) ==
                    atoi(which);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int fd, unsigned long request, ...);
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);

    if (is_log_request(request, arg) && is_refused()) {
        const struct kvm_userspace_memory_region *region = arg;

        fprintf(stderr, "refuse-log: slot %u at 0x%llx is not logged\n",
                region->slot, (unsigned long long)region->guest_phys_addr);
        errno = ENOMEM;
        return -1;
    }
    if (!next) {
        next = dlsym(RTLD_NEXT, "ioctl");
    }
    return next(fd, request, arg);
}
