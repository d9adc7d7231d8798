/*
 * A model of the kernel's end of the KVM dirty ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "ring-model-int.h"

/* Entries taken off a ring that are to be protected together */
#define BATCH_PAGES 64

typedef struct ModelBatch {
    ModelEntry entries[BATCH_PAGES];
    unsigned used;
} ModelBatch;

void model_interleave(RingModel *model)
{
    if (model->config.interleave) {
        model->config.interleave(model->config.opaque);
    }
}

ModelSlot *model_slot_at(RingModel *model, uint32_t key)
{
    uint32_t as = key >> 16, id = key & 0xffff;

    if (as >= RING_MODEL_AS_MAX || id >= RING_MODEL_SLOT_MAX) {
        return NULL;
    }
    return &model->slots[as][id];
}

void model_vcpus_hold(RingModel *model)
{
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        pthread_mutex_lock(&model->vcpus[i].guest_lock);
    }
}

void model_vcpus_release(RingModel *model)
{
    for (unsigned i = model->config.vcpus; i-- > 0;) {
        pthread_mutex_unlock(&model->vcpus[i].guest_lock);
    }
}

RingModel *ring_model_new(const RingModelConfig *config)
{
    RingModel *model = g_new0(RingModel, 1);

    if (config->ring_size) {
        g_assert_cmpuint(config->reserved, <, config->ring_size);
        g_assert_cmpuint(config->pml_size, <=, config->reserved);
    }

    model->config = *config;
    model->ram = g_new0(uint64_t, config->pages);
    model->vcpus = g_new0(ModelVcpu, config->vcpus);
    pthread_mutex_init(&model->ioctl_lock, NULL);
    for (unsigned i = 0; i < config->vcpus; i++) {
        ModelVcpu *vcpu = &model->vcpus[i];

        pthread_mutex_init(&vcpu->guest_lock, NULL);
        vcpu->fd = -1;
        vcpu->gfns = g_new0(struct kvm_dirty_gfn, config->ring_size);
        vcpu->pml = g_new0(ModelEntry, config->pml_size);
        vcpu->dirty_index = config->first_index;
        vcpu->reset_index = config->first_index;
    }
    return model;
}

void ring_model_free(RingModel *model)
{
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        ModelVcpu *vcpu = &model->vcpus[i];

        pthread_mutex_destroy(&vcpu->guest_lock);
        if (vcpu->fd >= 0) {
            munmap(vcpu->gfns, model->config.ring_size * sizeof(*vcpu->gfns));
            close(vcpu->fd);
        } else {
            g_free(vcpu->gfns);
        }
        g_free(vcpu->pml);
    }
    for (unsigned as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (unsigned id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            g_free(model->slots[as][id].writable);
            g_free(model->slots[as][id].dirty);
            g_free(model->slots[as][id].cached);
        }
    }
    pthread_mutex_destroy(&model->ioctl_lock);
    g_free(model->vcpus);
    g_free(model->ram);
    g_free(model);
}

void ring_model_use_rings(RingModel *model, uint32_t size, uint32_t reserved)
{
    size_t bytes = size * sizeof(struct kvm_dirty_gfn);

    g_assert_cmpuint(model->config.ring_size, ==, 0);
    model->config.ring_size = size;
    model->config.reserved = reserved;
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        ModelVcpu *vcpu = &model->vcpus[i];

        vcpu->fd = memfd_create("ring-model", MFD_CLOEXEC);
        g_assert_cmpint(vcpu->fd, >=, 0);
        g_assert_cmpint(ftruncate(vcpu->fd, RING_MODEL_MAP_OFFSET + bytes), ==,
                        0);
        g_free(vcpu->gfns);
        vcpu->gfns = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                          vcpu->fd, RING_MODEL_MAP_OFFSET);
        g_assert_true(vcpu->gfns != MAP_FAILED);
    }
}

