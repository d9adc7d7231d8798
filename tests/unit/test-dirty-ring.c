/*
 * Tests of the dirty ring protocol, one property each
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/time.h>
#include "dirty-sim.h"
#include "accel/kvm/dirty/ring/sort.h"

/* The last few indices before they wrap */
#define BEFORE_WRAP (UINT32_MAX - 3)

#define RING_SIZE 8

/* A stage whose surroundings just write down what happens. */
typedef struct Recorder {
    RingModel *model;
    DirtyRing *ring;
    DirtyRingStage stage;
    GString *log;           /* r: reset, p: reprotect, P: publish */
    GArray *published;      /* of DirtyKey */
} Recorder;

static int recorder_reset(void *opaque)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'r');
    return ring_model_reset(rec->model);
}

static void recorder_reprotect(void *opaque)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'p');
}

static void recorder_publish(void *opaque, const DirtyKey *keys, size_t n)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'P');
    g_array_append_vals(rec->published, keys, n);
}

static const DirtyRingOps recorder_ops = {
    .reset = recorder_reset,
    .reprotect = recorder_reprotect,
    .publish = recorder_publish,
};

static void recorder_init(Recorder *rec, uint32_t first_index)
{
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = RING_SIZE,
        .first_index = first_index,
        .pages = 1,
    };

    rec->model = ring_model_new(&config);
    rec->ring = dirty_ring_new(0, RING_SIZE);
    rec->ring->fetch = rec->ring->looked = first_index;
    dirty_ring_attach(rec->ring, ring_model_map(rec->model, 0), rec);
    dirty_ring_stage_init(&rec->stage, &recorder_ops, rec);
    rec->log = g_string_new(NULL);
    rec->published = g_array_new(false, false, sizeof(DirtyKey));
}

static void recorder_destroy(Recorder *rec)
{
    dirty_ring_stage_destroy(&rec->stage);
    dirty_ring_free(rec->ring);
    ring_model_free(rec->model);
    g_string_free(rec->log, true);
    g_array_free(rec->published, true);
}

static void recorder_push(Recorder *rec, uint64_t first, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(ring_model_push(rec->model, 0, 7, first + i));
    }
}

static void recorder_assert(Recorder *rec, const char *log, uint64_t first,
                            unsigned n)
{
    g_assert_cmpstr(rec->log->str, ==, log);
    g_assert_cmpuint(rec->published->len, ==, n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(g_array_index(rec->published, DirtyKey, i), ==,
                         dirty_key(7, first + i));
    }
    g_string_truncate(rec->log, 0);
    g_array_set_size(rec->published, 0);
}

static void test_empty(void)
{
    Recorder rec;

    recorder_init(&rec, 0);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "", 0, 0);
    g_assert_cmpuint(rec.stage.resets, ==, 0);
    recorder_destroy(&rec);
}

/* What was logged is published in order, once, and after the reset. */
static void test_order(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    gfns = ring_model_map(rec.model, 0);
    recorder_push(&rec, 100, 3);

    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
    recorder_assert(&rec, "", 0, 0);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(gfns[i].flags, ==, KVM_DIRTY_GFN_F_RESET);
    }
    g_assert_cmpuint(gfns[3].flags, ==, 0);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);

    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 100, 3);
    g_assert_cmpuint(gfns[0].flags, ==, 0);

    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "", 0, 0);
    g_assert_cmpuint(rec.stage.resets, ==, 1);
    g_assert_cmpuint(rec.stage.short_resets, ==, 0);
    recorder_destroy(&rec);
}

/* Many laps, each starting at another entry, the indices wrapping as well */
static void test_wrap(void)
{
    Recorder rec;
    uint64_t next = 0;

    recorder_init(&rec, BEFORE_WRAP);
    for (unsigned n = 1; n <= RING_SIZE; n++) {
        for (unsigned lap = 0; lap < 2 * RING_SIZE; lap++) {
            recorder_push(&rec, next, n);
            g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, n);
            dirty_ring_stage_commit(&rec.stage);
            recorder_assert(&rec, "rP", next, n);
            next += n;
        }
    }
    g_assert_cmpuint(rec.ring->fetch, ==, (uint32_t)(BEFORE_WRAP + next));
    recorder_destroy(&rec);
}

