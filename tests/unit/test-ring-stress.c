/*
 * Tests of the dirty ring with threads
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Most useful when built with the thread sanitizer, but also as it is.
 * Threads are plain pthreads: the sanitizer does not see into GLib's.
 * DIRTY_STRESS_ROUNDS=n in the environment makes it longer.
 */

#include "qemu/osdep.h"
#include "dirty-sim.h"

#define VCPUS 3
#define PAGES 256

typedef struct Stress {
    DirtySim sim;
    bool stop;              /* atomic; likewise the rest */
    bool pause;             /* vCPUs are to stay out of the guest */
    unsigned paused;        /* how many do */
    uint64_t stores;
    uint64_t full;
    uint64_t sent;
} Stress;

typedef struct StressVcpu {
    Stress *stress;
    unsigned index;
    uint32_t random;
} StressVcpu;

static bool flag(bool *f)
{
    return __atomic_load_n(f, __ATOMIC_ACQUIRE);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void vcpu_pause(Stress *stress)
{
    __atomic_add_fetch(&stress->paused, 1, __ATOMIC_ACQ_REL);
    while (flag(&stress->pause)) {
        sched_yield();
    }
    __atomic_sub_fetch(&stress->paused, 1, __ATOMIC_ACQ_REL);
}

static void *vcpu_thread(void *opaque)
{
    StressVcpu *vcpu = opaque;
    Stress *stress = vcpu->stress;
    uint64_t stores = 0, full = 0;

    while (!flag(&stress->stop)) {
        uint32_t r = next_random(&vcpu->random);
        uint32_t key = RING_MODEL_KEY((r >> 8) % 8 == 0, 0);
        /* a hot set, and now and then any page */
        uint64_t offset = (r >> 16) % (r % 8 ? 24 : PAGES);
        uint64_t value = ((uint64_t)vcpu->index + 1) << 56 | ++stores;

        if (flag(&stress->pause)) {
            vcpu_pause(stress);
        }
        while (ring_model_store(stress->sim.model, vcpu->index, key, offset,
                                value) == RING_MODEL_RING_FULL) {
            full++;
            dirty_sim_ring_full(&stress->sim, vcpu->index);
        }
    }
    __atomic_add_fetch(&stress->stores, stores, __ATOMIC_RELAXED);
    __atomic_add_fetch(&stress->full, full, __ATOMIC_RELAXED);
    return NULL;
}

static void *reaper_thread(void *opaque)
{
    Stress *stress = opaque;

    while (!flag(&stress->stop)) {
        dirty_sim_sync(&stress->sim);
        sched_yield();
    }
    return NULL;
}

static void *sender_thread(void *opaque)
{
    Stress *stress = opaque;
    uint64_t sent = 0;

    while (!flag(&stress->stop)) {
        for (uint64_t page = 0; page < PAGES; page++) {
            sent += dirty_sim_send(&stress->sim, page);
        }
        sched_yield();
    }
    __atomic_add_fetch(&stress->sent, sent, __ATOMIC_RELAXED);
    return NULL;
}

/* Hold the vCPUs; in the meantime slots and vCPUs come and go. */
static void change_machine(Stress *stress, unsigned round)
{
    unsigned vcpu = round % VCPUS;

    __atomic_store_n(&stress->pause, true, __ATOMIC_RELEASE);
    while (__atomic_load_n(&stress->paused, __ATOMIC_ACQUIRE) < VCPUS) {
        sched_yield();
    }

    dirty_sim_set_slot(&stress->sim, RING_MODEL_KEY(1, 0), 0, 0);
    dirty_sim_set_slot(&stress->sim, RING_MODEL_KEY(1, 0), round % 2 * 64,
                       PAGES - 64);
    dirty_sim_unplug(&stress->sim, vcpu);
    dirty_sim_plug(&stress->sim, vcpu);

    __atomic_store_n(&stress->pause, false, __ATOMIC_RELEASE);
    while (__atomic_load_n(&stress->paused, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
}

/*
 * Each reset after a while is cut short.  The calls are made with the tracker
 * lock held.
 */
static void stress_fault(void *opaque, RingModelFault *fault)
{
    Stress *stress = opaque;
    uint64_t n = stress->sim.stage.resets;

    if (n % 7 == 6 && stress->sim.stage.used > 1) {
        fault->limit = stress->sim.stage.used / 2;
        fault->forget = true;
    }
}

static pthread_t start(void *(*fn)(void *opaque), void *opaque)
{
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, fn, opaque), ==, 0);
    return thread;
}

static void stress_round(Stress *stress, const RingModelConfig *config,
                         unsigned round)
{
    StressVcpu vcpus[VCPUS];
    pthread_t threads[VCPUS + 2];
    uint64_t differ;

    stress->stop = stress->pause = false;
    stress->paused = 0;
    dirty_sim_init(&stress->sim, config);
    dirty_sim_set_slot(&stress->sim, RING_MODEL_KEY(0, 0), 0, PAGES);
    dirty_sim_set_slot(&stress->sim, RING_MODEL_KEY(1, 0), 0, PAGES / 2);

    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (StressVcpu) {
            .stress = stress, .index = i, .random = round * VCPUS + i + 1,
        };
        threads[i] = start(vcpu_thread, &vcpus[i]);
    }
    threads[VCPUS] = start(reaper_thread, stress);
    threads[VCPUS + 1] = start(sender_thread, stress);

    for (unsigned i = 0; i < 3; i++) {
        g_usleep(10 * 1000);
        change_machine(stress, round + i);
    }
    g_usleep(10 * 1000);
    __atomic_store_n(&stress->stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++) {
        pthread_join(threads[i], NULL);
    }

    dirty_sim_check(&stress->sim, "threads joined");
    differ = dirty_sim_finish(&stress->sim);
    g_assert_cmpuint(differ, ==, 0);
    dirty_sim_destroy(&stress->sim);
}