int ring_model_fd(RingModel *model, unsigned vcpu)
{
    return model->vcpus[vcpu].fd;
}

struct kvm_dirty_gfn *ring_model_map(RingModel *model, unsigned vcpu)
{
    return model->vcpus[vcpu].gfns;
}

void ring_model_add_slot(RingModel *model, uint32_t key, uint64_t base,
                         uint64_t npages, bool logged, bool all)
{
    ModelSlot *slot = model_slot_at(model, key);

    g_assert_nonnull(slot);
    g_assert_cmpuint(base + npages, <=, model->config.pages);

    pthread_mutex_lock(&model->ioctl_lock);
    model_vcpus_hold(model);
    g_free(slot->writable);
    g_free(slot->cached);
    slot->base = base;
    slot->npages = npages;
    slot->writable = g_new0(uint8_t, npages);
    slot->cached = g_new0(uint8_t, npages * model->config.vcpus);
    model_slot_log(model, slot, logged, all);
    model_vcpus_release(model);
    pthread_mutex_unlock(&model->ioctl_lock);
}

void ring_model_set_slot(RingModel *model, uint32_t key, uint64_t base,
                         uint64_t npages)
{
    ring_model_add_slot(model, key, base, npages, true, false);
}

static uint32_t ring_used(const ModelVcpu *vcpu)
{
    /* Acquire: who says that an entry is free is done with it. */
    return vcpu->dirty_index - __atomic_load_n(&vcpu->reset_index,
                                               __ATOMIC_ACQUIRE);
}

