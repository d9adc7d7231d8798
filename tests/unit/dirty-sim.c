/*
 * A live migration in miniature, to test the ring protocol with
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dirty-sim.h"

static int sim_reset(void *opaque)
{
    DirtySim *sim = opaque;

    return ring_model_reset(sim->model);
}

static void set_dirty(DirtySim *sim, uint64_t page)
{
    __atomic_store_n(&sim->dirty[page], true, __ATOMIC_RELEASE);
}

static void sim_reprotect(void *opaque)
{
    DirtySim *sim = opaque;

    sim->reprotects++;
    ring_model_protect_all(sim->model);
    for (uint64_t page = 0; page < sim->config.pages; page++) {
        set_dirty(sim, page);
    }
}

static void sim_publish(void *opaque, const DirtyKey *keys, size_t n)
{
    DirtySim *sim = opaque;

    for (size_t i = 0; i < n; i++) {
        const DirtySlot *slot = dirty_slots_find(&sim->slots,
                                                 dirty_key_slot(keys[i]),
                                                 dirty_key_offset(keys[i]));
        uint64_t page;

        if (!slot) {
            sim->unknown++;
            continue;
        }
        page = slot->ram_addr + dirty_key_offset(keys[i]);
        g_assert_cmpuint(page, <, sim->config.pages);
        set_dirty(sim, page);
        sim->published++;
        if (sim->publishing) {
            sim->publishing(sim);
        }
    }
}

static const DirtyRingOps sim_ops = {
    .reset = sim_reset,
    .reprotect = sim_reprotect,
    .publish = sim_publish,
};

void dirty_sim_init(DirtySim *sim, const RingModelConfig *config)
{
    *sim = (DirtySim) { .config = *config };

    sim->model = ring_model_new(config);
    pthread_mutex_init(&sim->lock, NULL);
    dirty_ring_stage_init(&sim->stage, &sim_ops, sim);
    sim->rings = g_new0(DirtyRing *, config->vcpus);
    sim->plugged = g_new0(bool, config->vcpus);
    for (unsigned i = 0; i < config->vcpus; i++) {
        sim->rings[i] = dirty_ring_new(i, config->ring_size);
        /* As if it had come this far in earlier laps */
        sim->rings[i]->fetch = config->first_index;
        dirty_sim_plug(sim, i);
    }

    sim->copy = g_new0(uint64_t, config->pages);
    sim->dirty = g_new0(bool, config->pages);
    for (uint64_t page = 0; page < config->pages; page++) {
        sim->dirty[page] = true;
    }
}

void dirty_sim_destroy(DirtySim *sim)
{
    for (unsigned i = 0; i < sim->config.vcpus; i++) {
        dirty_ring_free(sim->rings[i]);
    }
    dirty_ring_stage_destroy(&sim->stage);
    dirty_slots_destroy(&sim->slots);
    pthread_mutex_destroy(&sim->lock);
    ring_model_free(sim->model);
    g_free(sim->rings);
    g_free(sim->plugged);
    g_free(sim->copy);
    g_free(sim->dirty);
}

static size_t sync_locked(DirtySim *sim)
{
    size_t n = 0;

    for (unsigned i = 0; i < sim->config.vcpus; i++) {
        n += dirty_ring_harvest(sim->rings[i], &sim->stage);
    }
    dirty_ring_stage_commit(&sim->stage);
    return n;
}

size_t dirty_sim_sync(DirtySim *sim)
{
    size_t n;

    pthread_mutex_lock(&sim->lock);
    n = sync_locked(sim);
    pthread_mutex_unlock(&sim->lock);
    return n;
}

void dirty_sim_ring_full(DirtySim *sim, unsigned vcpu)
{
    pthread_mutex_lock(&sim->lock);
    dirty_ring_harvest(sim->rings[vcpu], &sim->stage);
    dirty_ring_stage_commit(&sim->stage);
    pthread_mutex_unlock(&sim->lock);
}

static void vcpus_exit(DirtySim *sim)
{
    for (unsigned i = 0; i < sim->config.vcpus; i++) {
        ring_model_exit(sim->model, i);
    }
}

void dirty_sim_set_slot(DirtySim *sim, uint32_t key, uint64_t base,
                        uint64_t npages)
{
    DirtySlot slot = { .ram_addr = base, .npages = npages, .clients = 1 };
    DirtySlot none = { .npages = 0 };

    pthread_mutex_lock(&sim->lock);
    vcpus_exit(sim);
    sync_locked(sim);
    dirty_slots_set(&sim->slots, key, npages ? &slot : &none);
    ring_model_set_slot(sim->model, key, base, npages);
    pthread_mutex_unlock(&sim->lock);
}

