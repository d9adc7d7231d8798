/*
 * The kernel's end of dirty bitmaps, for the model of rings and guest
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A vCPU that faults makes the page writable first and sets its bit then.  A
 * bit is taken before its page is protected, and TLBs are flushed last.  So a
 * bit may be set whose page is protected no more, or not yet; never the other
 * way round.
 */

#include "qemu/osdep.h"
#include "ring-model-int.h"

static void slot_protect(RingModel *model, ModelSlot *slot)
{
    for (uint64_t page = 0; page < slot->npages; page++) {
        __atomic_store_n(&slot->writable[page], 0, __ATOMIC_RELEASE);
    }
    model_interleave(model);
    model_flush_cached(model);
}

void model_slot_log(RingModel *model, ModelSlot *slot, bool logged, bool all)
{
    slot->logged = logged;
    g_free(slot->dirty);
    slot->dirty = NULL;
    if (logged && (!model->config.ring_size || model->bitmaps)) {
        slot->dirty = g_new0(uint8_t, slot->npages);
        memset(slot->dirty, all, slot->npages);
    }
}

void ring_model_set_logged(RingModel *model, uint32_t key, bool logged,
                           bool all, bool protect)
{
    ModelSlot *slot = model_slot_at(model, key);

    pthread_mutex_lock(&model->ioctl_lock);
    model_vcpus_hold(model);
    model_slot_log(model, slot, logged, all);
    model_vcpus_release(model);
    model_interleave(model);
    if (protect) {
        slot_protect(model, slot);
        model_interleave(model);
    }
    pthread_mutex_unlock(&model->ioctl_lock);
}

void ring_model_use_bitmaps(RingModel *model)
{
    model->bitmaps = true;
}

void ring_model_store_outside(RingModel *model, uint32_t key, uint64_t offset,
                              uint64_t value)
{
    ModelSlot *slot = model_slot_at(model, key);

    pthread_mutex_lock(&model->ioctl_lock);
    g_assert_cmpuint(offset, <, slot->npages);
    __atomic_store_n(&model->ram[slot->base + offset], value,
                     __ATOMIC_RELAXED);
    if (slot->dirty) {
        __atomic_store_n(&slot->dirty[offset], 1, __ATOMIC_RELEASE);
        model->outside += model->overflow;
    }
    pthread_mutex_unlock(&model->ioctl_lock);
}

void ring_model_set_overflow(RingModel *model, bool stop)
{
    pthread_mutex_lock(&model->ioctl_lock);
    model_vcpus_hold(model);
    model->bitmaps = true;
    model->overflow = true;
    model->stop = stop;
    model_vcpus_release(model);
    pthread_mutex_unlock(&model->ioctl_lock);
}

uint64_t ring_model_overflowed(RingModel *model)
{
    uint64_t sum;

    pthread_mutex_lock(&model->ioctl_lock);
    sum = model->outside;
    pthread_mutex_unlock(&model->ioctl_lock);
    for (unsigned i = 0; i < model->config.vcpus; i++) {
        sum += __atomic_load_n(&model->vcpus[i].overflowed, __ATOMIC_RELAXED);
    }
    return sum;
}

bool ring_model_get_log(RingModel *model, uint32_t key, uint64_t *bitmap,
                        bool clear, bool protect)
{
    ModelSlot *slot = model_slot_at(model, key);
    bool found;

    pthread_mutex_lock(&model->ioctl_lock);
    found = slot->dirty;
    if (found) {
        memset(bitmap, 0, DIV_ROUND_UP(slot->npages, 64) * sizeof(*bitmap));
    }
    for (uint64_t page = 0; found && page < slot->npages; page++) {
        if (!__atomic_load_n(&slot->dirty[page], __ATOMIC_ACQUIRE)) {
            continue;
        }
        bitmap[page / 64] |= 1ULL << page % 64;
        if (clear) {
            __atomic_store_n(&slot->dirty[page], 0, __ATOMIC_RELEASE);
            model_interleave(model);
        }
        if (protect) {
            __atomic_store_n(&slot->writable[page], 0, __ATOMIC_RELEASE);
            model_interleave(model);
        }
    }
    if (found && protect) {
        model_flush_cached(model);
    }
    model_interleave(model);
    pthread_mutex_unlock(&model->ioctl_lock);
    return found;
}

bool ring_model_clear_log(RingModel *model, uint32_t key, uint64_t first,
                          uint64_t npages, const uint64_t *bitmap)
{
    ModelSlot *slot = model_slot_at(model, key);
    bool found;

    pthread_mutex_lock(&model->ioctl_lock);
    found = slot->dirty;
    for (uint64_t i = 0; found && i < npages; i++) {
        if (!(bitmap[i / 64] >> i % 64 & 1) ||
            !__atomic_exchange_n(&slot->dirty[first + i], 0,
                                 __ATOMIC_ACQ_REL)) {
            continue;
        }
        model_interleave(model);
        __atomic_store_n(&slot->writable[first + i], 0, __ATOMIC_RELEASE);
        model_interleave(model);
    }
    if (found) {
        model_flush_cached(model);
    }
    model_interleave(model);
    pthread_mutex_unlock(&model->ioctl_lock);
    return found;
}
