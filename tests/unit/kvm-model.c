/*
 * A model of KVM's ioctls, as far as they are about dirty pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One lock for all ioctls stands for the kernel's slots_lock and kvm->lock.
 * Hooks in the middle of ioctls are called with it held, so they can let vCPUs
 * act but make no ioctls.
 */

#include "qemu/osdep.h"
#include "kvm-model-int.h"

KvmModel *kvm_model_new(const KvmModelConfig *config)
{
    KvmModel *model = g_new0(KvmModel, 1);

    g_assert_cmpuint(config->guest.vcpus, <=, ARRAY_SIZE(model->created));
    model->config = *config;
    model->guest = ring_model_new(&config->guest);
    pthread_mutex_init(&model->lock, NULL);
    return model;
}

void kvm_model_free(KvmModel *model)
{
    ring_model_free(model->guest);
    pthread_mutex_destroy(&model->lock);
    g_free(model);
}

RingModel *kvm_model_guest(KvmModel *model)
{
    return model->guest;
}

int kvm_model_create_vcpu(KvmModel *model, unsigned vcpu)
{
    pthread_mutex_lock(&model->lock);
    g_assert_cmpuint(vcpu, <, model->config.guest.vcpus);
    g_assert_false(model->created[vcpu]);
    model->created[vcpu] = true;
    model->any_vcpu = true;
    pthread_mutex_unlock(&model->lock);
    return ring_model_fd(model->guest, vcpu);
}

static RequestLog *request_log(KvmModel *model, unsigned long request)
{
    for (int i = 0; i < REQUESTS; i++) {
        RequestLog *log = &model->requests[i];

        if (!log->request || log->request == request) {
            log->request = request;
            return log;
        }
    }
    g_assert_not_reached();
}

void kvm_model_refuse(KvmModel *model, unsigned long request, unsigned skip,
                      unsigned times, int err)
{
    RequestLog *log;

    pthread_mutex_lock(&model->lock);
    log = request_log(model, request);
    log->skip = skip;
    log->times = times;
    log->err = err;
    pthread_mutex_unlock(&model->lock);
}

unsigned kvm_model_calls(KvmModel *model, unsigned long request)
{
    unsigned calls;

    pthread_mutex_lock(&model->lock);
    calls = request_log(model, request)->calls;
    pthread_mutex_unlock(&model->lock);
    return calls;
}

/* Count a call.  Returns: 0, or the error it is refused with */
static int request_count(KvmModel *model, unsigned long request)
{
    RequestLog *log = request_log(model, request);

    log->calls++;
    if (!log->times) {
        return 0;
    }
    if (log->skip) {
        log->skip--;
        return 0;
    }
    log->times--;
    return -log->err;
}

/* The slot that @key names, though it may be an empty one, or NULL */
static MemSlot *mem_slot(KvmModel *model, uint32_t key)
{
    uint32_t as = key >> 16, id = key & 0xffff;

    if (as >= RING_MODEL_AS_MAX || id >= RING_MODEL_SLOT_MAX) {
        return NULL;
    }
    return &model->slots[as][id];
}

int kvm_model_flags(KvmModel *model, uint32_t key)
{
    const MemSlot *slot;
    int flags;

    pthread_mutex_lock(&model->lock);
    slot = mem_slot(model, key);
    flags = slot && slot->npages ? slot->flags : -ENOENT;
    pthread_mutex_unlock(&model->lock);
    return flags;
}

bool kvm_model_starts_unprotected(KvmModel *model)
{
    bool ret;

    pthread_mutex_lock(&model->lock);
    ret = model->wp_all & KVM_WRITE_PROTECT_ALL_MEM_LOG_START;
    pthread_mutex_unlock(&model->lock);
    return ret;
}

static bool overlaps(KvmModel *model, uint32_t as, const MemSlot *new)
{
    for (int id = 0; id < RING_MODEL_SLOT_MAX; id++) {
        const MemSlot *slot = &model->slots[as][id];

        if (slot->npages && slot != new &&
            slot->gpa < new->gpa + new->npages * KVM_MODEL_PAGE &&
            new->gpa < slot->gpa + slot->npages * KVM_MODEL_PAGE) {
            return true;
        }
    }
    return false;
}

static int create_slot(KvmModel *model, uint32_t key, MemSlot *slot,
                       const MemSlot *want)
{
    bool logged = want->flags & KVM_MEM_LOG_DIRTY_PAGES;
    uint64_t base = (want->user - model->config.userspace_addr) /
                    KVM_MODEL_PAGE;

    if (want->user < model->config.userspace_addr ||
        base + want->npages > model->config.guest.pages) {
        return -EINVAL;
    }
    *slot = *want;
    if (overlaps(model, key >> 16, slot)) {
        *slot = (MemSlot) {};
        return -EEXIST;
    }
    ring_model_add_slot(model->guest, key, base, want->npages, logged,
                        model->manual & KVM_DIRTY_LOG_INITIALLY_SET);
    return 0;
}

/*
 * A slot that begins to be logged is protected, unless all bits are set to
 * begin with, or all memory is to be protected next.
 */
