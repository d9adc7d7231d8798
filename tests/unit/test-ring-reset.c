/*
 * Tests of dirty rings whose reset goes wrong
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dirty-sim.h"

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
        .first_index = RING_MODEL_BEFORE_WRAP,
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

/* Whatever went wrong, all has arrived. */
static void script_finish(Script *script)
{
    g_assert_cmpuint(dirty_sim_finish(&script->sim), ==, 0);
    dirty_sim_destroy(&script->sim);
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

        script_finish(&script);
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
    script_finish(&script);
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
    script_finish(&script);
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
    script_finish(&script);
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
    script_finish(&script);
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
    script_finish(&script);
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
