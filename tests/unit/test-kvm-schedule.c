/*
 * Tests of the tracker on a model of KVM, by random schedules
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One thread plays all parts, in an order that a seed determines: vCPUs that
 * store, the sender, syncs, refreshes of the display, memory and vCPUs that
 * come and go, ioctls that fail; and vCPUs and sender again in the middle of
 * ioctls.  After each step nothing must have been lost.
 *
 * A failure names its seed; DIRTY_SEED=n in the environment runs only that.
 * DIRTY_FUZZ_SECONDS=n sets how long new seeds are tried.
 */

#include "qemu/osdep.h"
#include "system/dirty-tracking.h"
#include "kvm-world.h"
#include "schedule.h"

#define PAGES 640
#define STEPS 600
/* So many seeds are always tried, */
#define FIXED_SEEDS 20
/* and so many if that takes no more seconds: with thread sanitizer it does. */
#define QUICK_SEEDS 100
#define QUICK_SECONDS 1

/* What KVM offers, and what is made of it */
typedef struct Setup {
    const char *name;
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;
    int manual_protect;
    bool with_bitmap, overflow, wp_all;
    uint32_t pml_size;
} Setup;

#define MANUAL KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define SET KVM_DIRTY_LOG_INITIALLY_SET

static const Setup setups[] = {
    { "log", KVM_DIRTY_TRACKING_MODE_LOG },
    { "log-pml", KVM_DIRTY_TRACKING_MODE_LOG, .pml_size = 8 },
    { "log-manual", KVM_DIRTY_TRACKING_MODE_LOG, .manual_protect = MANUAL },
    { "log-set", KVM_DIRTY_TRACKING_MODE_LOG, .manual_protect = MANUAL | SET },
    { "ring", KVM_DIRTY_TRACKING_MODE_RING, 256 },
    { "ring-pml", KVM_DIRTY_TRACKING_MODE_RING, 256, .pml_size = 8 },
    { "ring-bitmap", KVM_DIRTY_TRACKING_MODE_RING, 256, .with_bitmap = true },
    { "ring-overflow", KVM_DIRTY_TRACKING_MODE_RING, 256, .overflow = true },
    { "ring-all", KVM_DIRTY_TRACKING_MODE_RING, 256, .overflow = true,
      .wp_all = true, .pml_size = 8 },
    { "wp-all", KVM_DIRTY_TRACKING_MODE_WP_ALL, .wp_all = true },
    { "wp-all-pml", KVM_DIRTY_TRACKING_MODE_WP_ALL, .wp_all = true,
      .pml_size = 8 },
};

typedef struct Schedule {
    World *w;
    uint32_t seed;
    GRand *rand;
    uint64_t step;
    uint64_t value;
    double fault_rate;          /* of resets */
    double refusal_rate;        /* of other ioctls */
    bool nested;                /* within an ioctl */
    WorldRegion *movable;       /* or NULL */
} Schedule;

/* What has been covered, over all seeds */
static struct {
    uint64_t stores, nested, faults, refusals, migrations, late, lost;
} seen;

static void check(Schedule *s, const char *what)
{
    g_autofree char *when = schedule_when(s->seed, s->step, what);

    world_check(s->w, when);
}

/* Any region that is mapped, with vCPU and page to store to */
static WorldRegion *any_region(Schedule *s, unsigned *vcpu, uint64_t *offset)
{
    WorldRegion *region;

    do {
        region = &s->w->regions[below(s, WORLD_REGIONS)];
    } while (!region->npages);
    *offset = below(s, region->npages);
    do {
        *vcpu = below(s, s->w->config.vcpus);
    } while (!s->w->plugged[*vcpu]);
    return region;
}

static void do_store(Schedule *s)
{
    uint64_t offset;
    unsigned vcpu;
    WorldRegion *region = any_region(s, &vcpu, &offset);

    seen.stores++;
    world_store(s->w, vcpu, region, offset, ++s->value);
}

/* A vCPU writes to so much that its ring may be full. */
static void do_burst(Schedule *s)
{
    WorldRegion *ram = &s->w->regions[0];
    uint64_t first = below(s, ram->npages);
    uint64_t n = 100 + below(s, 300);

    for (uint64_t i = 0; i < n; i++) {
        world_store(s->w, 0, ram, (first + i) % ram->npages, ++s->value);
    }
    seen.stores += n;
    check(s, "written");
}

