/*
 * What dirty memory and the sender's bitmap should hold
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "summary-model.h"

#define BLOCK_PAGES DIRTY_SUMMARY_BLOCK_PAGES

/* Blocks cannot be freed, so they wait here to be used again. */
static unsigned long *spare[8];

unsigned long *summary_block_get(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(spare); i++) {
        if (spare[i]) {
            return g_steal_pointer(&spare[i]);
        }
    }
    return dirty_summary_new_block();
}

void summary_block_put(unsigned long *block)
{
    memset(block, 0, (DIRTY_SUMMARY_BLOCK_WORDS + DIRTY_SUMMARY_WORDS) *
                     sizeof(unsigned long));
    for (unsigned i = 0; i < ARRAY_SIZE(spare); i++) {
        if (!spare[i]) {
            spare[i] = block;
            return;
        }
    }
    g_assert_not_reached();
}

SummaryModel *summary_model_new(unsigned blocks)
{
    SummaryModel *m = g_new0(SummaryModel, 1);

    g_assert_cmpuint(blocks, <=, ARRAY_SIZE(m->blocks));
    m->count = blocks;
    m->dirty = bitmap_new(blocks * BLOCK_PAGES);
    for (unsigned i = 0; i < blocks; i++) {
        m->blocks[i] = summary_block_get();
    }
    return m;
}

void summary_model_free(SummaryModel *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        summary_block_put(m->blocks[i]);
    }
    g_free(m->bmap);
    g_free(m->bmap_summary);
    g_free(m->wanted);
    g_free(m->dirty);
    g_free(m);
}

void summary_model_set(SummaryModel *m, unsigned long first, unsigned long n)
{
    bitmap_set(m->dirty, first, n);
    while (n) {
        unsigned long *block = m->blocks[first / BLOCK_PAGES];
        unsigned long from = first % BLOCK_PAGES;
        unsigned long some = MIN(n, BLOCK_PAGES - from);

        if (m->forgotten) {
            bitmap_set_atomic(block, from, some);
        } else {
            dirty_summary_set(block, from, some);
        }
        first += some;
        n -= some;
    }
}

void summary_model_or(SummaryModel *m, unsigned long word, unsigned long bits)
{
    m->dirty[word] |= bits;
    dirty_summary_or(m->blocks[word / DIRTY_SUMMARY_BLOCK_WORDS],
                     word % DIRTY_SUMMARY_BLOCK_WORDS, bits);
}

void summary_model_new_bmap(SummaryModel *m, unsigned long base,
                            unsigned long size)
{
    g_free(m->bmap);
    g_free(m->bmap_summary);
    g_free(m->wanted);
    m->base = base;
    m->size = size;
    m->bmap = bitmap_new(size);
    m->wanted = bitmap_new(size);
    /* Begin without marks, to see which ones a sync makes. */
    m->bmap_summary = bitmap_new(DIV_ROUND_UP(size, DIRTY_CHUNK_PAGES));
}

void summary_model_send_later(SummaryModel *m, unsigned long page)
{
    set_bit(page - m->base, m->bmap);
    dirty_summary_mark(m->bmap_summary, page - m->base, 1);
    set_bit(page - m->base, m->wanted);
}

DirtySummarySync *summary_model_prepare(SummaryModel *m, DirtySummarySync *sync)
{
    *sync = (DirtySummarySync) {
        .blocks = m->blocks,
        .bmap = m->bmap,
        .bmap_summary = m->bmap_summary,
        .base = m->base,
        .scan_all = sync->scan_all,
        .check = sync->check,
    };
    return sync;
}

void summary_model_sync(SummaryModel *m, DirtySummarySync *sync,
                        unsigned long first, unsigned long npages)
{
    unsigned long page = first, end = first + npages;
    uint64_t newly = 0;
    bool taken = false;

    while ((page = find_next_bit(m->dirty, end, page)) < end) {
        taken = true;
        newly += !test_and_set_bit(page - m->base, m->wanted);
        clear_bit(page, m->dirty);
    }
    dirty_summary_sync(summary_model_prepare(m, sync), first, npages);

    g_assert_cmpuint(sync->newly_dirty, ==, newly);
    g_assert_true(sync->taken == taken);
    g_assert_true(bitmap_equal(m->bmap, m->wanted, m->size));
    g_assert_cmpuint(dirty_summary_repair(m->bmap, m->bmap_summary, m->size),
                     ==, 0);
}

void summary_model_check_memory(SummaryModel *m)
{
    for (unsigned b = 0; b < m->count; b++) {
        g_assert_true(bitmap_equal(m->blocks[b],
                                   m->dirty + b * DIRTY_SUMMARY_BLOCK_WORDS,
                                   BLOCK_PAGES));
    }
}