/* To the last entry; and what comes in between harvest and reset stays. */
static void test_full(void)
{
    Recorder rec;

    recorder_init(&rec, BEFORE_WRAP);
    recorder_push(&rec, 0, RING_SIZE);
    g_assert_false(ring_model_push(rec.model, 0, 7, 0));
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, RING_SIZE);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
    g_assert_false(ring_model_push(rec.model, 0, 7, 0));
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 0, RING_SIZE);

    recorder_push(&rec, 20, 5);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 5);
    recorder_push(&rec, 25, 2);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 20, 5);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 2);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 25, 2);
    recorder_destroy(&rec);
}

static void test_holds(void)
{
    Recorder rec;

    recorder_init(&rec, BEFORE_WRAP);
    for (unsigned n = 0; n <= RING_SIZE; n++) {
        recorder_push(&rec, 0, n);
        for (unsigned m = 1; m <= RING_SIZE; m++) {
            g_assert_cmpint(dirty_ring_holds(rec.ring, m), ==, m <= n);
        }
        g_assert_cmpuint(dirty_ring_fill(rec.ring), ==, n);
        dirty_ring_harvest(rec.ring, &rec.stage);
        for (unsigned m = 1; m <= RING_SIZE; m++) {
            g_assert_false(dirty_ring_holds(rec.ring, m));
        }
        g_assert_cmpuint(dirty_ring_fill(rec.ring), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
    }
    recorder_destroy(&rec);
}

/*
 * The kernel finds the pages in an order that suits it, and the same as are
 * published: round a window in the middle, a low and a high one alternate.
 */
static void test_sorted(void)
{
    static const uint64_t pushed[RING_SIZE] = {
        700, 65, 1, 710, 2, 703, 64, 3
    };
    static const uint64_t sorted[RING_SIZE] = {
        1, 2, 3, 65, 64, 700, 703, 710
    };
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    gfns = ring_model_map(rec.model, 0);
    for (int i = 0; i < RING_SIZE; i++) {
        recorder_push(&rec, pushed[i], 1);
    }
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, RING_SIZE);
    for (int i = 0; i < RING_SIZE; i++) {
        g_assert_cmpuint(gfns[i].slot, ==, 7);
        g_assert_cmpuint(gfns[i].offset, ==, sorted[i]);
        g_assert_cmpuint(gfns[i].flags, ==, KVM_DIRTY_GFN_F_RESET);
    }
    dirty_ring_stage_commit(&rec.stage);
    g_assert_cmpuint(rec.published->len, ==, RING_SIZE);
    for (int i = 0; i < RING_SIZE; i++) {
        g_assert_cmpuint(g_array_index(rec.published, DirtyKey, i), ==,
                         dirty_key(7, sorted[i]));
    }
    recorder_destroy(&rec);
}

/* Enough to be sorted by digits: what is staged is what the ring has. */
static void test_sorted_many(void)
{
    static const uint64_t spans[] = { 1 << 7, 1 << 12, 1 << 20, 1ULL << 32 };
    struct kvm_dirty_gfn gfns[256];
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    for (int s = 0; s < ARRAY_SIZE(spans); s++) {
        DirtyRing *ring = dirty_ring_new(0, ARRAY_SIZE(gfns));
        DirtyRingStage stage;
        uint64_t sum = 0;

        dirty_ring_stage_init(&stage, &recorder_ops, NULL);
        for (int i = 0; i < ARRAY_SIZE(gfns); i++) {
            gfns[i].flags = KVM_DIRTY_GFN_F_DIRTY;
            gfns[i].slot = 7;
            gfns[i].offset = ((uint64_t)g_rand_int(rand) << 32 |
                              g_rand_int(rand)) % spans[s];
            sum += gfns[i].offset;
        }
        dirty_ring_attach(ring, gfns, NULL);
        g_assert_cmpuint(dirty_ring_harvest(ring, &stage), ==,
                         ARRAY_SIZE(gfns));
        for (int i = 0; i < ARRAY_SIZE(gfns); i++) {
            g_assert_cmpuint(stage.keys[i], ==, dirty_key(7, gfns[i].offset));
            g_assert_cmpuint(stage.keys[i] >> DIRTY_SORT_IGNORED_BITS, >=,
                             stage.keys[MAX(i, 1) - 1] >>
                             DIRTY_SORT_IGNORED_BITS);
            sum -= gfns[i].offset;
        }
        g_assert_cmpuint(sum, ==, 0);
        dirty_ring_stage_destroy(&stage);
        dirty_ring_free(ring);
    }
}