static void push(RingModel *model, ModelVcpu *vcpu, uint32_t key,
                 uint64_t offset)
{
    uint32_t index = vcpu->dirty_index & (model->config.ring_size - 1);
    struct kvm_dirty_gfn *gfn = &vcpu->gfns[index];

    g_assert_cmpuint(ring_used(vcpu), <, model->config.ring_size);
    g_assert_cmpuint(__atomic_load_n(&gfn->flags, __ATOMIC_RELAXED), ==, 0);

    gfn->slot = key;
    gfn->offset = offset;
    __atomic_store_n(&gfn->flags, KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
    vcpu->dirty_index++;
    vcpu->pushed++;
}

/* A page has become writable: to the ring, to the bitmap, or to nowhere */
static void record(RingModel *model, ModelVcpu *vcpu, uint32_t key,
                   uint64_t offset)
{
    ModelSlot *slot = model_slot_at(model, key);
    uint32_t size = model->config.ring_size;

    if (offset >= slot->npages || !slot->logged) {
        return;
    }
    if (!size || (model->overflow && ring_used(vcpu) == size)) {
        __atomic_store_n(&slot->dirty[offset], 1, __ATOMIC_RELEASE);
        if (size) {
            __atomic_fetch_add(&vcpu->overflowed, 1, __ATOMIC_RELAXED);
        }
    } else {
        push(model, vcpu, key, offset);
    }
}

static void pml_flush(RingModel *model, ModelVcpu *vcpu)
{
    for (uint32_t i = 0; i < vcpu->pml_used; i++) {
        record(model, vcpu, vcpu->pml[i].key, vcpu->pml[i].offset);
    }
    vcpu->pml_used = 0;
}

static void log_write(RingModel *model, ModelVcpu *vcpu, uint32_t key,
                      uint64_t offset)
{
    if (!model->config.pml_size) {
        record(model, vcpu, key, offset);
        return;
    }
    vcpu->pml[vcpu->pml_used++] = (ModelEntry) { key, offset };
    if (vcpu->pml_used == model->config.pml_size) {
        pml_flush(model, vcpu);
    }
}

static bool ring_soft_full(RingModel *model, ModelVcpu *vcpu)
{
    if (!model->config.ring_size || (model->overflow && !model->stop)) {
        return false;
    }
    return ring_used(vcpu) >=
        model->config.ring_size - model->config.reserved;
}

RingModelExit ring_model_store(RingModel *model, unsigned index, uint32_t key,
                               uint64_t offset, uint64_t value)
{
    ModelVcpu *vcpu = &model->vcpus[index];
    RingModelExit ret = RING_MODEL_DONE;
    ModelSlot *slot;
    uint8_t *cached;

    pthread_mutex_lock(&vcpu->guest_lock);
    slot = model_slot_at(model, key);
    if (!slot || offset >= slot->npages) {
        ret = RING_MODEL_MMIO;
    } else if (ring_soft_full(model, vcpu)) {
        ret = RING_MODEL_RING_FULL;
    }
    if (ret != RING_MODEL_DONE) {
        pml_flush(model, vcpu);
        goto out;
    }

    cached = &slot->cached[index * slot->npages + offset];
    if (!*cached) {
        /* Only who makes the page writable logs it. */
        if (!__atomic_exchange_n(&slot->writable[offset], 1,
                                 __ATOMIC_ACQ_REL)) {
            log_write(model, vcpu, key, offset);
        }
        *cached = 1;
    }
    __atomic_store_n(&model->ram[slot->base + offset], value,
                     __ATOMIC_RELAXED);
out:
    pthread_mutex_unlock(&vcpu->guest_lock);
    return ret;
}

bool ring_model_push(RingModel *model, unsigned index, uint32_t key,
                     uint64_t offset)
{
    ModelVcpu *vcpu = &model->vcpus[index];
    bool room;

    pthread_mutex_lock(&vcpu->guest_lock);
    pml_flush(model, vcpu);
    room = ring_used(vcpu) < model->config.ring_size;
    if (room) {
        push(model, vcpu, key, offset);
    }
    pthread_mutex_unlock(&vcpu->guest_lock);
    return room;
}

void ring_model_exit(RingModel *model, unsigned index)
{
    ModelVcpu *vcpu = &model->vcpus[index];

    pthread_mutex_lock(&vcpu->guest_lock);
    pml_flush(model, vcpu);
    pthread_mutex_unlock(&vcpu->guest_lock);
}

void model_flush_cached(RingModel *model)
{
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        pthread_mutex_lock(&model->vcpus[i].guest_lock);
        for (unsigned as = 0; as < RING_MODEL_AS_MAX; as++) {
            for (unsigned id = 0; id < RING_MODEL_SLOT_MAX; id++) {
                ModelSlot *slot = &model->slots[as][id];

                if (slot->npages) {
                    memset(&slot->cached[i * slot->npages], 0, slot->npages);
                }
            }
        }
        pthread_mutex_unlock(&model->vcpus[i].guest_lock);
    }
}

static void batch_protect(RingModel *model, ModelBatch *batch)
{
    for (unsigned i = 0; i < batch->used; i++) {
        ModelSlot *slot = model_slot_at(model, batch->entries[i].key);
        uint64_t offset = batch->entries[i].offset;

        if (slot && offset < slot->npages) {
            __atomic_store_n(&slot->writable[offset], 0, __ATOMIC_RELEASE);
            model_interleave(model);
        }
    }
    batch->used = 0;
}

/* Neighbours of one slot are protected together, as the kernel does. */
static bool batch_takes(const ModelBatch *batch, uint32_t key, uint64_t offset)
{
    const ModelEntry *first = &batch->entries[0];
    uint64_t distance = offset > first->offset ? offset - first->offset
                                               : first->offset - offset;

    return batch->used == 0 ||
        (batch->used < BATCH_PAGES && first->key == key &&
         distance < BATCH_PAGES);
}

