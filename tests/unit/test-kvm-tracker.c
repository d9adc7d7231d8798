/*
 * Tests of the choice of a backend, and of the tracker's door for kvm-all.c
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/dirty-tracking.h"
#include "accel/kvm/dirty/features.h"
#include "kvm-world.h"

#define PAGES 128

#define AUTO KVM_DIRTY_TRACKING_MODE_AUTO
#define RING KVM_DIRTY_TRACKING_MODE_RING
#define LOG KVM_DIRTY_TRACKING_MODE_LOG
#define WP_ALL KVM_DIRTY_TRACKING_MODE_WP_ALL

/* What KVM has, and what of it refuses to be enabled */
enum {
    HAS_RING = 1,
    HAS_ACQ_REL = 2,
    HAS_WP_ALL = 4,
    HAS_TAKE = 8,
    HAS_OVERFLOW = 16,
    HAS_RESET = 32,
    HAS_WATERMARK = 64,
    HAS_BITMAP = 128,
    HAS_FEATURES = HAS_WP_ALL | HAS_TAKE | HAS_OVERFLOW | HAS_RESET |
                   HAS_WATERMARK,
};

typedef struct Choice {
    const char *name;
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;
    unsigned has;
    int refused;            /* a KVM_CAP_* */
    int err;
    /* Expected.  @backend < 0: none; @says: part of what is reported */
    int backend;
    const char *reason;
    bool fallback;
    const char *says;
    bool overflow, watermark, wp_all;
    uint32_t size;          /* of rings in the end */
} Choice;

#define IS_LOG KVM_DIRTY_BACKEND_LOG
#define IS_RING KVM_DIRTY_BACKEND_RING
#define IS_WP_ALL KVM_DIRTY_BACKEND_WP_ALL
#define LEGACY " (protected by each fetch)"