/* Each entry is told once, as long as it waits, in portions of any size. */
static void test_look(void)
{
    DirtyKey keys[RING_SIZE];
    uint64_t next = 0;
    Recorder rec;

    recorder_init(&rec, BEFORE_WRAP);
    for (unsigned lap = 0; lap < 4 * RING_SIZE; lap++) {
        unsigned n = lap % RING_SIZE + 1;

        recorder_push(&rec, next, n);
        for (unsigned told = 0; told < n; ) {
            uint32_t got = dirty_ring_look(rec.ring, keys, 1 + lap % 3);

            g_assert_cmpuint(got, ==, MIN(1 + lap % 3, n - told));
            for (unsigned i = 0; i < got; i++) {
                g_assert_cmpuint(keys[i], ==, dirty_key(7, next + told + i));
            }
            told += got;
            if (lap % 4 == 3) {
                break;
            }
        }
        if (lap % 4 != 3) {
            g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
        }
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, n);
        g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", next, n);
        next += n;
    }
    dirty_ring_detach(rec.ring);
    g_assert_cmpuint(dirty_ring_look(rec.ring, keys, RING_SIZE), ==, 0);
    recorder_destroy(&rec);
}

/* What no kernel says is nobody's page, and the ring keeps it as it was. */
static void test_unsortable(void)
{
    static const struct {
        uint32_t slot;
        uint64_t offset;
    } odd[] = {
        { UINT32_MAX, 3 }, { 2, UINT64_MAX }, { 1 << 20, 1 }, { 1, 1ULL << 44 },
    };
    Recorder rec;

    for (int i = 0; i < ARRAY_SIZE(odd); i++) {
        struct kvm_dirty_gfn *gfns;
        DirtyKey *keys;

        recorder_init(&rec, 0);
        gfns = ring_model_map(rec.model, 0);
        recorder_push(&rec, 900, 1);
        g_assert_true(ring_model_push(rec.model, 0, odd[i].slot,
                                      odd[i].offset));
        recorder_push(&rec, 5, 1);
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
        g_assert_cmpuint(gfns[0].offset, ==, 900);
        g_assert_cmpuint(gfns[1].slot, ==, odd[i].slot);
        g_assert_cmpuint(gfns[1].offset, ==, odd[i].offset);
        g_assert_cmpuint(gfns[2].offset, ==, 5);
        dirty_ring_stage_commit(&rec.stage);
        keys = (DirtyKey *)rec.published->data;
        g_assert_cmpuint(keys[0], ==, dirty_key(7, 900));
        g_assert_cmpuint(keys[1], ==, DIRTY_KEY_STRAY);
        g_assert_cmpuint(keys[2], ==, dirty_key(7, 5));
        recorder_destroy(&rec);
    }
}

/* The vCPU goes, its ring half full; whoever comes back finds it so. */
static void test_detach(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;
    int owner;

    recorder_init(&rec, BEFORE_WRAP);
    gfns = ring_model_map(rec.model, 0);
    g_assert_true(rec.ring->owner == &rec);
    g_assert_cmpuint(rec.ring->vcpu_id, ==, 0);

    for (unsigned lap = 0; lap < 3 * RING_SIZE; lap++) {
        recorder_push(&rec, 0, 3);
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 3);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", 0, 3);

        recorder_push(&rec, 30, 2);
        g_assert_true(dirty_ring_detach(rec.ring) == gfns);
        g_assert_null(rec.ring->owner);
        g_assert_false(dirty_ring_holds(rec.ring, 1));
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 0);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "", 0, 0);

        dirty_ring_attach(rec.ring, gfns, &owner);
        g_assert_true(rec.ring->owner == &owner);
        g_assert_true(dirty_ring_holds(rec.ring, 2));
        g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 2);
        dirty_ring_stage_commit(&rec.stage);
        recorder_assert(&rec, "rP", 30, 2);
    }
    recorder_destroy(&rec);
}

/* Detached between harvest and commit: what is staged is published. */
static void test_detach_staged(void)
{
    struct kvm_dirty_gfn *gfns;
    Recorder rec;

    recorder_init(&rec, 0);
    recorder_push(&rec, 50, 4);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 4);
    gfns = dirty_ring_detach(rec.ring);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 50, 4);

    dirty_ring_attach(rec.ring, gfns, NULL);
    recorder_push(&rec, 60, 4);
    g_assert_cmpuint(dirty_ring_harvest(rec.ring, &rec.stage), ==, 4);
    dirty_ring_stage_commit(&rec.stage);
    recorder_assert(&rec, "rP", 60, 4);
    recorder_destroy(&rec);
}

/*
 * An adversary that refills entries right after they are harvested, as no
 * kernel would, cannot make a harvest go past the ring's size.  It is a signal
 * handler, so that it gets its turn however few CPUs there are, and the ring
 * is a large one, so that its turn comes during a harvest, most of the time.
 */
