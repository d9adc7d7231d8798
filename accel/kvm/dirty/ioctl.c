/*
 * KVM dirty page tracking: ioctls that never wait
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "ioctl.h"

int dirty_ioctl_vm(KVMState *s, unsigned long request, void *arg)
{
    int ret = ioctl(s->vmfd, request, arg);

    return ret < 0 ? -errno : ret;
}