static const Choice choices[] = {
    /* What is asked for by name */
    { "log", LOG, 0, HAS_RING | HAS_FEATURES, .backend = IS_LOG,
      .reason = "asked for by dirty-tracking=log" LEGACY },
    { "log/ring-size", LOG, 256, HAS_RING, .backend = IS_LOG,
      .reason = "asked for by dirty-tracking=log" LEGACY,
      .says = "dirty-ring-size=256 has no effect with dirty-tracking=log" },
    { "ring", RING, 256, HAS_RING, .backend = IS_RING, .size = 256,
      .reason = "asked for by dirty-tracking=ring" },
    { "ring/acq-rel", RING, 256, HAS_ACQ_REL, .backend = IS_RING, .size = 256,
      .reason = "asked for by dirty-tracking=ring" },
    { "ring/no-size", RING, 0, HAS_RING, .backend = -1,
      .says = "dirty-tracking=ring needs a ring" },
    { "ring/not-offered", RING, 256, HAS_FEATURES, .backend = -1,
      .says = "dirty-tracking=ring is not possible, use dirty-tracking=auto "
              "or log: this kernel's KVM does not offer" },
    { "ring/too-large", RING, 131072, HAS_RING, .backend = -1,
      .says = "dirty-ring-size=131072, max 65536" },
    { "ring/too-small", RING, 128, HAS_RING, .backend = -1,
      .says = "dirty-ring-size=128, max 65536: Invalid argument" },
    { "ring/refused", RING, 256, HAS_RING, KVM_CAP_DIRTY_LOG_RING, EPERM, -1,
      .says = "Operation not permitted" },
    /* What is offered must not be taken for what is not. */
    { "ring/refused-as-unknown", RING, 256, HAS_RING, KVM_CAP_DIRTY_LOG_RING,
      ENOTSUP, -1, .says = "dirty-ring-size=256, max 65536" },
    { "ring/bitmap-refused", RING, 256, HAS_RING | HAS_BITMAP,
      KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, ENOTSUP, -1,
      .says = "KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP is offered but cannot" },
    { "wp-all", WP_ALL, 0, HAS_WP_ALL | HAS_TAKE, .backend = IS_WP_ALL,
      .reason = "asked for by dirty-tracking=wp-all", .wp_all = true },
    { "wp-all/ring-size", WP_ALL, 256, HAS_RING | HAS_FEATURES,
      .backend = IS_WP_ALL, .reason = "asked for by dirty-tracking=wp-all",
      .says = "dirty-ring-size=256 has no effect", .wp_all = true },
    { "wp-all/not-offered", WP_ALL, 0, HAS_RING | HAS_TAKE, .backend = -1,
      .says = "dirty-tracking=wp-all is not possible, use "
              "dirty-tracking=auto, ring or log: this kernel's KVM" },
    { "wp-all/half-offered", WP_ALL, 0, HAS_WP_ALL, .backend = -1,
      .says = "dirty-tracking=wp-all is not possible" },
    { "wp-all/refused", WP_ALL, 0, HAS_WP_ALL | HAS_TAKE,
      KVM_CAP_X86_WRITE_PROTECT_ALL_MEM, ENOTSUP, -1,
      .says = "is offered but cannot be enabled" },
    { "wp-all/half-refused", WP_ALL, 0, HAS_WP_ALL | HAS_TAKE,
      KVM_CAP_X86_DIRTY_LOG_WITHOUT_WRITE_PROTECT, EINVAL, -1,
      .says = "is offered but cannot be enabled" },

    /* What the kernel series has, with the ring */
    { "features", RING, 256, HAS_RING | HAS_FEATURES, .backend = IS_RING,
      .reason = "asked for by dirty-tracking=ring", .size = 256,
      .overflow = true, .watermark = true, .wp_all = true },
    { "features/no-count", RING, 256, HAS_RING | HAS_OVERFLOW | HAS_WATERMARK,
      .backend = IS_RING, .reason = "asked for by dirty-tracking=ring",
      .size = 256 },
    { "features/watermark-alone", RING, 256,
      HAS_RING | HAS_RESET | HAS_WATERMARK, .backend = IS_RING,
      .reason = "asked for by dirty-tracking=ring", .size = 256 },
    { "features/overflow-refused", RING, 256, HAS_RING | HAS_FEATURES,
      KVM_CAP_DIRTY_LOG_RING_OVERFLOW, EPERM, IS_RING,
      "asked for by dirty-tracking=ring", .size = 256, .wp_all = true,
      .says = "vCPUs stop when their rings are full" },
    { "features/watermark-refused", RING, 256, HAS_RING | HAS_FEATURES,
      KVM_CAP_DIRTY_LOG_RING_WATERMARK, EPERM, IS_RING,
      "asked for by dirty-tracking=ring", .size = 256, .wp_all = true,
      .overflow = true, .says = "looking at rings from time to time" },
    { "features/wp-all-refused", RING, 256, HAS_RING | HAS_FEATURES,
      KVM_CAP_X86_WRITE_PROTECT_ALL_MEM, EPERM, IS_RING,
      "asked for by dirty-tracking=ring", .size = 256, .overflow = true,
      .watermark = true, .says = "KVM_CAP_X86_WRITE_PROTECT_ALL_MEM" },

    /* What is chosen by itself, of what every kernel may have */
    { "auto", AUTO, 0, HAS_RING, .backend = IS_LOG,
      .reason = "dirty-ring-size is 0" LEGACY },
    { "auto/ring", AUTO, 256, HAS_RING, .backend = IS_RING, .size = 256,
      .reason = "asked for by dirty-ring-size" },
    { "auto/no-ring", AUTO, 256, 0, .backend = IS_LOG, .fallback = true,
      .reason = "KVM_CAP_DIRTY_LOG_RING is not offered" LEGACY,
      .says = "dirty-ring-size=256 ignored, using the dirty log (bitmap): "
              "this kernel's KVM does not offer" },
    { "auto/too-large", AUTO, 131072, HAS_RING, .backend = -1,
      .says = "dirty-ring-size=131072, max 65536" },
    { "auto/refused", AUTO, 256, HAS_RING, KVM_CAP_DIRTY_LOG_RING, ENOTSUP, -1,
      .says = "dirty-ring-size=256" },
};