#define ADVERSARY_SIZE 65536

static struct kvm_dirty_gfn *adversary_gfns;

static void adversary(int sig)
{
    for (int i = 0; i < ADVERSARY_SIZE; i++) {
        __atomic_store_n(&adversary_gfns[i].flags, KVM_DIRTY_GFN_F_DIRTY,
                         __ATOMIC_RELEASE);
    }
}

static int all_reset(void *opaque)
{
    DirtyRingStage *stage = opaque;

    return stage->used;
}

static void no_reprotect(void *opaque)
{
}

static void no_publish(void *opaque, const DirtyKey *keys, size_t n)
{
}

static void test_bound(void)
{
    static const DirtyRingOps ops = { all_reset, no_reprotect, no_publish };
    struct sigaction refill = { .sa_handler = adversary };
    struct sigaction before;
    struct itimerval soon = { .it_value.tv_usec = 50 };
    DirtyRing *ring = dirty_ring_new(0, ADVERSARY_SIZE);
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND / 4;
    DirtyRingStage stage;

    adversary_gfns = g_new0(struct kvm_dirty_gfn, ADVERSARY_SIZE);
    dirty_ring_stage_init(&stage, &ops, &stage);
    dirty_ring_attach(ring, adversary_gfns, NULL);
    g_assert_cmpint(sigaction(SIGALRM, &refill, &before), ==, 0);
    do {
        adversary(SIGALRM);
        g_assert_cmpint(setitimer(ITIMER_REAL, &soon, NULL), ==, 0);
        g_assert_cmpuint(dirty_ring_harvest(ring, &stage), <=, ADVERSARY_SIZE);
        dirty_ring_stage_commit(&stage);
    } while (g_get_monotonic_time() < end);
    soon.it_value.tv_usec = 0;
    g_assert_cmpint(setitimer(ITIMER_REAL, &soon, NULL), ==, 0);
    g_assert_cmpint(sigaction(SIGALRM, &before, NULL), ==, 0);

    dirty_ring_stage_destroy(&stage);
    dirty_ring_free(ring);
    g_free(adversary_gfns);
}

/* Many rings in one stage: one reset for all, everything arrives. */
static void test_many_rings(void)
{
    enum { RINGS = 40, PAGES = RINGS * RING_SIZE };
    RingModelConfig config = {
        .vcpus = RINGS,
        .ring_size = RING_SIZE,
        .reserved = 1,
        .first_index = BEFORE_WRAP,
        .pages = PAGES,
    };
    DirtySim sim;
    unsigned n = 0;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, 0, 0, PAGES);
    for (unsigned lap = 0; lap < 5; lap++) {
        uint64_t resets = sim.stage.resets;

        dirty_sim_send_all(&sim);
        for (unsigned i = 0; i < RINGS; i++) {
            for (unsigned j = 0; j < i % RING_SIZE; j++) {
                g_assert_cmpint(ring_model_store(sim.model, i, 0,
                                                 i * RING_SIZE + j, ++n),
                                ==, RING_MODEL_DONE);
            }
        }
        dirty_sim_check(&sim, "stored");
        dirty_sim_sync(&sim);
        g_assert_cmpuint(sim.stage.resets, ==, resets + 1);
        for (unsigned i = 0; i < RINGS; i++) {
            for (unsigned j = 0; j < RING_SIZE; j++) {
                g_assert_cmpint(sim.dirty[i * RING_SIZE + j], ==,
                                j < i % RING_SIZE);
            }
        }
    }
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.published, ==, ring_model_pushed(sim.model));
    dirty_sim_destroy(&sim);
}

/* Slots and pages that do not exist, between ones that do */
static void test_unknown(void)
{
    static const struct {
        uint32_t key;
        uint64_t offset;
    } bad[] = {
        { RING_MODEL_KEY(0, 1), 16 },
        { RING_MODEL_KEY(0, 1), UINT64_MAX },
        { RING_MODEL_KEY(0, 0), 0 },
        { RING_MODEL_KEY(0, 9), 0 },
        { RING_MODEL_KEY(0, 0xffff), 0 },
        { RING_MODEL_KEY(1, 1), 0 },
        { RING_MODEL_KEY(2, 1), 0 },
        { RING_MODEL_KEY(0xffff, 0xffff), UINT64_MAX },
    };
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 32,
        .pages = 16,
    };
    DirtySim sim;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, RING_MODEL_KEY(0, 1), 0, 16);
    dirty_sim_send_all(&sim);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpint(ring_model_store(sim.model, 0, 1, i, 1), ==,
                        RING_MODEL_DONE);
        g_assert_true(ring_model_push(sim.model, 0, bad[i].key,
                                      bad[i].offset));
    }
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 2 * ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.unknown, ==, ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.published, ==, ARRAY_SIZE(bad));
    g_assert_cmpuint(sim.stage.short_resets, ==, 0);
    for (unsigned i = 0; i < config.pages; i++) {
        g_assert_cmpint(sim.dirty[i], ==, i < ARRAY_SIZE(bad));
    }
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    dirty_sim_destroy(&sim);
}

