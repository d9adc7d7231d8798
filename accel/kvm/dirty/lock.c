/*
 * KVM dirty page tracking: the tracker lock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "lock.h"
#include "accel/kvm/dirty/kvm-all.h"

static __thread bool never_waits;

void dirty_lock_acquire(void)
{
    assert(!never_waits);
    qemu_mutex_lock(&kml_slots_lock);
}

bool dirty_lock_try(void)
{
    return qemu_mutex_trylock(&kml_slots_lock) == 0;
}

void dirty_lock_release(void)
{
    qemu_mutex_unlock(&kml_slots_lock);
}

void dirty_lock_never_wait(void)
{
    never_waits = true;
}
