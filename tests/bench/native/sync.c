/*
 * Benchmark: a sync's way from dirty pages to RAMBlock.bmap
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ours is the real code, upstream's is a model.  Both get the same pages and
 * must come to the same result.  They take turns, so that neither finds in
 * the CPU's caches what it left there.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "exec/dirty-summary.h"
#include "native.h"
#include "upstream-model.h"

typedef struct Ours {
    unsigned long npages;
    unsigned long **blocks;
    unsigned long *bmap;
    unsigned long *bmap_summary;
} Ours;

/* Times of all runs. */
typedef struct Runs {
    double *set, *sync, *find;
} Runs;

typedef struct Bench {
    unsigned long *pages;
    unsigned n;
    uint64_t random;
    Ours ours;
    UpstreamModel *upstream;
} Bench;

/* A block is never freed, so the next benchmark uses it again. */
unsigned long *native_block(unsigned i)
{
    static GPtrArray *all;

    all = all ?: g_ptr_array_new();
    while (i >= all->len) {
        g_ptr_array_add(all, dirty_summary_new_block());
    }
    return g_ptr_array_index(all, i);
}

static void ours_init(Ours *o, unsigned long npages)
{
    unsigned n = DIV_ROUND_UP(npages, DIRTY_SUMMARY_BLOCK_PAGES);

    o->npages = npages;
    o->blocks = g_new(unsigned long *, n);
    for (unsigned i = 0; i < n; i++) {
        o->blocks[i] = native_block(i);
    }
    o->bmap = bitmap_new(npages);
    o->bmap_summary = dirty_summary_new(npages);
}

static void ours_destroy(Ours *o)
{
    g_free(o->blocks);
    g_free(o->bmap);
    g_free(o->bmap_summary);
}

static void ours_set(Ours *o, unsigned long page)
{
    unsigned long in_block = page % DIRTY_SUMMARY_BLOCK_PAGES;

    dirty_summary_or(o->blocks[page / DIRTY_SUMMARY_BLOCK_PAGES],
                     BIT_WORD(in_block), BIT_MASK(in_block));
}

static uint64_t ours_sync(Ours *o)
{
    DirtySummarySync sync = {
        .blocks = o->blocks,
        .bmap = o->bmap,
        .bmap_summary = o->bmap_summary,
    };

    dirty_summary_sync(&sync, 0, o->npages);
    return sync.newly_dirty;
}

/* As the sender does: find, clear, go on behind it. */
static uint64_t ours_send(Ours *o)
{
    unsigned long page = 0;
    uint64_t sent = 0;

    while ((page = dirty_summary_find(o->bmap, o->bmap_summary, o->npages,
                                      o->npages, page)) < o->npages) {
        clear_bit(page++, o->bmap);
        sent++;
    }
    return sent;
}

static uint64_t upstream_send(unsigned long *bmap, unsigned long npages)
{
    unsigned long page = 0;
    uint64_t sent = 0;

    while ((page = find_next_bit(bmap, npages, page)) < npages) {
        clear_bit(page++, bmap);
        sent++;
    }
    return sent;
}

static void choose_pages(Bench *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        b->pages[i] = next_random(&b->random) % b->ours.npages;
    }
}

static uint64_t set_and_sync_ours(Bench *b, Runs *runs, unsigned run)
{
    double start = now_us(), set;
    uint64_t found;

    for (unsigned i = 0; i < b->n; i++) {
        ours_set(&b->ours, b->pages[i]);
    }
    set = now_us();
    found = ours_sync(&b->ours);
    runs->sync[run] = now_us() - set;
    runs->set[run] = set - start;
    return found;
}

static uint64_t set_and_sync_upstream(Bench *b, Runs *runs, unsigned run)
{
    double start = now_us(), set;
    uint64_t found;

    for (unsigned i = 0; i < b->n; i++) {
        upstream_model_set(b->upstream, b->pages[i]);
    }
    set = now_us();
    found = upstream_model_sync(b->upstream);
    runs->sync[run] = now_us() - set;
    runs->set[run] = set - start;
    return found;
}

static void one_run(Bench *b, Runs *ours, Runs *upstream, unsigned run)
{
    unsigned long *theirs = upstream_model_bmap(b->upstream);
    uint64_t ours_found, upstream_found;
    double start;

    choose_pages(b);
    /* Whoever comes second finds the pages' numbers in the cache. */
    if (run % 2) {
        ours_found = set_and_sync_ours(b, ours, run);
        upstream_found = set_and_sync_upstream(b, upstream, run);
    } else {
        upstream_found = set_and_sync_upstream(b, upstream, run);
        ours_found = set_and_sync_ours(b, ours, run);
    }
    if (ours_found != upstream_found || !ours_found ||
        !bitmap_equal(b->ours.bmap, theirs, b->ours.npages)) {
        wrong("the two syncs did not find the same pages");
    }

    start = now_us();
    upstream_found = upstream_send(theirs, b->ours.npages);
    upstream->find[run] = now_us() - start;
    start = now_us();
    ours_found = ours_send(&b->ours);
    ours->find[run] = now_us() - start;
    if (ours_found != upstream_found ||
        !bitmap_empty(b->ours.bmap, b->ours.npages)) {
        wrong("the two senders did not find the same pages");
    }
}

/* As when QEMU starts: all RAM is dirty and goes through a first sync. */
static void warm_up(Bench *b)
{
    for (unsigned long i = 0; i < b->ours.npages; i++) {
        ours_set(&b->ours, i);
        upstream_model_set(b->upstream, i);
    }
    if (ours_sync(&b->ours) != b->ours.npages ||
        upstream_model_sync(b->upstream) != b->ours.npages) {
        wrong("the first sync did not find all pages");
    }
    bitmap_zero(b->ours.bmap, b->ours.npages);
    bitmap_zero(upstream_model_bmap(b->upstream), b->ours.npages);
    /* Once more, for the stale marks. */
    ours_sync(&b->ours);
    ours_send(&b->ours);
}

static Runs new_runs(unsigned n)
{
    return (Runs) {
        .set = g_new(double, n),
        .sync = g_new(double, n),
        .find = g_new(double, n),
    };
}

static void finish(Runs *runs, unsigned n, SyncTimes *times)
{
    *times = (SyncTimes) {
        .set = median(runs->set, n),
        .sync = median(runs->sync, n),
        .find = median(runs->find, n),
    };
    g_free(runs->set);
    g_free(runs->sync);
    g_free(runs->find);
}

void bench_sync(unsigned gib, unsigned pages, unsigned runs, SyncTimes *ours,
                SyncTimes *upstream)
{
    unsigned long npages = gib * PAGES_PER_GIB;
    Runs ours_runs = new_runs(runs), upstream_runs = new_runs(runs);
    Bench b = {
        .pages = g_new(unsigned long, pages),
        .n = pages,
        .random = 88172645463325252,
        .upstream = upstream_model_new(npages),
    };

    ours_init(&b.ours, npages);
    warm_up(&b);
    for (unsigned i = 0; i < runs; i++) {
        one_run(&b, &ours_runs, &upstream_runs, i);
    }
    finish(&ours_runs, runs, ours);
    finish(&upstream_runs, runs, upstream);
    ours_destroy(&b.ours);
    upstream_model_free(b.upstream);
    g_free(b.pages);
}
