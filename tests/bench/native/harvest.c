/*
 * Benchmark: from a ring to dirty memory
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real code, but for the loop round dirty_words_next(), which in QEMU has
 * the display to think of as well.  The kernel's part, filling the ring and
 * resetting it, is not timed.
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/ring/ring.h"
#include "accel/kvm/dirty/slots.h"
#include "accel/kvm/dirty/words.h"
#include "native.h"

#define PAGE_BITS 12
#define CLIENTS 4

/* As on a PC: 3 GiB below the hole, the rest above it. */
#define LOW_PAGES (3 * PAGES_PER_GIB)

typedef struct Bench {
    DirtyRing *ring;
    DirtyRingStage stage;
    DirtySlots slots;
    struct kvm_dirty_gfn *gfns;
    unsigned long **blocks;
    unsigned n_blocks;
    uint64_t published;
    uint64_t random;
} Bench;

static int no_reset(void *opaque)
{
    Bench *b = opaque;

    return b->stage.used;
}

static void no_reprotect(void *opaque)
{
    wrong("the reset was short");
}

static void publish(void *opaque, const DirtyKey *keys, size_t n)
{
    unsigned long *const *blocks;
    Bench *b = opaque;
    DirtyWords walk;
    DirtyWord word;
    uint64_t soon;

    blocks = b->blocks;
    dirty_words_init(&walk, &b->slots, keys, n, PAGE_BITS);
    while (dirty_words_next(&walk, &word)) {
        if (dirty_words_ahead(&walk, &soon)) {
            dirty_word_prefetch(blocks, soon);
        }
        dirty_word_set(blocks, word.word, word.mask);
    }
    b->published += n - walk.strays;
}

static const DirtyRingOps ops = {
    .reset = no_reset,
    .reprotect = no_reprotect,
    .publish = publish,
};

static void bench_init(Bench *b, uint64_t pages, uint32_t entries)
{
    *b = (Bench) { .random = 88172645463325252ULL };
    b->n_blocks = DIV_ROUND_UP(pages, DIRTY_SUMMARY_BLOCK_PAGES);
    b->blocks = g_new(unsigned long *, b->n_blocks);
    for (unsigned i = 0; i < b->n_blocks; i++) {
        b->blocks[i] = native_block(i);
        memset(b->blocks[i], 0, DIRTY_SUMMARY_BLOCK_WORDS * sizeof(long));
    }
    dirty_slots_set(&b->slots, 0, &(DirtySlot) {
        .npages = LOW_PAGES, .clients = CLIENTS });
    dirty_slots_set(&b->slots, 1, &(DirtySlot) {
        .ram_addr = LOW_PAGES << PAGE_BITS, .npages = pages - LOW_PAGES,
        .clients = CLIENTS });
    b->gfns = g_new0(struct kvm_dirty_gfn, entries);
    b->ring = dirty_ring_new(0, entries);
    dirty_ring_attach(b->ring, b->gfns, NULL);
    dirty_ring_stage_init(&b->stage, &ops, b);
}

static void bench_destroy(Bench *b)
{
    dirty_ring_stage_destroy(&b->stage);
    dirty_ring_free(b->ring);
    dirty_slots_destroy(&b->slots);
    g_free(b->gfns);
    g_free(b->blocks);
}

/* What the kernel does: empty entries become dirty ones. */
static void fill(Bench *b, uint64_t pages, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t page = (next_random(&b->random) >> 20) % pages;

        b->gfns[i].slot = page >= LOW_PAGES;
        b->gfns[i].offset = page >= LOW_PAGES ? page - LOW_PAGES : page;
        b->gfns[i].flags = KVM_DIRTY_GFN_F_DIRTY;
    }
}

double bench_harvest(unsigned gib, uint32_t entries, unsigned runs)
{
    g_autofree double *times = g_new(double, runs);
    uint64_t pages = gib * PAGES_PER_GIB;
    Bench b;

    bench_init(&b, pages, entries);
    for (unsigned i = 0; i < runs; i++) {
        double start;

        fill(&b, pages, entries);
        start = now_us();
        dirty_ring_harvest(b.ring, &b.stage);
        dirty_ring_stage_commit(&b.stage);
        times[i] = now_us() - start;
    }
    if (b.published != (uint64_t)entries * runs) {
        wrong("not all that was in the ring was published");
    }
    bench_destroy(&b);
    return entries / median(times, runs) * 1e6;
}