/* Those that need a processor on which the series' code was tried */
static const Choice tried[] = {
    { "auto/wp-all", AUTO, 0, HAS_WP_ALL | HAS_TAKE, .backend = IS_WP_ALL,
      .reason = "dirty-ring-size is 0, and KVM can write-protect all memory "
                "at once", .wp_all = true },
    { "auto/no-ring-wp-all", AUTO, 256, HAS_FEATURES, .backend = IS_WP_ALL,
      .fallback = true, .wp_all = true, .says = "dirty-ring-size=256 ignored",
      .reason = "KVM_CAP_DIRTY_LOG_RING is not offered, and KVM can "
                "write-protect all memory at once" },
    { "auto/wp-all-refused", AUTO, 0, HAS_WP_ALL | HAS_TAKE,
      KVM_CAP_X86_WRITE_PROTECT_ALL_MEM, EPERM, IS_LOG, .fallback = true,
      .reason = "dirty-ring-size is 0" LEGACY,
      .says = "protecting memory page by page: "
              "KVM_CAP_X86_WRITE_PROTECT_ALL_MEM is offered but cannot" },
    { "auto/features", AUTO, 256, HAS_RING | HAS_FEATURES, .backend = IS_RING,
      .reason = "asked for by dirty-ring-size", .size = 256,
      .overflow = true, .watermark = true, .wp_all = true },
};

static int refuse_cap(void *opaque, unsigned long request, const void *arg)
{
    const struct kvm_enable_cap *cap = arg;
    World *w = opaque;
    const Choice *c = w->test;

    return c && request == KVM_ENABLE_CAP && cap->cap == c->refused ? -c->err
                                                                    : 0;
}

static KvmModelOffer offer_of(unsigned has)
{
    const KvmModelOffer *all = &kvm_model_everything;

    return (KvmModelOffer) {
        .ring = has & HAS_RING ? all->ring : 0,
        .ring_acq_rel = has & (HAS_RING | HAS_ACQ_REL) ? all->ring_acq_rel : 0,
        .ring_with_bitmap = !!(has & HAS_BITMAP),
        .ring_reset = has & HAS_RESET ? all->ring_reset : 0,
        .ring_overflow = !!(has & HAS_OVERFLOW),
        .ring_watermark = !!(has & HAS_WATERMARK),
        .wp_all = has & HAS_WP_ALL ? all->wp_all : 0,
        .without_wp = !!(has & HAS_TAKE),
        .memslots = all->memslots,
    };
}

/* What was chosen is what works, too. */
static void try_backend(World *w)
{
    WorldRegion *ram = world_map(w, 0, 0, 0, PAGES, 64);

    world_migrate(w, true);
    world_send_all(w);
    world_store(w, 0, ram, 100, 1);
    world_check(w, "written");
    g_assert_cmpuint(world_finish(w), ==, 0);
}