static int change_slot(KvmModel *model, uint32_t key, MemSlot *slot,
                       const MemSlot *want)
{
    bool logged = want->flags & KVM_MEM_LOG_DIRTY_PAGES;
    bool all = model->manual & KVM_DIRTY_LOG_INITIALLY_SET;
    bool later = model->wp_all & KVM_WRITE_PROTECT_ALL_MEM_LOG_START;

    if (want->npages != slot->npages || want->user != slot->user ||
        want->gpa != slot->gpa) {
        return -EINVAL;
    }
    if (want->flags != slot->flags) {
        slot->flags = want->flags;
        ring_model_set_logged(model->guest, key, logged, all,
                              logged && !all && !later);
    }
    return 0;
}

static int set_region(KvmModel *model,
                      const struct kvm_userspace_memory_region *region)
{
    MemSlot *slot = mem_slot(model, region->slot);
    MemSlot want = {
        .npages = region->memory_size / KVM_MODEL_PAGE,
        .gpa = region->guest_phys_addr,
        .user = region->userspace_addr,
        .flags = region->flags,
    };

    if (!slot || (region->flags & ~KVM_MEM_LOG_DIRTY_PAGES) ||
        region->memory_size % KVM_MODEL_PAGE ||
        region->guest_phys_addr % KVM_MODEL_PAGE ||
        region->userspace_addr % KVM_MODEL_PAGE) {
        return -EINVAL;
    }
    if (!want.npages) {
        if (!slot->npages) {
            return -EINVAL;
        }
        *slot = want;
        ring_model_add_slot(model->guest, region->slot, 0, 0, false, false);
        return 0;
    }
    return slot->npages ? change_slot(model, region->slot, slot, &want)
                        : create_slot(model, region->slot, slot, &want);
}

/* With rings there are bitmaps for some purposes only. */
static bool has_bitmaps(const KvmModel *model)
{
    return !model->ring_bytes || model->with_bitmap || model->overflow;
}

static int get_dirty_log(KvmModel *model, const struct kvm_dirty_log *log)
{
    uint32_t flags = model->take ? log->padding1 : 0;
    bool take = flags & KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT;
    bool clear = take || !model->manual;

    if (!has_bitmaps(model)) {
        return -ENXIO;
    }
    if (!mem_slot(model, log->slot) ||
        (flags & ~KVM_DIRTY_LOG_WITHOUT_WRITE_PROTECT)) {
        return -EINVAL;
    }
    /* vCPUs are kicked, for what hardware has noted. */
    for (unsigned i = 0; i < model->config.guest.vcpus; i++) {
        ring_model_exit(model->guest, i);
    }
    return ring_model_get_log(model->guest, log->slot, log->dirty_bitmap,
                              clear, clear && !take) ? 0 : -ENOENT;
}

static int clear_dirty_log(KvmModel *model,
                           const struct kvm_clear_dirty_log *clear)
{
    const MemSlot *slot = mem_slot(model, clear->slot);
    uint64_t end = clear->first_page + clear->num_pages;

    if (!has_bitmaps(model)) {
        return -ENXIO;
    }
    if (!slot || clear->first_page % 64) {
        return -EINVAL;
    }
    if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return -ENOENT;
    }
    if (end > slot->npages || (clear->num_pages % 64 && end < slot->npages)) {
        return -EINVAL;
    }
    return ring_model_clear_log(model->guest, clear->slot, clear->first_page,
                                clear->num_pages, clear->dirty_bitmap)
        ? 0 : -ENOENT;
}

/* All rings at once, with protection: no flags. */
static int reset_ring(KvmModel *model, struct kvm_reset_dirty_ring *reset)
{
    int ret;

    if (!model->ring_bytes || !model->config.offer.ring_reset ||
        reset->flags || reset->vcpu_id) {
        return -EINVAL;
    }
    ret = ring_model_reset(model->guest);
    if (ret < 0) {
        return ret;
    }
    reset->count = ret;
    reset->overflowed = ring_model_overflowed(model->guest);
    return 0;
}

static int protect_all(KvmModel *model, struct kvm_write_protect_all_mem *all)
{
    if (!model->wp_all || all->flags) {
        return -EINVAL;
    }
    ring_model_protect_all(model->guest);
    return 0;
}

static int dispatch(KvmModel *model, unsigned long request, void *arg)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return model_check_extension(model, (long)arg);
    case KVM_ENABLE_CAP:
        return model_enable_cap(model, arg);
    case KVM_SET_USER_MEMORY_REGION:
        return set_region(model, arg);
    case KVM_GET_DIRTY_LOG:
        return get_dirty_log(model, arg);
    case KVM_CLEAR_DIRTY_LOG:
        return clear_dirty_log(model, arg);
    case KVM_RESET_DIRTY_RINGS:
        return model->ring_bytes ? ring_model_reset(model->guest) : -EINVAL;
    case KVM_RESET_DIRTY_RING:
        return reset_ring(model, arg);
    case KVM_WRITE_PROTECT_ALL_MEM:
        return protect_all(model, arg);
    default:
        return -ENOTTY;
    }
}

int kvm_model_ioctl(KvmModel *model, unsigned long request, void *arg)
{
    int ret = 0;

    if (model->config.enter) {
        ret = model->config.enter(model->config.guest.opaque, request, arg);
    }
    pthread_mutex_lock(&model->lock);
    ret = request_count(model, request) ?: ret;
    if (ret == 0) {
        ret = dispatch(model, request, arg);
    }
    pthread_mutex_unlock(&model->lock);
    return ret;
}