/* The same RAM in both address spaces: each protects its own mapping. */
static void test_two_spaces(void)
{
    uint32_t smm = RING_MODEL_KEY(1, 0);
    RingModelConfig config = {
        .vcpus = 2,
        .ring_size = 8,
        .reserved = 2,
        .pages = 16,
    };
    DirtySim sim;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, RING_MODEL_KEY(0, 0), 0, 8);
    dirty_sim_set_slot(&sim, smm, 4, 12);
    dirty_sim_send_all(&sim);

    ring_model_store(sim.model, 0, 0, 5, 1);
    ring_model_store(sim.model, 1, smm, 1, 2);
    ring_model_store(sim.model, 1, smm, 11, 3);
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 3);
    for (unsigned i = 0; i < config.pages; i++) {
        g_assert_cmpint(sim.dirty[i], ==, i == 5 || i == 15);
    }
    dirty_sim_check(&sim, "synced");
    dirty_sim_send_all(&sim);

    ring_model_store(sim.model, 0, smm, 1, 4);
    dirty_sim_check(&sim, "stored again");
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[5], ==, 4);
    g_assert_cmpuint(sim.copy[15], ==, 3);
    dirty_sim_destroy(&sim);
}

/* A slot goes, another comes under its name: late entries stay what they are */
static void test_slot_reuse(void)
{
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 16,
        .reserved = 4,
        .pml_size = 4,
        .pages = 16,
    };
    DirtySim sim;

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, 3, 0, 8);
    dirty_sim_send_all(&sim);
    for (unsigned i = 0; i < 6; i++) {
        ring_model_store(sim.model, 0, 3, i, 1);
    }
    dirty_sim_set_slot(&sim, 3, 0, 0);
    g_assert_cmpint(ring_model_store(sim.model, 0, 3, 0, 2), ==,
                    RING_MODEL_MMIO);
    dirty_sim_set_slot(&sim, 3, 10, 4);
    for (unsigned i = 0; i < config.pages; i++) {
        g_assert_cmpint(sim.dirty[i], ==, i < 6);
    }
    ring_model_store(sim.model, 0, 3, 1, 3);
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[5], ==, 1);
    g_assert_cmpuint(sim.copy[11], ==, 3);
    g_assert_cmpuint(sim.unknown, ==, 0);
    dirty_sim_destroy(&sim);
}

/*
 * The kernel hands an entry back to the vCPU as soon as it is taken off; the
 * vCPU then overwrites it, long before the reset is over.
 */
static void refill(void *opaque)
{
    DirtySim *sim = opaque;

    for (unsigned i = 8; i < 16 && !sim->stopped; i++) {
        ring_model_store(sim->model, 0, 0, i, 2);
    }
}

static void test_refill(void)
{
    DirtySim sim;
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = 8,
        .first_index = BEFORE_WRAP,
        .pages = 16,
        .interleave = refill,
        .opaque = &sim,
    };

    dirty_sim_init(&sim, &config);
    dirty_sim_set_slot(&sim, 0, 0, 16);
    dirty_sim_send_all(&sim);
    for (unsigned i = 0; i < 8; i++) {
        ring_model_store(sim.model, 0, 0, i, 1);
    }
    g_assert_cmpuint(dirty_sim_sync(&sim), ==, 8);
    for (unsigned i = 0; i < config.pages; i++) {
        g_assert_cmpint(sim.dirty[i], ==, i < 8);
    }
    dirty_sim_check(&sim, "synced");
    g_assert_cmpuint(dirty_sim_finish(&sim), ==, 0);
    g_assert_cmpuint(sim.copy[15], ==, 2);
    dirty_sim_destroy(&sim);
}

/*
 * Resets that go wrong
 */

typedef struct Script {
    DirtySim sim;
    const RingModelFault *faults;
    unsigned n;             /* of them; the last of them is repeated if */
    bool for_ever;
    unsigned calls;
    uint64_t value;
} Script;

