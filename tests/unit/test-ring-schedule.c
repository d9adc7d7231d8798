/*
 * Tests of the dirty ring by random schedules
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One thread plays all parts, in an order that a seed determines: vCPUs that
 * store, syncs, full rings, a sender, vCPUs and slots that come and go, resets
 * that go wrong; and vCPUs and sender again in the middle of resets and of
 * publication.  After each step nothing must have been lost.
 *
 * A failure names its seed; DIRTY_SEED=n in the environment runs only that.
 * DIRTY_FUZZ_SECONDS=n sets how long new seeds are tried.
 */

#include "qemu/osdep.h"
#include "dirty-sim.h"
#include "schedule.h"

#define SLOTS 3             /* ids in use in each address space */

typedef struct Schedule {
    DirtySim sim;
    uint32_t seed;
    GRand *rand;
    uint64_t step;
    uint64_t value;
    double fault_rate;
    bool nested;            /* within a reset or publication */
    bool inhibited;         /* vCPUs must not run */
    /* What has been covered, over all seeds */
    struct {
        uint64_t stores, full, entries, faults, reprotects, nested, unknown;
    } *seen;
} Schedule;

typedef typeof(*((Schedule *)0)->seen) Coverage;

static Coverage coverage;

static void check(Schedule *s, const char *what)
{
    g_autofree char *when = schedule_when(s->seed, s->step, what);

    dirty_sim_check(&s->sim, when);
}

static uint32_t any_key(Schedule *s)
{
    return RING_MODEL_KEY(below(s, RING_MODEL_AS_MAX), below(s, SLOTS));
}

static RingModelExit store_once(Schedule *s, unsigned vcpu, uint32_t key,
                                uint64_t offset)
{
    s->seen->stores++;
    return ring_model_store(s->sim.model, vcpu, key, offset, ++s->value);
}

/* A vCPU is plugged, or config.vcpus if none is. */
static unsigned any_vcpu(Schedule *s)
{
    unsigned first = below(s, s->sim.config.vcpus);

    for (unsigned i = 0; i < s->sim.config.vcpus; i++) {
        unsigned vcpu = (first + i) % s->sim.config.vcpus;

        if (s->sim.plugged[vcpu]) {
            return vcpu;
        }
    }
    return s->sim.config.vcpus;
}

static void do_store(Schedule *s)
{
    unsigned vcpu = any_vcpu(s);
    uint32_t key = any_key(s);
    uint64_t offset = below(s, s->sim.config.pages);
    unsigned tries = 0;

    if (vcpu == s->sim.config.vcpus) {
        return;
    }
    while (store_once(s, vcpu, key, offset) == RING_MODEL_RING_FULL) {
        s->seen->full++;
        if (s->nested) {
            break;
        }
        if (++tries == 1000) {
            g_error("DIRTY_SEED=%u, step %" PRIu64 ": vCPU %u is stuck with "
                    "its ring full", s->seed, s->step, vcpu);
        }
        if (chance(s, 0.2)) {
            dirty_sim_sync(&s->sim);
        } else {
            dirty_sim_ring_full(&s->sim, vcpu);
        }
    }
}

static void do_send(Schedule *s)
{
    unsigned first = below(s, s->sim.config.pages);
    unsigned n = 1 + below(s, 8);

    for (unsigned i = first; i < MIN(first + n, s->sim.config.pages); i++) {
        dirty_sim_send(&s->sim, i);
    }
}

/* An entry that may make no sense at all */
static void do_garbage(Schedule *s)
{
    static const uint64_t offsets[] = { 1, 100, UINT32_MAX, 1ULL << 52,
                                        UINT64_MAX };
    unsigned vcpu = any_vcpu(s);
    uint32_t key = chance(s, 0.5) ? any_key(s) : g_rand_int(s->rand);

    if (vcpu < s->sim.config.vcpus) {
        ring_model_push(s->sim.model, vcpu, key,
                        offsets[below(s, ARRAY_SIZE(offsets))]);
    }
}

static void do_set_slot(Schedule *s)
{
    uint64_t base = below(s, s->sim.config.pages);
    uint64_t npages = chance(s, 0.4) ? 0
                                     : below(s, s->sim.config.pages - base + 1);

    s->inhibited = true;
    dirty_sim_set_slot(&s->sim, any_key(s), base, npages);
    s->inhibited = false;
}

static void do_plug(Schedule *s)
{
    unsigned vcpu = below(s, s->sim.config.vcpus);

    if (s->sim.plugged[vcpu]) {
        dirty_sim_unplug(&s->sim, vcpu);
    } else {
        dirty_sim_plug(&s->sim, vcpu);
    }
}

static void do_exit(Schedule *s)
{
    ring_model_exit(s->sim.model, below(s, s->sim.config.vcpus));
}

static void do_sync(Schedule *s)
{
    s->seen->entries += dirty_sim_sync(&s->sim);
}

/*
 * Migration is cancelled and started again: all is dirty; or it comes to its
 * end, and the source goes on as if the destination had failed.
 */
static void do_finish(Schedule *s)
{
    uint64_t differ = dirty_sim_finish(&s->sim);

    if (differ) {
        g_error("DIRTY_SEED=%u, step %" PRIu64 ": %" PRIu64 " pages differ",
                s->seed, s->step, differ);
    }
    s->sim.stopped = false;
}

