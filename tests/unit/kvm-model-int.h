/*
 * What the files of the model of KVM's ioctls share
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_KVM_MODEL_INT_H
#define TESTS_UNIT_KVM_MODEL_INT_H

#include <pthread.h>
#include "kvm-model.h"

#define MANUAL_FLAGS (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | \
                      KVM_DIRTY_LOG_INITIALLY_SET)

/* As many different requests as tests count and refuse */
#define REQUESTS 12

typedef struct MemSlot {
    uint64_t npages;        /* 0: no such slot */
    uint64_t gpa;
    uint64_t user;
    uint32_t flags;
} MemSlot;

typedef struct RequestLog {
    unsigned long request;  /* 0: unused */
    unsigned calls;
    unsigned skip, times;   /* let so many pass, then refuse so many */
    int err;
} RequestLog;

struct KvmModel {
    KvmModelConfig config;
    RingModel *guest;
    pthread_mutex_t lock;   /* protects what follows */
    MemSlot slots[RING_MODEL_AS_MAX][RING_MODEL_SLOT_MAX];
    bool created[64];       /* [vcpu] */
    bool any_vcpu;
    uint64_t ring_bytes;    /* 0: no rings */
    bool with_bitmap;
    bool overflow;
    bool watermark;
    uint64_t manual;        /* MANUAL_FLAGS in force */
    uint64_t wp_all;        /* KVM_WRITE_PROTECT_ALL_MEM_* in force */
    bool take;              /* GET_DIRTY_LOG has flags */
    RequestLog requests[REQUESTS];
};

/* KVM_CHECK_EXTENSION and KVM_ENABLE_CAP; called with the lock held */
int model_check_extension(KvmModel *model, long cap);
int model_enable_cap(KvmModel *model, const struct kvm_enable_cap *cap);

#endif