static void script_fault(void *opaque, RingModelFault *fault)
{
    Script *script = opaque;

    if (script->calls < script->n) {
        *fault = script->faults[script->calls];
    } else if (script->for_ever) {
        *fault = script->faults[script->n - 1];
    }
    script->calls++;
    g_assert_cmpuint(script->calls, <, 100000);
}

static void script_store(Script *script, unsigned vcpu, unsigned first,
                         unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        g_assert_cmpint(ring_model_store(script->sim.model, vcpu, 0, i,
                                         ++script->value),
                        ==, RING_MODEL_DONE);
        dirty_sim_check(&script->sim, "stored");
    }
}

/* All through a reset and the publication, vCPUs write and pages are sent. */
static void script_busy(Script *script)
{
    if (script->sim.stopped) {
        return;
    }
    dirty_sim_check(&script->sim, "in a reset");
    for (unsigned i = 0; i < 16; i++) {
        dirty_sim_send(&script->sim, i);
        /* Ring 1 has room for these. */
        ring_model_store(script->sim.model, 1, 0, i, ++script->value);
    }
    dirty_sim_check(&script->sim, "in a reset, stored");
}

static void script_interleave(void *opaque)
{
    script_busy(opaque);
}

static void script_publishing(DirtySim *sim)
{
    script_busy(container_of(sim, Script, sim));
}

static void script_init(Script *script, const RingModelFault *faults,
                        unsigned n, bool for_ever, bool busy)
{
    RingModelConfig config = {
        .vcpus = 2,
        .ring_size = 256,
        .reserved = 56,
        .first_index = BEFORE_WRAP,
        .pages = 256,
        .fault = script_fault,
        .interleave = busy ? script_interleave : NULL,
        .opaque = script,
    };

    *script = (Script) { .faults = faults };
    dirty_sim_init(&script->sim, &config);
    dirty_sim_set_slot(&script->sim, 0, 0, config.pages);
    dirty_sim_send_all(&script->sim);
    script->calls = 0;
    script->n = n;
    script->for_ever = for_ever;
}

/* vCPU 0 logs 8, vCPU 1 logs 5; far pages are not protected together. */
#define SCRIPT_ENTRIES 13

static size_t script_round(Script *script)
{
    script_store(script, 0, 0, 4);
    script_store(script, 0, 100, 4);
    script_store(script, 1, 32, 5);
    dirty_sim_check(&script->sim, "before the sync");
    return dirty_sim_sync(&script->sim);
}

#define FINE { .limit = UINT32_MAX }

typedef struct ResetCase {
    const char *name;
    RingModelFault faults[4];
    unsigned n;
    bool fine;              /* nothing to worry about */
} ResetCase;

static const ResetCase reset_cases[] = {
    { "fine", { FINE }, 1, .fine = true },
    { "none", { { .limit = 0 } }, 1 },
    { "partial", { { .limit = 5 } }, 1 },
    { "all-but-one", { { .limit = SCRIPT_ENTRIES - 1 } }, 1 },
    { "one-by-one", { { .limit = 1 }, { .limit = 1 }, { .limit = 1 } }, 3 },
    { "partial-forgotten", { { .limit = 3, .forget = true } }, 1 },
    { "forgotten-twice", { { .limit = 6, .forget = true },
                           { .limit = 3, .forget = true } }, 2 },
    { "forgotten-at-end", { { .limit = 12, .forget = true },
                            { .limit = 1, .forget = true } }, 2 },
    { "eintr", { { .limit = 0, .result = -EINTR } }, 1 },
    { "eintr-often", { { .limit = 0, .result = -EINTR },
                       { .limit = 0, .result = -EINTR },
                       { .limit = 2 },
                       { .limit = 0, .result = -EINTR } }, 4 },
    { "eagain", { { .limit = 0, .result = -EAGAIN } }, 1 },
    { "eintr-uncounted", { { .limit = 5, .forget = true,
                             .result = -EINTR } }, 1 },
    { "eintr-all-uncounted", { { .limit = UINT32_MAX, .result = -EINTR } }, 1 },
    { "error", { { .limit = 0, .result = -EIO } }, 1 },
    { "error-later", { { .limit = 4 }, { .limit = 0, .result = -EIO } }, 2 },
    { "error-uncounted", { { .limit = UINT32_MAX, .result = -EIO } }, 1 },
    { "error-partial", { { .limit = 7, .forget = true, .result = -EIO } }, 1 },
    { "more", { { .limit = UINT32_MAX, .result = SCRIPT_ENTRIES + 5 } }, 1 },
    { "fewer-counted", { { .limit = UINT32_MAX,
                           .result = SCRIPT_ENTRIES - 5 } }, 1 },
    { "far-more", { { .limit = UINT32_MAX, .result = INT_MAX } }, 1 },
};