static const struct {
    const char *name;
    unsigned weight;
    void (*fn)(Schedule *s);
    bool nests;             /* may happen in the middle of others */
} steps[] = {
    { "store", 500, do_store, true },
    { "send", 250, do_send, true },
    { "sync", 80, do_sync },
    { "vCPU exit", 30, do_exit, true },
    { "garbage", 20, do_garbage, true },
    { "slot change", 20, do_set_slot },
    { "vCPU hotplug", 20, do_plug },
    { "end of migration", 5, do_finish },
};

static void one_step(Schedule *s)
{
    unsigned total = 0, at;

    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        total += !s->nested || steps[i].nests ? steps[i].weight : 0;
    }
    at = below(s, total);
    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        unsigned weight = !s->nested || steps[i].nests ? steps[i].weight : 0;

        if (at < weight) {
            steps[i].fn(s);
            check(s, steps[i].name);
            return;
        }
        at -= weight;
    }
    g_assert_not_reached();
}

static void nested_steps(Schedule *s)
{
    if (s->nested || s->inhibited || s->sim.stopped) {
        return;
    }
    s->nested = true;
    check(s, "in a reset");
    while (chance(s, 0.4)) {
        one_step(s);
        s->seen->nested++;
    }
    s->nested = false;
}

static void schedule_interleave(void *opaque)
{
    nested_steps(opaque);
}

static void schedule_publishing(DirtySim *sim)
{
    nested_steps(container_of(sim, Schedule, sim));
}

/*
 * One reset that nobody can recognise as a bad one is left out: a signal that
 * comes after the last entry was taken, with the count complete and part of
 * the protection forgotten.  It is for the caller to block signals.
 */
static void schedule_fault(void *opaque, RingModelFault *fault)
{
    static const int errors[] = { -EINTR, -EINTR, -EAGAIN, -EIO, -ENOMEM };
    Schedule *s = opaque;
    size_t staged = s->sim.stage.used;

    if (!chance(s, s->fault_rate)) {
        return;
    }
    s->seen->faults++;
    if (chance(s, 0.3)) {
        fault->result = errors[below(s, ARRAY_SIZE(errors))];
        fault->limit = chance(s, 0.5) ? below(s, 10) : UINT32_MAX;
        fault->forget = chance(s, 0.5);
    } else if (staged) {
        fault->limit = below(s, staged);
        fault->forget = chance(s, 0.5);
    }
}

static void run_schedule(uint32_t seed, unsigned nsteps)
{
    Schedule s = { .seed = seed, .rand = g_rand_new_with_seed(seed),
                   .seen = &coverage };
    RingModelConfig config = {
        .vcpus = 1 + below(&s, 3),
        .ring_size = 4U << below(&s, 4),
        .pages = 8 + below(&s, 56),
        .first_index = UINT32_MAX - below(&s, 200),
        .fault = schedule_fault,
        .interleave = schedule_interleave,
        .opaque = &s,
    };

    config.reserved = below(&s, config.ring_size);
    config.pml_size = chance(&s, 0.5) ? 0 : below(&s, config.reserved + 1);
    s.fault_rate = chance(&s, 0.5) ? 0 : 0.3;

    s.inhibited = true;
    dirty_sim_init(&s.sim, &config);
    s.sim.publishing = schedule_publishing;
    dirty_sim_set_slot(&s.sim, 0, 0, config.pages / 2);
    dirty_sim_set_slot(&s.sim, 1, config.pages / 2, config.pages / 2);
    dirty_sim_set_slot(&s.sim, RING_MODEL_KEY(1, 0), 0, config.pages);
    s.inhibited = false;

    for (s.step = 0; s.step < nsteps; s.step++) {
        one_step(&s);
    }
    do_finish(&s);

    s.seen->reprotects += s.sim.reprotects;
    s.seen->unknown += s.sim.unknown;
    dirty_sim_destroy(&s.sim);
    g_rand_free(s.rand);
}

/* The same ones each time, so that what one change breaks shows at once */
static void test_fixed(void)
{
    uint32_t seed;

    if (schedule_only_seed(&seed)) {
        run_schedule(seed, 2000);
        return;
    }
    for (seed = 1; seed <= 100; seed++) {
        run_schedule(seed, 400);
    }

    /* All that it is about has happened, and often. */
    g_assert_cmpuint(coverage.stores, >, 10000);
    g_assert_cmpuint(coverage.full, >, 1000);
    g_assert_cmpuint(coverage.entries, >, 1000);
    g_assert_cmpuint(coverage.faults, >, 100);
    g_assert_cmpuint(coverage.reprotects, >, 100);
    g_assert_cmpuint(coverage.nested, >, 1000);
    g_assert_cmpuint(coverage.unknown, >, 100);
}

static void test_fuzz(void)
{
    gint64 end = g_get_monotonic_time() +
                 schedule_fuzz_seconds(2) * G_TIME_SPAN_SECOND;
    unsigned runs = 0;
    uint32_t seed;

    if (schedule_only_seed(&seed)) {
        g_test_skip("DIRTY_SEED is set");
        return;
    }
    do {
        run_schedule(g_random_int(), 2000);
        runs++;
    } while (g_get_monotonic_time() < end);
    g_test_message("%u schedules of 2000 steps, %" PRIu64 " stores, %" PRIu64
                   " ring-full exits, %" PRIu64 " bad resets", runs,
                   coverage.stores, coverage.full, coverage.faults);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring-schedule/fixed", test_fixed);
    g_test_add_func("/ring-schedule/fuzz", test_fuzz);
    return g_test_run();
}
