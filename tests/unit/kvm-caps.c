/*
 * KVM's capabilities, for the model of its ioctls
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "kvm-model-int.h"

/* Entries that KVM keeps free in a ring, but for those of hardware's buffers */
#define RESERVED 64

const KvmModelOffer kvm_model_everything = {
    .ring = 65536 * sizeof(struct kvm_dirty_gfn),
    .ring_acq_rel = 65536 * sizeof(struct kvm_dirty_gfn),
    .manual_protect = MANUAL_FLAGS,
    .ring_reset = KVM_RESET_DIRTY_RING_ONE_VCPU |
                  KVM_RESET_DIRTY_RING_NO_PROTECT,
    .ring_overflow = 1,
    .ring_watermark = 1,
    .wp_all = KVM_WRITE_PROTECT_ALL_MEM_ENABLE |
              KVM_WRITE_PROTECT_ALL_MEM_LOG_START,
    .without_wp = 1,
    .memslots = RING_MODEL_SLOT_MAX,
};

static bool any_slot_logged(KvmModel *model)
{
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (int id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            const MemSlot *slot = &model->slots[as][id];

            if (slot->npages && (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
                return true;
            }
        }
    }
    return false;
}

int model_check_extension(KvmModel *model, long cap)
{
    const KvmModelOffer *offer = &model->config.offer;

    switch (cap) {
    case KVM_CAP_DIRTY_LOG_RING:
        return offer->ring;
    case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
        return offer->ring_acq_rel;
    case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
        return offer->ring_with_bitmap;
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
        return offer->manual_protect;
    case KVM_CAP_DIRTY_LOG_RING_RESET:
        return offer->ring_reset;
    case KVM_CAP_DIRTY_LOG_RING_OVERFLOW:
        return offer->ring_overflow;
    case KVM_CAP_DIRTY_LOG_RING_WATERMARK:
        return offer->ring_watermark;
    case KVM_CAP_X86_WRITE_PROTECT_ALL_MEM:
        return offer->wp_all;
    case KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT:
        return offer->without_wp;
    case KVM_CAP_NR_MEMSLOTS:
        return offer->memslots;
    default:
        return 0;
    }
}

static int enable_ring(KvmModel *model, uint64_t bytes)
{
    uint32_t reserved = RESERVED + model->config.guest.pml_size;
    uint64_t entries = bytes / sizeof(struct kvm_dirty_gfn);

    if (!bytes || (bytes & (bytes - 1)) || bytes < KVM_MODEL_PAGE ||
        entries <= reserved || model->ring_bytes || model->any_vcpu) {
        return -EINVAL;
    }
    if (bytes > MAX(model->config.offer.ring,
                    model->config.offer.ring_acq_rel)) {
        return -E2BIG;
    }
    model->ring_bytes = bytes;
    ring_model_use_rings(model->guest, entries, reserved);
    return 0;
}

static int enable_overflow(KvmModel *model, uint64_t flags)
{
    if (!model->ring_bytes || (flags & ~KVM_DIRTY_RING_OVERFLOW_STOP) ||
        (!model->overflow && (model->any_vcpu || any_slot_logged(model)))) {
        return -EINVAL;
    }
    model->overflow = true;
    ring_model_set_overflow(model->guest, flags & KVM_DIRTY_RING_OVERFLOW_STOP);
    return 0;
}

static int enable_watermark(KvmModel *model, uint64_t entries)
{
    if (!model->ring_bytes || model->any_vcpu || model->watermark || !entries ||
        entries > model->ring_bytes / sizeof(struct kvm_dirty_gfn)) {
        return -EINVAL;
    }
    model->watermark = true;
    return 0;
}

static int enable_wp_all(KvmModel *model, uint64_t flags)
{
    if (!(flags & KVM_WRITE_PROTECT_ALL_MEM_ENABLE) ||
        (flags & ~(uint64_t)model->config.offer.wp_all)) {
        return -EINVAL;
    }
    model->wp_all = flags;
    return 0;
}

static int enable_manual_protect(KvmModel *model, uint64_t flags)
{
    if ((flags & ~(uint64_t)model->config.offer.manual_protect) ||
        flags == KVM_DIRTY_LOG_INITIALLY_SET) {
        return -EINVAL;
    }
    model->manual = flags;
    return 0;
}

int model_enable_cap(KvmModel *model, const struct kvm_enable_cap *cap)
{
    if (cap->flags || model_check_extension(model, cap->cap) <= 0) {
        return -EINVAL;
    }
    switch (cap->cap) {
    case KVM_CAP_DIRTY_LOG_RING:
    case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
        return enable_ring(model, cap->args[0]);
    case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
        if (!model->ring_bytes || any_slot_logged(model)) {
            return -EINVAL;
        }
        model->with_bitmap = true;
        ring_model_use_bitmaps(model->guest);
        return 0;
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
        return enable_manual_protect(model, cap->args[0]);
    case KVM_CAP_DIRTY_LOG_RING_OVERFLOW:
        return enable_overflow(model, cap->args[0]);
    case KVM_CAP_DIRTY_LOG_RING_WATERMARK:
        return enable_watermark(model, cap->args[1]);
    case KVM_CAP_X86_WRITE_PROTECT_ALL_MEM:
        return enable_wp_all(model, cap->args[0]);
    case KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT:
        model->take = model->wp_all;
        return model->take ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}