static void test_reset(const void *opaque)
{
    const ResetCase *c = opaque;
    uint64_t reprotects, resets;
    Script script;

    /* Twice: quiet, and with vCPUs and sender busy meanwhile. */
    for (int busy = 0; busy < 2; busy++) {
        script_init(&script, c->faults, c->n, false, false);
        if (busy) {
            script.sim.publishing = script_publishing;
        }

        g_assert_cmpuint(script_round(&script), ==, SCRIPT_ENTRIES);
        dirty_sim_check(&script.sim, "after a bad reset");
        g_assert_cmpuint(script.sim.reprotects, ==, c->fine ? 0 : 1);
        g_assert_cmpuint(script.sim.stage.short_resets, ==, c->fine ? 0 : 1);
        g_assert_cmpuint(script.sim.published, ==, SCRIPT_ENTRIES);
        dirty_sim_send_all(&script.sim);
        dirty_sim_check(&script.sim, "sent");

        /* It does not happen again; nor must what follows from it. */
        for (int i = 0; i < 3; i++) {
            script_round(&script);
            dirty_sim_check(&script.sim, "next round");
            dirty_sim_send_all(&script.sim);
            dirty_sim_check(&script.sim, "next round, sent");
        }
        reprotects = script.sim.reprotects;
        resets = script.sim.stage.resets;
        script_round(&script);
        dirty_sim_check(&script.sim, "back to normal");
        g_assert_cmpuint(script.sim.reprotects, ==, reprotects);
        g_assert_cmpuint(script.sim.stage.resets, ==, resets + 1);

        g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
        dirty_sim_destroy(&script.sim);
    }
}

/* The same with vCPUs that run in the middle of the reset itself */
static void test_reset_busy(const void *opaque)
{
    const ResetCase *c = opaque;
    Script script;

    script_init(&script, c->faults, c->n, false, true);
    for (int i = 0; i < 5; i++) {
        script_round(&script);
        dirty_sim_check(&script.sim, "synced");
        dirty_sim_send_all(&script.sim);
        dirty_sim_check(&script.sim, "sent");
    }
    g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
    dirty_sim_destroy(&script.sim);
}

/* A kernel that never resets anything again does not hang us. */
static void test_reset_never(const void *opaque)
{
    const RingModelFault *fault = opaque;
    Script script;

    script_init(&script, fault, 1, true, false);
    g_assert_cmpuint(script_round(&script), ==, SCRIPT_ENTRIES);
    g_assert_cmpuint(script.sim.reprotects, ==, 1);
    dirty_sim_check(&script.sim, "given up");
    dirty_sim_send_all(&script.sim);
    script_round(&script);
    dirty_sim_check(&script.sim, "given up again");
    g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
    dirty_sim_destroy(&script.sim);
}

/*
 * A reset fails when the ring is full of harvested entries.  There is nothing
 * more to harvest then, but the vCPU cannot run before they are reset.
 */
static void test_reset_stall(const void *opaque)
{
    const RingModelFault *fault = opaque;
    unsigned tries = 0, page = 0;
    Script script;

    script_init(&script, fault, 1, true, false);
    while (ring_model_store(script.sim.model, 0, 0, page, ++script.value) !=
           RING_MODEL_RING_FULL) {
        page++;
    }
    dirty_sim_ring_full(&script.sim, 0);
    dirty_sim_check(&script.sim, "failed");
    dirty_sim_send_all(&script.sim);

    /* From here on the kernel works again. */
    script.for_ever = false;
    while (ring_model_store(script.sim.model, 0, 0, page, ++script.value) ==
           RING_MODEL_RING_FULL) {
        g_assert_cmpuint(++tries, <, 10);
        dirty_sim_ring_full(&script.sim, 0);
        dirty_sim_check(&script.sim, "tried");
    }
    g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
    dirty_sim_destroy(&script.sim);
}

/*
 * What an earlier reset left behind makes up for what this one leaves: the
 * number is right, and says nothing.
 */