static void run_stress(const RingModelConfig *config)
{
    Stress stress = { .stores = 0 };
    RingModelConfig mine = *config;
    const char *text = g_getenv("DIRTY_STRESS_ROUNDS");
    unsigned rounds = text ? g_ascii_strtoull(text, NULL, 0) : 12;

    mine.vcpus = VCPUS;
    mine.pages = PAGES;
    mine.first_index = UINT32_MAX - 1000;
    mine.opaque = &stress;
    for (unsigned round = 0; round < rounds; round++) {
        stress_round(&stress, &mine, round);
    }
    g_test_message("%" PRIu64 " stores, %" PRIu64 " ring-full exits, %" PRIu64
                   " pages sent", stress.stores, stress.full, stress.sent);
    g_assert_cmpuint(stress.stores, >, 1000);
    g_assert_cmpuint(stress.full, >, 10);
    g_assert_cmpuint(stress.sent, >, 1000);
}

static void test_faults(void)
{
    RingModelConfig config = { .ring_size = 16, .reserved = 4 };

    run_stress(&config);
}

static void test_pml(void)
{
    RingModelConfig config = { .ring_size = 32, .reserved = 16,
                               .pml_size = 16 };

    run_stress(&config);
}

static void test_bad_resets(void)
{
    RingModelConfig config = { .ring_size = 16, .reserved = 4,
                               .fault = stress_fault };

    run_stress(&config);
}

/*
 * Barriers alone: one thread logs, one harvests, one resets, and no lock
 * orders the harvesting thread with the others.  Only the flags of the entries
 * do, so the thread sanitizer objects if one of the barriers is missing.
 */
typedef struct Relay {
    RingModel *model;
    DirtyRingStage stage;
    bool stop;
    uint32_t reset;         /* atomic, relaxed: must not order anything */
    uint32_t used;          /* of those, known to the harvester */
    uint64_t next;          /* offset that is to be published next */
} Relay;

static void *relay_vcpu(void *opaque)
{
    Relay *relay = opaque;
    uint64_t next = 0;

    while (!__atomic_load_n(&relay->stop, __ATOMIC_RELAXED)) {
        if (ring_model_push(relay->model, 0, 0, next)) {
            next++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void *relay_resetter(void *opaque)
{
    Relay *relay = opaque;

    while (!__atomic_load_n(&relay->stop, __ATOMIC_RELAXED)) {
        __atomic_add_fetch(&relay->reset, ring_model_reset(relay->model),
                           __ATOMIC_RELAXED);
        sched_yield();
    }
    return NULL;
}

static int relay_reset(void *opaque)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    Relay *relay = opaque;
    uint32_t n;

    while ((n = __atomic_load_n(&relay->reset, __ATOMIC_RELAXED) -
                relay->used) < relay->stage.used) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        sched_yield();
    }
    g_assert_cmpuint(n, ==, relay->stage.used);
    relay->used += n;
    return n;
}

static void relay_reprotect(void *opaque)
{
    g_assert_not_reached();
}

static void relay_publish(void *opaque, const DirtyKey *keys, size_t n)
{
    Relay *relay = opaque;

    for (size_t i = 0; i < n; i++) {
        g_assert_cmpuint(dirty_key_offset(keys[i]), ==, relay->next);
        relay->next++;
    }
}

static void test_barriers(void)
{
    static const DirtyRingOps ops = { relay_reset, relay_reprotect,
                                      relay_publish };
    RingModelConfig config = { .vcpus = 1, .ring_size = 8, .pages = 1 };
    Relay relay = { .model = ring_model_new(&config) };
    DirtyRing *ring = dirty_ring_new(0, config.ring_size);
    pthread_t vcpu, resetter;

    dirty_ring_stage_init(&relay.stage, &ops, &relay);
    dirty_ring_attach(ring, ring_model_map(relay.model, 0), NULL);
    vcpu = start(relay_vcpu, &relay);
    resetter = start(relay_resetter, &relay);
    while (relay.next < 20000) {
        dirty_ring_harvest(ring, &relay.stage);
        dirty_ring_stage_commit(&relay.stage);
        sched_yield();
    }
    __atomic_store_n(&relay.stop, true, __ATOMIC_RELAXED);
    pthread_join(vcpu, NULL);
    pthread_join(resetter, NULL);
    dirty_ring_stage_destroy(&relay.stage);
    dirty_ring_free(ring);
    ring_model_free(relay.model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring-stress/barriers", test_barriers);
    g_test_add_func("/ring-stress/faults", test_faults);
    g_test_add_func("/ring-stress/pml", test_pml);
    g_test_add_func("/ring-stress/bad-resets", test_bad_resets);
    return g_test_run();
}