static void test_choice(gconstpointer opaque)
{
    const Choice *c = opaque;
    WorldConfig config = {
        .offer = offer_of(c->has), .mode = c->mode, .ring_size = c->ring_size,
        .vcpus = 1, .pages = PAGES, .enter = refuse_cap,
    };
    World *w = world_new(&config);
    KVMDirtyTracker *t = w->state.dirty_tracker;
    int ret;

    w->test = (void *)c;
    ret = world_probe(w);
    if (c->backend < 0) {
        g_assert_cmpint(ret, ==, -ECANCELED);
    } else {
        g_assert_cmpint(ret, ==, 0);
        world_start(w);
        g_assert_cmpint(t->backend->id, ==, c->backend);
        g_assert_cmpstr(t->reason, ==, c->reason);
        g_assert_cmpuint(t->fallback, ==, c->fallback);
        g_assert_cmpuint(t->features.overflow, ==, c->overflow);
        g_assert_cmpuint(t->features.watermark, ==, c->watermark);
        g_assert_cmpuint(t->features.wp_all, ==, c->wp_all);
        g_assert_cmpuint(kvm_dirty_ring_size(), ==, c->size);
        g_assert_cmpuint(kvm_dirty_ring_enabled(), ==, c->size > 0);
        try_backend(w);
    }
    if (c->says) {
        g_assert_nonnull(strstr(w->said->str, c->says));
    } else {
        g_assert_cmpstr(w->said->str, ==, "");
    }
    world_free(w);
}

/* Elsewhere code that was never run there is not chosen by itself. */
static void test_not_tried(void)
{
    WorldConfig config = {
        .offer = offer_of(HAS_RING | HAS_FEATURES), .mode = AUTO,
        .ring_size = 256, .vcpus = 1, .pages = PAGES,
    };
    bool use = dirty_features_are_tried();
    World *w = world_boot(&config);
    KVMDirtyTracker *t = w->state.dirty_tracker;

    g_assert_true(t->offered.overflow && t->offered.watermark &&
                  t->offered.wp_all);
    g_assert_cmpuint(t->features.overflow, ==, use);
    g_assert_cmpuint(t->features.watermark, ==, use);
    g_assert_cmpuint(t->features.wp_all, ==, use);
    world_free(w);
}

static World *boot(KvmDirtyTrackingMode mode)
{
    WorldConfig config = {
        .offer = offer_of(HAS_RING | HAS_WP_ALL | HAS_TAKE), .mode = mode,
        .ring_size = mode == RING ? 256 : 0, .vcpus = 2, .pages = PAGES,
    };

    return world_boot(&config);
}

/* Rings belong to no address space: one sync is for all. */
static void test_one_sync(void)
{
    World *w = boot(RING);
    DirtyCounters *counters = &w->state.dirty_tracker->counters;
    WorldRegion *smm;
    unsigned calls;

    world_map(w, 0, 0, 0, PAGES, 64);
    smm = world_map(w, 1, 0, 0, 64, 64);
    world_migrate(w, false);
    world_send_all(w);
    world_store(w, 0, smm, 3, 1);
    calls = kvm_model_calls(w->kvm, KVM_RESET_DIRTY_RINGS);
    world_sync(w, false);
    g_assert_cmpuint(kvm_model_calls(w->kvm, KVM_RESET_DIRTY_RINGS), ==,
                     calls + 1);
    g_assert_true(w->bmap[3]);
    g_assert_cmpuint(stat64_get(&counters->syncs), ==, 2);
    world_free(w);
}

static bool must_quiesce(World *w, int as, uint64_t page, uint64_t npages)
{
    KVMMemoryListener *kml = &w->kml[as];
    KVMMemoryUpdate update = {
        .section = {
            .size = int128_make64(npages * KVM_MODEL_PAGE),
            .offset_within_address_space = page * KVM_MODEL_PAGE,
        },
    };
    bool ret;

    QSIMPLEQ_INSERT_TAIL(&kml->transaction_del, &update, next);
    ret = kvm_dirty_tracker_must_quiesce(kml);
    QSIMPLEQ_REMOVE_HEAD(&kml->transaction_del, next);
    return ret;
}