static void test_reset_coincidence(void)
{
    static const RingModelFault faults[] = {
        { .limit = 0, .result = -EIO },
        { .limit = SCRIPT_ENTRIES, .forget = true },
    };
    Script script;

    script_init(&script, faults, ARRAY_SIZE(faults), false, false);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpuint(script_round(&script), ==, SCRIPT_ENTRIES);
        dirty_sim_check(&script.sim, "synced");
        dirty_sim_send_all(&script.sim);
    }
    g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
    dirty_sim_destroy(&script.sim);
}

/* A vCPU is unplugged after a reset that left its entries where they were. */
static void test_reset_unplug(void)
{
    static const RingModelFault fault = { .limit = 0, .result = -EIO };
    Script script;

    script_init(&script, &fault, 1, false, false);
    script_store(&script, 0, 0, 8);
    dirty_sim_unplug(&script.sim, 0);
    dirty_sim_check(&script.sim, "unplugged");
    dirty_sim_send_all(&script.sim);
    script_store(&script, 1, 0, 3);
    dirty_sim_sync(&script.sim);
    dirty_sim_check(&script.sim, "the other");
    dirty_sim_plug(&script.sim, 0);
    for (unsigned lap = 0; lap < 100; lap++) {
        script_store(&script, 0, lap, 5);
        dirty_sim_sync(&script.sim);
        dirty_sim_check(&script.sim, "replugged");
        dirty_sim_send_all(&script.sim);
    }
    g_assert_cmpuint(dirty_sim_finish(&script.sim), ==, 0);
    dirty_sim_destroy(&script.sim);
}

int main(int argc, char **argv)
{
    static const RingModelFault none = { .limit = 0 };
    static const RingModelFault eintr = { .limit = 0, .result = -EINTR };
    static const RingModelFault error = { .limit = 0, .result = -EIO };
    static const RingModelFault uncounted = { .limit = 3, .forget = true,
                                              .result = -EINTR };
    static const RingModelFault more = { .limit = UINT32_MAX, .result = 100 };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-ring/empty", test_empty);
    g_test_add_func("/dirty-ring/order", test_order);
    g_test_add_func("/dirty-ring/wrap", test_wrap);
    g_test_add_func("/dirty-ring/full", test_full);
    g_test_add_func("/dirty-ring/holds", test_holds);
    g_test_add_func("/dirty-ring/sorted", test_sorted);
    g_test_add_func("/dirty-ring/sorted-many", test_sorted_many);
    g_test_add_func("/dirty-ring/look", test_look);
    g_test_add_func("/dirty-ring/unsortable", test_unsortable);
    g_test_add_func("/dirty-ring/detach", test_detach);
    g_test_add_func("/dirty-ring/detach-staged", test_detach_staged);
    g_test_add_func("/dirty-ring/bound", test_bound);
    g_test_add_func("/dirty-ring/many-rings", test_many_rings);
    g_test_add_func("/dirty-ring/unknown", test_unknown);
    g_test_add_func("/dirty-ring/two-spaces", test_two_spaces);
    g_test_add_func("/dirty-ring/slot-reuse", test_slot_reuse);
    g_test_add_func("/dirty-ring/refill", test_refill);
    for (unsigned i = 0; i < ARRAY_SIZE(reset_cases); i++) {
        const char *name = reset_cases[i].name;
        g_autofree char *quiet = g_strdup_printf("/dirty-ring/reset/%s", name);
        g_autofree char *busy = g_strdup_printf("/dirty-ring/reset-busy/%s",
                                                name);

        g_test_add_data_func(quiet, &reset_cases[i], test_reset);
        g_test_add_data_func(busy, &reset_cases[i], test_reset_busy);
    }
    g_test_add_data_func("/dirty-ring/reset-never/none", &none,
                         test_reset_never);
    g_test_add_data_func("/dirty-ring/reset-never/eintr", &eintr,
                         test_reset_never);
    g_test_add_data_func("/dirty-ring/reset-never/error", &error,
                         test_reset_never);
    g_test_add_data_func("/dirty-ring/reset-never/uncounted", &uncounted,
                         test_reset_never);
    g_test_add_data_func("/dirty-ring/reset-never/more", &more,
                         test_reset_never);
    g_test_add_data_func("/dirty-ring/reset-stall/none", &none,
                         test_reset_stall);
    g_test_add_data_func("/dirty-ring/reset-stall/eintr", &eintr,
                         test_reset_stall);
    g_test_add_data_func("/dirty-ring/reset-stall/error", &error,
                         test_reset_stall);
    g_test_add_func("/dirty-ring/reset-coincidence", test_reset_coincidence);
    g_test_add_func("/dirty-ring/reset-unplug", test_reset_unplug);
    return g_test_run();
}