static void do_send(Schedule *s)
{
    uint64_t first = below(s, PAGES);
    uint64_t n = 1 + below(s, 32);

    for (uint64_t i = first; i < MIN(first + n, PAGES); i++) {
        world_send(s->w, i);
    }
}

/* Called in the middle of ioctls */
static void interleave(void *opaque)
{
    World *w = opaque;
    Schedule *s = w->test;
    uint64_t offset;
    unsigned vcpu;

    if (!s || s->nested || !chance(s, 0.05)) {
        return;
    }
    s->nested = true;
    seen.nested++;
    if (w->sending && chance(s, 0.4)) {
        world_take_published(w);
        do_send(s);
    }
    if (!w->vcpus_out && w->runstate == RUN_STATE_RUNNING) {
        for (int i = below(s, 4); i > 0; i--) {
            WorldRegion *region = any_region(s, &vcpu, &offset);

            if (world_slot(w, region, offset)) {
                world_store_once(w, vcpu, region, offset, ++s->value);
            }
        }
    }
    s->nested = false;
}

/*
 * As in test-ring-schedule.c the one that nobody can recognise is left out: all
 * entries are counted, but part of the protection is forgotten.
 */
static void fault(void *opaque, RingModelFault *how)
{
    static const int errors[] = { -EINTR, -EINTR, -EAGAIN, -EIO };
    World *w = opaque;
    Schedule *s = w->test;
    DirtyRings *rings = w->state.dirty_tracker->rings;
    size_t staged = rings ? rings->stage.used : 0;

    if (!s || !chance(s, s->fault_rate)) {
        return;
    }
    seen.faults++;
    how->forget = chance(s, 0.5);
    if (!staged || chance(s, 0.3)) {
        how->result = errors[below(s, ARRAY_SIZE(errors))];
        how->limit = chance(s, 0.5) ? below(s, 20) : UINT32_MAX;
    } else {
        how->limit = below(s, staged);
    }
}

/* What kvm-all.c would abort for, and what the guest is started by, works. */
static int enter(void *opaque, unsigned long request, const void *arg)
{
    const struct kvm_userspace_memory_region *region = arg;
    World *w = opaque;
    Schedule *s = w->test;

    if (!s || !chance(s, s->refusal_rate)) {
        return 0;
    }
    switch (request) {
    case KVM_SET_USER_MEMORY_REGION:
        if (!region->memory_size || !region->flags) {
            return 0;
        }
        break;
    case KVM_GET_DIRTY_LOG:
    case KVM_CLEAR_DIRTY_LOG:
    case KVM_WRITE_PROTECT_ALL_MEM:
    case KVM_ENABLE_CAP:
        break;
    default:
        return 0;
    }
    seen.refusals++;
    return -ENOMEM;
}

static void do_move(Schedule *s)
{
    if (s->movable) {
        world_unmap(s->w, s->movable);
        s->movable = NULL;
    } else {
        uint64_t page = 400 + below(s, 60);

        s->movable = world_map(s->w, below(s, 2), 1000 + below(s, 100), page,
                               1 + below(s, 100), 32 + below(s, 64));
    }
    check(s, "moved");
}

static void do_plug(Schedule *s)
{
    unsigned vcpu = 1 + below(s, s->w->config.vcpus - 1);

    if (s->w->plugged[vcpu]) {
        world_unplug(s->w, vcpu);
    } else {
        world_plug(s->w, vcpu);
    }
    check(s, "plugged");
}

static void do_display(Schedule *s)
{
    WorldRegion *region = &s->w->regions[2];

    if (chance(s, 0.7)) {
        world_sync_display(s->w, region);
    } else {
        world_set_display(s->w, region, !region->mr.dirty_log_mask);
    }
    check(s, "display");
}

static void do_migrate(Schedule *s)
{
    bool late = chance(s, 0.7);

    if (s->w->sending) {
        uint64_t differ = world_finish(s->w);

        if (differ) {
            g_error("DIRTY_SEED=%u, step %" PRIu64 ": %" PRIu64
                    " pages differ", s->seed, s->step, differ);
        }
        world_set_running(s->w, true);
        world_end_migration(s->w);
        return;
    }
    world_migrate(s->w, late);
    seen.migrations++;
    seen.late += s->w->state.dirty_tracker->late.count > 0;
    check(s, "migrating");
}