/* vCPUs are stopped for the removal of logged memory, and for no other. */
static void test_must_quiesce(void)
{
    World *w = boot(RING);
    WorldRegion *ram = world_map(w, 0, 10, 0, 64, 32);

    world_map(w, 1, 10, 64, 64, 64);
    g_assert_false(must_quiesce(w, 0, 10, 64));
    world_set_display(w, ram, true);
    g_assert_true(must_quiesce(w, 0, 10, 64));
    g_assert_true(must_quiesce(w, 0, 73, 1));
    g_assert_true(must_quiesce(w, 0, 0, 11));
    g_assert_false(must_quiesce(w, 0, 74, 10));
    g_assert_false(must_quiesce(w, 0, 0, 10));
    g_assert_false(must_quiesce(w, 1, 10, 64));
    g_assert_false(kvm_dirty_tracker_must_quiesce(&w->kml[0]));
    world_free(w);
}

/* Bits go to those who log the slot. */
static void test_clients(void)
{
    World *w = boot(RING);
    WorldRegion *ram = world_map(w, 0, 0, 0, 64, 64);
    WorldRegion *video = world_map(w, 0, 64, 64, 64, 64);
    unsigned long *vga = ram_list.dirty_memory[DIRTY_MEMORY_VGA]->blocks[0];

    world_set_display(w, video, true);
    world_store(w, 0, video, 1, 1);
    world_sync_display(w, video);
    g_assert_cmphex(vga[1], ==, 2);
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, PAGES), ==, 0);

    world_migrate(w, false);
    world_send_all(w);
    vga[1] = 0;
    world_store(w, 0, video, 2, 1);
    world_store(w, 0, ram, 3, 1);
    world_sync(w, false);
    g_assert_cmphex(vga[0], ==, 0);
    g_assert_cmphex(vga[1], ==, 4);
    g_assert_true(w->bmap[3] && w->bmap[66]);
    world_free(w);
}

static void test_no_kvm(void)
{
    World *w = boot(LOG);

    kvm_allowed = false;
    g_assert_null(kvm_dirty_tracking_info());
    g_assert_cmpuint(kvm_dirty_tracking_clear_shift(7), ==, 7);
    kvm_dirty_tracking_presync();
    kvm_dirty_tracking_log_all();
    g_assert_true(kvm_dirty_tracking_start_late(&error_abort));
    g_assert_cmpuint(global_dirty_tracking, ==, GLOBAL_DIRTY_MIGRATION);
    kvm_allowed = true;
    world_free(w);
}

/* For a large ring that is nearly full, and not for a few entries */
static void test_presync(void)
{
    WorldConfig config = {
        .offer = offer_of(HAS_RING), .mode = RING, .ring_size = 1024,
        .vcpus = 1, .pages = 1024,
    };
    World *w = world_boot(&config);
    WorldRegion *ram = world_map(w, 0, 0, 0, 1024, 1024);

    world_migrate(w, false);
    world_send_all(w);
    for (int page = 0; page < 511; page++) {
        world_store(w, 0, ram, page, 1);
    }
    world_set_role(WORLD_MIGRATION, NULL);
    kvm_dirty_tracking_presync();
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, 1024), ==, 0);
    world_store(w, 0, ram, 600, 1);
    kvm_dirty_tracking_presync();
    world_take_published(w);
    g_assert_cmpuint(world_to_send(w, 0, 1024), ==, 512);
    g_assert_cmpuint(world_finish(w), ==, 0);
    world_free(w);
}

static void add_choices(const Choice *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/kvm-tracker/choice/%s",
                                                table[i].name);

        g_test_add_data_func(path, &table[i], test_choice);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_choices(choices, ARRAY_SIZE(choices));
    if (dirty_features_are_tried()) {
        add_choices(tried, ARRAY_SIZE(tried));
    }
    g_test_add_func("/kvm-tracker/not-tried", test_not_tried);
    g_test_add_func("/kvm-tracker/one-sync", test_one_sync);
    g_test_add_func("/kvm-tracker/must-quiesce", test_must_quiesce);
    g_test_add_func("/kvm-tracker/clients", test_clients);
    g_test_add_func("/kvm-tracker/no-kvm", test_no_kvm);
    g_test_add_func("/kvm-tracker/presync", test_presync);
    return g_test_run();
}
