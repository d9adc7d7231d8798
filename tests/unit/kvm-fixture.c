/*
 * What most tests on the model of KVM begin with
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "kvm-fixture.h"

WorldConfig everything(KvmDirtyTrackingMode mode, uint64_t pages)
{
    return (WorldConfig) {
        .offer = kvm_model_everything,
        .mode = mode,
        .ring_size = mode == KVM_DIRTY_TRACKING_MODE_RING ? RING_SIZE : 0,
        .vcpus = 2,
        .pages = pages,
    };
}

void map_memory(Fixture *f, uint64_t part, uint64_t smm_pages)
{
    f->ram = world_map(f->w, 0, 0, 0, f->w->config.pages, part);
    f->smm = world_map(f->w, 1, 0, 0, smm_pages, smm_pages);
}

void boot(Fixture *f, const WorldConfig *config, uint64_t part,
          uint64_t smm_pages)
{
    f->w = world_boot(config);
    map_memory(f, part, smm_pages);
}

void tear_down(Fixture *f, gconstpointer opaque)
{
    world_free(f->w);
}

void migrate(Fixture *f)
{
    world_migrate(f->w, false);
    world_send_all(f->w);
    g_assert_cmpuint(world_to_send(f->w, 0, f->w->config.pages), ==, 0);
}

void migrate_refused(Fixture *f, bool late)
{
    world_unmap(f->w, f->smm);
    kvm_model_refuse(f->w->kvm, KVM_SET_USER_MEMORY_REGION, 1, 1, ENOMEM);
    world_migrate(f->w, late);
    world_send_all(f->w);
}

void write_pages(Fixture *f, uint64_t first, uint64_t n)
{
    static uint64_t value;

    for (uint64_t page = first; page < first + n; page++) {
        g_assert_cmpint(world_store_once(f->w, 0, f->ram, page, ++value), ==,
                        RING_MODEL_DONE);
    }
}

bool is_logged(World *w, const WorldRegion *region, uint64_t offset)
{
    int flags = kvm_model_flags(w->kvm, world_key(w, region, &offset));

    g_assert_cmpint(flags, >=, 0);
    return flags & KVM_MEM_LOG_DIRTY_PAGES;
}
