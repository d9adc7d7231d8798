/*
 * Tests of the tracker on a model of KVM, with threads
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * While vCPUs store as fast as they can, one thread migrates, one is the
 * reaper, and the main thread changes the memory map and refreshes the display.
 * In the end nothing must be lost; thread sanitizer watches meanwhile.
 *
 * A lock stands for the BQL.  The migrating thread holds it for syncs, as in
 * QEMU, and to send, as the memory map of the test is not under RCU.
 *
 * DIRTY_STRESS_ROUNDS=n in the environment sets how often each is done.
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "kvm-world.h"

#define VCPUS 3
#define PAGES 384
#define ROUNDS 8
#define SYNCS 12

typedef struct Stress {
    World *w;
    pthread_mutex_t bql;
    bool stop;                  /* atomic: the guest stops */
    bool sent;                  /* atomic: the migration is about to end */
    uint64_t value;             /* atomic */
} Stress;

typedef struct Vcpu {
    Stress *s;
    unsigned index;
    pthread_t thread;
} Vcpu;

static void *vcpu_thread(void *opaque)
{
    Vcpu *vcpu = opaque;
    Stress *s = vcpu->s;
    CPUState *cpu = s->w->cpus[vcpu->index];
    RingModel *guest = kvm_model_guest(s->w->kvm);
    GRand *rand = g_rand_new_with_seed(vcpu->index);

    world_set_role(WORLD_VCPU, cpu);
    while (!qatomic_read(&s->stop)) {
        uint32_t key = RING_MODEL_KEY(g_rand_int_range(rand, 0, 8) == 0,
                                      g_rand_int_range(rand, 0, 6));
        uint64_t offset = g_rand_int_range(rand, 0, 100);
        uint64_t value = qatomic_fetch_inc(&s->value);
        RingModelExit why;

        pthread_rwlock_rdlock(&s->w->run_lock);
        why = ring_model_store(guest, vcpu->index, key, offset, value);
        pthread_rwlock_unlock(&s->w->run_lock);
        if (why == RING_MODEL_RING_FULL) {
            kvm_dirty_tracker_ring_full(cpu);
        }
    }
    g_rand_free(rand);
    return NULL;
}

static void *reaper_thread(void *opaque)
{
    Stress *s = opaque;

    while (!qatomic_read(&s->stop)) {
        world_reaper_turn(s->w);
        g_usleep(200);
    }
    return NULL;
}

static void *migration_thread(void *opaque)
{
    Stress *s = opaque;

    world_set_role(WORLD_MIGRATION, NULL);
    for (int i = 0; i < SYNCS; i++) {
        for (uint64_t page = 0; page < PAGES; page++) {
            pthread_mutex_lock(&s->bql);
            world_send(s->w, page);
            pthread_mutex_unlock(&s->bql);
        }
        kvm_dirty_tracking_presync();
        pthread_mutex_lock(&s->bql);
        world_sync(s->w, false);
        pthread_mutex_unlock(&s->bql);
    }
    qatomic_set(&s->sent, true);
    return NULL;
}

/* The main thread's part while the migration runs */
static void disturb(Stress *s, GRand *rand)
{
    WorldRegion *movable = NULL;
    World *w = s->w;

    while (!qatomic_read(&s->sent)) {
        pthread_mutex_lock(&s->bql);
        world_set_role(WORLD_MAIN, NULL);
        if (movable) {
            world_unmap(w, movable);
            movable = NULL;
        } else if (g_rand_boolean(rand)) {
            movable = world_map(w, g_rand_boolean(rand), 1000,
                                g_rand_int_range(rand, 200, 300), 80, 50);
        }
        world_sync_display(w, &w->regions[1]);
        if (g_rand_int_range(rand, 0, 50) == 0) {
            kvm_dirty_tracking_log_all();
        }
        pthread_mutex_unlock(&s->bql);
        g_usleep(300);
    }
    if (movable) {
        world_unmap(w, movable);
    }
}

static void one_round(Stress *s, GRand *rand)
{
    pthread_t migration, reaper;
    Vcpu vcpus[VCPUS];

    s->stop = s->sent = false;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (Vcpu) { .s = s, .index = i };
        pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]);
    }
    world_migrate(s->w, g_rand_boolean(rand));
    pthread_create(&reaper, NULL, reaper_thread, s);
    pthread_create(&migration, NULL, migration_thread, s);
    disturb(s, rand);
    pthread_join(migration, NULL);
    qatomic_set(&s->stop, true);
    pthread_join(reaper, NULL);
    for (unsigned i = 0; i < VCPUS; i++) {
        pthread_join(vcpus[i].thread, NULL);
    }
    world_check(s->w, "stopped");
    g_assert_cmpuint(world_finish(s->w), ==, 0);
    world_set_running(s->w, true);
    world_end_migration(s->w);
}

typedef struct Setup {
    const char *name;
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;
    bool overflow, wp_all;
    int manual_protect;
} Setup;

static const Setup setups[] = {
    { "ring", KVM_DIRTY_TRACKING_MODE_RING, 256 },
    { "overflow", KVM_DIRTY_TRACKING_MODE_RING, 256, .overflow = true },
    { "wp-all", KVM_DIRTY_TRACKING_MODE_WP_ALL, .wp_all = true },
    { "log", KVM_DIRTY_TRACKING_MODE_LOG,
      .manual_protect = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
                        KVM_DIRTY_LOG_INITIALLY_SET },
};

static void test_setup(gconstpointer opaque)
{
    const Setup *setup = opaque;
    const char *text = g_getenv("DIRTY_STRESS_ROUNDS");
    int rounds = text ? atoi(text) / ARRAY_SIZE(setups) : ROUNDS;
    WorldConfig config = {
        .offer = kvm_model_everything, .mode = setup->mode,
        .ring_size = setup->ring_size, .vcpus = VCPUS, .pages = PAGES,
    };
    GRand *rand = g_rand_new_with_seed(1);
    Stress s = { .value = 1 };

    config.offer.ring_with_bitmap = 0;
    config.offer.ring_overflow = setup->overflow;
    config.offer.wp_all = setup->wp_all ? config.offer.wp_all : 0;
    config.offer.manual_protect = setup->manual_protect;
    s.w = world_boot(&config);
    pthread_mutex_init(&s.bql, NULL);
    world_map(s.w, 0, 0, 0, 200, 70);
    world_map(s.w, 1, 0, 300, 50, 64);
    world_set_display(s.w, &s.w->regions[1], true);
    for (int i = 0; i < rounds; i++) {
        one_round(&s, rand);
    }
    world_free(s.w);
    pthread_mutex_destroy(&s.bql);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(setups); i++) {
        g_autofree char *path = g_strdup_printf("/kvm-stress/%s",
                                                setups[i].name);

        g_test_add_data_func(path, &setups[i], test_setup);
    }
    return g_test_run();
}
