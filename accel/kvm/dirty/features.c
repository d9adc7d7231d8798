/*
 * KVM dirty page tracking: what the kernel series adds
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm-dirty-tracking.h>
#include "features.h"
#include "accel/kvm/dirty/ioctl.h"

void dirty_features_probe(KVMState *s, DirtyFeatures *features)
{
    bool wp = kvm_vm_check_extension(s, KVM_CAP_X86_WRITE_PROTECT_ALL_MEM) > 0;
    bool take = kvm_vm_check_extension(
        s, KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT) > 0;
    bool reset = kvm_vm_check_extension(s, KVM_CAP_DIRTY_LOG_RING_RESET) > 0;

    *features = (DirtyFeatures) {
        .overflow = reset && kvm_vm_check_extension(
            s, KVM_CAP_DIRTY_LOG_RING_OVERFLOW) > 0,
        .watermark = kvm_vm_check_extension(
            s, KVM_CAP_DIRTY_LOG_RING_WATERMARK) > 0,
        .wp_all = wp && take,
    };
}

bool dirty_features_are_tried(void)
{
#ifdef TARGET_I386
    return __builtin_cpu_is("amd");
#else
    return false;
#endif
}

static int enable_wp_all(KVMState *s, uint64_t flags)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_WRITE_PROTECT_ALL_MEM,
        .args = { KVM_WRITE_PROTECT_ALL_MEM_ENABLE | flags },
    };

    return dirty_ioctl_vm(s, KVM_ENABLE_CAP, &cap);
}

int dirty_features_enable_wp_all(KVMState *s)
{
    struct kvm_enable_cap take = {
        .cap = KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT,
    };
    int ret = enable_wp_all(s, 0);

    return ret < 0 ? ret : dirty_ioctl_vm(s, KVM_ENABLE_CAP, &take);
}

int dirty_features_log_start(KVMState *s, bool protect)
{
    return enable_wp_all(s, protect ? 0 : KVM_WRITE_PROTECT_ALL_MEM_LOG_START);
}

int dirty_features_protect_all(KVMState *s)
{
    struct kvm_write_protect_all_mem all = {};

    return dirty_ioctl_vm(s, KVM_WRITE_PROTECT_ALL_MEM, &all);
}

int dirty_features_enable_overflow(KVMState *s, bool stop)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DIRTY_LOG_RING_OVERFLOW,
        .args = { stop ? KVM_DIRTY_RING_OVERFLOW_STOP : 0 },
    };

    return dirty_ioctl_vm(s, KVM_ENABLE_CAP, &cap);
}

int dirty_features_enable_watermark(KVMState *s, int eventfd, uint32_t entries)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DIRTY_LOG_RING_WATERMARK,
        .args = { eventfd, entries },
    };

    return dirty_ioctl_vm(s, KVM_ENABLE_CAP, &cap);
}

int dirty_features_reset(KVMState *s, uint64_t *overflowed)
{
    struct kvm_reset_dirty_ring reset = {};
    int ret = dirty_ioctl_vm(s, KVM_RESET_DIRTY_RING, &reset);

    if (ret < 0) {
        return ret;
    }
    *overflowed = reset.overflowed;
    return MIN(reset.count, INT_MAX);
}
