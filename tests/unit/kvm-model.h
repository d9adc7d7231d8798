/*
 * A model of KVM's ioctls, as far as they are about dirty pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Written from the KVM API documentation and, for what patches/linux adds, from
 * its chapters 8.42 to 8.46; not from the code it is used to test.  The guest
 * below it, its page tables, rings and bitmaps are ring-model.h.
 *
 * Memory is made of ordinary slots in two address spaces.  There is no ROM.
 * The watermark of rings is accepted, but nothing is signalled.
 *
 * All functions may be called from any thread, except as noted.
 */

#ifndef TESTS_UNIT_KVM_MODEL_H
#define TESTS_UNIT_KVM_MODEL_H

#include <linux/kvm-dirty-tracking.h>
#include "ring-model.h"

#define KVM_MODEL_PAGE 4096

typedef struct KvmModel KvmModel;

/* What KVM_CHECK_EXTENSION says; 0: no such thing */
typedef struct KvmModelOffer {
    int ring;               /* bytes of a ring, at most; both are usual */
    int ring_acq_rel;
    int ring_with_bitmap;
    int manual_protect;     /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE... */
    int ring_reset;
    int ring_overflow;
    int ring_watermark;
    int wp_all;             /* KVM_WRITE_PROTECT_ALL_MEM_ENABLE... */
    int without_wp;         /* KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT */
    int memslots;
} KvmModelOffer;

/* All of it, as patches/linux have it on x86 */
extern const KvmModelOffer kvm_model_everything;

typedef struct KvmModelConfig {
    KvmModelOffer offer;
    /*
     * With @vcpus that can be created, and without rings, which there will be
     * if they are enabled.  @fault and @interleave are called in the middle of
     * all ioctls.
     */
    RingModelConfig guest;
    /* The user's address of page 0 of RAM; nothing need be there. */
    uint64_t userspace_addr;

    /*
     * Optional: called before an ioctl, with the guest's @opaque; it fails with
     * a result < 0.
     */
    int (*enter)(void *opaque, unsigned long request, const void *arg);
} KvmModelConfig;

KvmModel *kvm_model_new(const KvmModelConfig *config);
void kvm_model_free(KvmModel *model);

/*
 * KVM_CREATE_VCPU of vCPU number @vcpu, which can be created once.
 * Returns: its descriptor, which stays the model's; -1 without rings
 */
int kvm_model_create_vcpu(KvmModel *model, unsigned vcpu);

/* An ioctl of the VM.  Returns what the kernel does: -errno on failure. */
int kvm_model_ioctl(KvmModel *model, unsigned long request, void *arg);

/*
 * Of the calls of @request that are to come, let the next @skip pass and then
 * @times fail with -@err.  Replaces what was said before.
 */
void kvm_model_refuse(KvmModel *model, unsigned long request, unsigned skip,
                      unsigned times, int err);

/* How often @request was called, with refusals */
unsigned kvm_model_calls(KvmModel *model, unsigned long request);

/* The guest: for vCPUs' stores, and for checks */
RingModel *kvm_model_guest(KvmModel *model);

/* KVM_WRITE_PROTECT_ALL_MEM_LOG_START is in force. */
bool kvm_model_starts_unprotected(KvmModel *model);

/* Flags of slot @key as KVM has them, or -ENOENT */
int kvm_model_flags(KvmModel *model, uint32_t key);

#endif