void dirty_sim_unplug(DirtySim *sim, unsigned vcpu)
{
    struct kvm_dirty_gfn *gfns;

    pthread_mutex_lock(&sim->lock);
    sim->plugged[vcpu] = false;
    ring_model_exit(sim->model, vcpu);
    dirty_ring_harvest(sim->rings[vcpu], &sim->stage);
    dirty_ring_stage_commit(&sim->stage);
    gfns = dirty_ring_detach(sim->rings[vcpu]);
    g_assert_true(gfns == ring_model_map(sim->model, vcpu));
    pthread_mutex_unlock(&sim->lock);
}

void dirty_sim_plug(DirtySim *sim, unsigned vcpu)
{
    pthread_mutex_lock(&sim->lock);
    dirty_ring_attach(sim->rings[vcpu], ring_model_map(sim->model, vcpu), sim);
    sim->plugged[vcpu] = true;
    pthread_mutex_unlock(&sim->lock);
}

bool dirty_sim_send(DirtySim *sim, uint64_t page)
{
    /* The bit first: a page that changes while it is read is dirty again. */
    if (!__atomic_exchange_n(&sim->dirty[page], false, __ATOMIC_ACQ_REL)) {
        return false;
    }
    sim->copy[page] = ring_model_load(sim->model, page);
    return true;
}

void dirty_sim_send_all(DirtySim *sim)
{
    for (uint64_t page = 0; page < sim->config.pages; page++) {
        dirty_sim_send(sim, page);
    }
}

/* A set of pages of slots, as far as the model has them */
typedef struct PageSet {
    uint64_t pages;             /* per slot, at most */
    bool *has;
} PageSet;

static bool *page_set_at(PageSet *set, uint32_t key, uint64_t offset)
{
    uint32_t as = key >> 16, id = key & 0xffff;

    if (as >= RING_MODEL_AS_MAX || id >= RING_MODEL_SLOT_MAX ||
        offset >= set->pages) {
        return NULL;
    }
    return &set->has[(as * RING_MODEL_SLOT_MAX + id) * set->pages + offset];
}

static void page_set_add(void *opaque, uint32_t key, uint64_t offset)
{
    bool *has = page_set_at(opaque, key, offset);

    if (has) {
        *has = true;
    }
}

void dirty_sim_check(DirtySim *sim, const char *when)
{
    uint64_t pages = sim->config.pages;
    g_autofree bool *way = g_new0(bool, pages * RING_MODEL_AS_MAX *
                                        RING_MODEL_SLOT_MAX);
    g_autofree bool *known = g_memdup2(sim->dirty, pages);
    PageSet set = { .pages = pages, .has = way };

    ring_model_foreach_pending(sim->model, page_set_add, &set);
    for (size_t i = 0; i < sim->stage.used; i++) {
        page_set_add(&set, dirty_key_slot(sim->stage.keys[i]),
                     dirty_key_offset(sim->stage.keys[i]));
    }

    for (uint32_t as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (uint32_t id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            uint32_t key = RING_MODEL_KEY(as, id);
            const DirtySlot *slot = dirty_slots_find(&sim->slots, key, 0);

            for (uint64_t at = 0; slot && at < slot->npages; at++) {
                if (*page_set_at(&set, key, at)) {
                    known[slot->ram_addr + at] = true;
                } else if (ring_model_is_writable(sim->model, key, at)) {
                    g_error("%s: page %" PRIu64 " of slot 0x%x is writable, "
                            "but was not logged", when, at, key);
                }
            }
        }
    }

    for (uint64_t page = 0; page < pages; page++) {
        if (!known[page] &&
            sim->copy[page] != ring_model_load(sim->model, page)) {
            g_error("%s: page %" PRIu64 " has changed, but is not dirty",
                    when, page);
        }
    }
}

uint64_t dirty_sim_finish(DirtySim *sim)
{
    uint64_t differ = 0;

    sim->stopped = true;
    pthread_mutex_lock(&sim->lock);
    vcpus_exit(sim);
    sync_locked(sim);
    pthread_mutex_unlock(&sim->lock);

    dirty_sim_send_all(sim);
    for (uint64_t page = 0; page < sim->config.pages; page++) {
        differ += sim->copy[page] != ring_model_load(sim->model, page);
    }
    return differ;
}
