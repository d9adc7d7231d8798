/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * KVM's user space interface of patches/linux
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * For kernels that have the series.  Others say 0 to KVM_CHECK_EXTENSION; the
 * numbers are far from those that mainline hands out.  What they do is
 * described in the kernel's Documentation/virt/kvm/api.rst, 8.42 to 8.46.
 */

#ifndef LINUX_KVM_DIRTY_TRACKING_H
#define LINUX_KVM_DIRTY_TRACKING_H

#include <linux/kvm.h>

/* 8.42: returns the flags of KVM_RESET_DIRTY_RING that are known */
#define KVM_CAP_DIRTY_LOG_RING_RESET 0x44540001

#define KVM_RESET_DIRTY_RING_ONE_VCPU (1U << 0)
#define KVM_RESET_DIRTY_RING_NO_PROTECT (1U << 1)

struct kvm_reset_dirty_ring {
    __u32 flags;        /* in: KVM_RESET_DIRTY_RING_* */
    __u32 vcpu_id;      /* in: with ONE_VCPU, else 0 */
    __u64 count;        /* out: entries that were reset */
    __u64 overflowed;   /* out: pages that went to the bitmap so far */
    __u64 reserved[5];  /* in: 0 */
};

#define KVM_RESET_DIRTY_RING _IOWR(KVMIO, 0xf0, struct kvm_reset_dirty_ring)

/* 8.43: args[0] is 0 or KVM_DIRTY_RING_OVERFLOW_STOP */
#define KVM_CAP_DIRTY_LOG_RING_OVERFLOW 0x44540002

#define KVM_DIRTY_RING_OVERFLOW_STOP (1U << 0)

/* 8.44: args[0] is an eventfd, args[1] the number of entries */
#define KVM_CAP_DIRTY_LOG_RING_WATERMARK 0x44540003

/* 8.45: args[0] has flags out of those that KVM_CHECK_EXTENSION returns */
#define KVM_CAP_X86_WRITE_PROTECT_ALL_MEM 0x44540004

#define KVM_WRITE_PROTECT_ALL_MEM_ENABLE (1U << 0)
#define KVM_WRITE_PROTECT_ALL_MEM_LOG_START (1U << 1)

#define KVM_WRITE_PROTECT_ALL_MEM_WALKED (1U << 0)

struct kvm_write_protect_all_mem {
    __u32 flags;        /* in: 0 */
    __u32 result;       /* out: KVM_WRITE_PROTECT_ALL_MEM_WALKED */
    __u64 reserved[3];  /* in: 0 */
};

#define KVM_WRITE_PROTECT_ALL_MEM \
    _IOWR(KVMIO, 0xf1, struct kvm_write_protect_all_mem)

/* 8.46: padding1 of struct kvm_dirty_log then has flags */
#define KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT 0x44540005

#define KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT (1U << 0)

#endif