static void do_others(Schedule *s)
{
    switch (below(s, 4)) {
    case 0:
        s->w->limited = !s->w->limited && chance(s, 0.3);
        break;
    case 1:
        kvm_dirty_tracking_log_all();
        check(s, "logging all");
        break;
    case 2:
        kvm_dirty_tracking_presync();
        check(s, "before sync");
        break;
    default:
        world_reaper_turn(s->w);
        check(s, "reaper");
    }
}

static void do_step(Schedule *s)
{
    uint32_t what = below(s, 1000);

    s->step++;
    if (what < 690) {
        do_store(s);
    } else if (what < 700) {
        do_burst(s);
    } else if (what < 850) {
        do_send(s);
        check(s, "sent");
    } else if (what < 900) {
        if (s->w->sending) {
            world_sync(s->w, false);
            check(s, "synced");
        }
    } else if (what < 930) {
        do_others(s);
    } else if (what < 950) {
        do_move(s);
    } else if (what < 965) {
        do_plug(s);
    } else if (what < 990) {
        do_display(s);
    } else {
        do_migrate(s);
    }
}

static void run_seed(const Setup *setup, uint32_t seed)
{
    WorldConfig config = {
        .offer = kvm_model_everything,
        .mode = setup->mode,
        .ring_size = setup->ring_size,
        .vcpus = 3,
        .pages = PAGES,
        .pml_size = setup->pml_size,
        .enter = enter,
        .interleave = interleave,
        .fault = fault,
    };
    Schedule s = { .seed = seed, .rand = g_rand_new_with_seed(seed) };

    config.offer.manual_protect = setup->manual_protect;
    config.offer.ring_with_bitmap = setup->with_bitmap;
    config.offer.ring_overflow = setup->overflow;
    config.offer.wp_all = setup->wp_all ? config.offer.wp_all : 0;

    s.w = world_boot(&config);
    world_map(s.w, 0, 0, 0, 400, 70);
    world_map(s.w, 1, 0, 16, 40, 64);
    world_map(s.w, 0, 500, 560, 50, 64);
    s.fault_rate = seed % 3 ? 0 : 0.1;
    s.refusal_rate = seed % 4 ? 0 : 0.05;
    s.w->test = &s;
    for (int i = 0; i < STEPS; i++) {
        do_step(&s);
    }
    if (!s.w->sending) {
        do_migrate(&s);
    }
    do_migrate(&s);
    seen.lost += s.w->lost > 0;
    s.w->test = NULL;
    world_free(s.w);
    g_rand_free(s.rand);
}

static void test_setup(gconstpointer opaque)
{
    const Setup *setup = opaque;
    double seconds = schedule_fuzz_seconds(0) / ARRAY_SIZE(setups);
    uint32_t seed = 1;

    if (schedule_only_seed(&seed)) {
        run_seed(setup, seed);
        return;
    }
    g_test_timer_start();
    for (; seed <= FIXED_SEEDS ||
           (seed <= QUICK_SEEDS && g_test_timer_elapsed() < QUICK_SECONDS);
         seed++) {
        run_seed(setup, seed);
    }
    for (g_test_timer_start(); g_test_timer_elapsed() < seconds;) {
        run_seed(setup, g_random_int());
    }
}

/* The schedules would prove little if they did not get everywhere. */
static void test_coverage(void)
{
    uint32_t seed;

    g_test_message("%" PRIu64 " stores, %" PRIu64 " times others acted in an "
                   "ioctl, %" PRIu64 " resets went wrong, %" PRIu64
                   " ioctls refused, %" PRIu64 " migrations, %" PRIu64 " late, "
                   "%" PRIu64 " times protection was lost", seen.stores,
                   seen.nested, seen.faults, seen.refusals, seen.migrations,
                   seen.late, seen.lost);
    if (schedule_only_seed(&seed) || !seen.stores) {
        return;                 /* only some of the tests were asked for */
    }
    g_assert_cmpuint(seen.nested, >, 1000);
    g_assert_cmpuint(seen.faults, >, 100);
    g_assert_cmpuint(seen.refusals, >, 100);
    g_assert_cmpuint(seen.late, >, 100);
    g_assert_cmpuint(seen.lost, >, 5);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(setups); i++) {
        g_autofree char *path = g_strdup_printf("/kvm-schedule/%s",
                                                setups[i].name);

        g_test_add_data_func(path, &setups[i], test_setup);
    }
    g_test_add_func("/kvm-schedule/coverage", test_coverage);
    return g_test_run();
}