int ring_model_reset(RingModel *model)
{
    RingModelFault fault = { .limit = UINT32_MAX };
    ModelBatch batch = { .used = 0 };
    bool interrupted = false;
    uint32_t count = 0;

    if (model->config.fault) {
        model->config.fault(model->config.opaque, &fault);
    }

    pthread_mutex_lock(&model->ioctl_lock);
    for (unsigned i = 0; i < model->config.vcpus && !interrupted; i++) {
        ModelVcpu *vcpu = &model->vcpus[i];

        while (true) {
            uint32_t index = vcpu->reset_index;
            struct kvm_dirty_gfn *gfn;
            ModelEntry entry;

            interrupted = count >= fault.limit;
            if (interrupted) {
                break;
            }

            gfn = &vcpu->gfns[index & (model->config.ring_size - 1)];
            if (!(__atomic_load_n(&gfn->flags, __ATOMIC_ACQUIRE) &
                  KVM_DIRTY_GFN_F_RESET)) {
                break;
            }
            entry.key = gfn->slot;
            entry.offset = gfn->offset;
            __atomic_store_n(&gfn->flags, 0, __ATOMIC_RELEASE);
            __atomic_store_n(&vcpu->reset_index, index + 1, __ATOMIC_RELEASE);
            count++;
            model_interleave(model);

            if (!batch_takes(&batch, entry.key, entry.offset)) {
                batch_protect(model, &batch);
            }
            batch.entries[batch.used++] = entry;
        }

        if (!(interrupted && fault.forget)) {
            batch_protect(model, &batch);
        }
    }
    if (count) {
        model_flush_cached(model);
        model_interleave(model);
    }
    pthread_mutex_unlock(&model->ioctl_lock);

    return fault.result ? fault.result : count;
}

void ring_model_protect_all(RingModel *model)
{
    pthread_mutex_lock(&model->ioctl_lock);
    for (unsigned as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (unsigned id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            ModelSlot *slot = &model->slots[as][id];

            for (uint64_t page = 0; page < slot->npages; page++) {
                __atomic_store_n(&slot->writable[page], 0, __ATOMIC_RELEASE);
            }
            model_interleave(model);
        }
    }
    model_flush_cached(model);
    pthread_mutex_unlock(&model->ioctl_lock);
}

uint64_t ring_model_load(RingModel *model, uint64_t page)
{
    return __atomic_load_n(&model->ram[page], __ATOMIC_RELAXED);
}

bool ring_model_is_writable(RingModel *model, uint32_t key, uint64_t offset)
{
    ModelSlot *slot = model_slot_at(model, key);

    if (!slot || offset >= slot->npages) {
        return false;
    }
    if (slot->writable[offset]) {
        return true;
    }
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        if (slot->cached[i * slot->npages + offset]) {
            return true;
        }
    }
    return false;
}

void ring_model_foreach_pending(RingModel *model, RingModelPendingFn *fn,
                                void *opaque)
{
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        ModelVcpu *vcpu = &model->vcpus[i];

        for (uint32_t at = vcpu->reset_index; at != vcpu->dirty_index; at++) {
            struct kvm_dirty_gfn *gfn;

            gfn = &vcpu->gfns[at & (model->config.ring_size - 1)];
            if (gfn->flags == KVM_DIRTY_GFN_F_DIRTY) {
                fn(opaque, gfn->slot, gfn->offset);
            }
        }
        for (uint32_t at = 0; at < vcpu->pml_used; at++) {
            fn(opaque, vcpu->pml[at].key, vcpu->pml[at].offset);
        }
    }
    for (uint32_t as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (uint32_t id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            ModelSlot *slot = &model->slots[as][id];

            for (uint64_t at = 0; slot->dirty && at < slot->npages; at++) {
                if (slot->dirty[at]) {
                    fn(opaque, RING_MODEL_KEY(as, id), at);
                }
            }
        }
    }
}

uint64_t ring_model_pushed(RingModel *model)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < model->config.vcpus; i++) {
        pthread_mutex_lock(&model->vcpus[i].guest_lock);
        sum += model->vcpus[i].pushed;
        pthread_mutex_unlock(&model->vcpus[i].guest_lock);
    }
    return sum;
}
