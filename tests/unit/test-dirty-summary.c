/*
 * Tests of the dirty summary
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One thread here: what a setter marks, what a sync takes, what the sender
 * finds, each against a recount.  test-summary-stress.c
 * has the threads.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "exec/dirty-summary.h"
#include "summary-model.h"

#define BLOCKS 3
#define BLOCK_PAGES DIRTY_SUMMARY_BLOCK_PAGES
#define ALL_PAGES (BLOCKS * BLOCK_PAGES)

static unsigned long random_page(GRand *rand, unsigned long n)
{
    return g_rand_int(rand) % n;
}

/* Lengths of all sizes, short ones more often. */
static unsigned long random_length(GRand *rand, unsigned long max)
{
    unsigned long n = 1UL << g_rand_int_range(rand, 0, 21);

    return MIN(random_page(rand, n) + 1, max);
}

/* Every chunk with a bit is marked, and, if @exact, no other. */
static void assert_marked(SummaryModel *m, bool exact)
{
    unsigned long chunks = BLOCK_PAGES >> DIRTY_CHUNK_SHIFT;

    for (unsigned b = 0; b < BLOCKS; b++) {
        for (unsigned long c = 0; c < chunks; c++) {
            unsigned long page = b * BLOCK_PAGES + (c << DIRTY_CHUNK_SHIFT);
            unsigned long end = page + DIRTY_CHUNK_PAGES;
            bool marked = test_bit(c, dirty_summary_of(m->blocks[b]));
            bool any = find_next_bit(m->dirty, end, page) < end;

            g_assert_true(marked || !any);
            if (exact) {
                g_assert_true(marked == any);
            }
        }
    }
}

static void test_setters(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    SummaryModel *m = summary_model_new(BLOCKS);

    assert_marked(m, true);
    for (int i = 0; i < 300; i++) {
        unsigned long first = random_page(rand, ALL_PAGES);

        summary_model_set(m, first,
                          random_length(rand, MIN(ALL_PAGES - first, 3000)));
    }
    /* Single words, with any bits. */
    for (int i = 0; i < 300; i++) {
        unsigned long word = random_page(rand, ALL_PAGES) / BITS_PER_LONG;
        unsigned long bits = (unsigned long)g_rand_int(rand) << 32 |
                             g_rand_int(rand);

        summary_model_or(m, word, bits);
    }
    summary_model_check_memory(m);
    assert_marked(m, true);
    summary_model_free(m);
}

/* Whoever set a bit first may not have come to its mark yet. */
static void test_set_again(void)
{
    SummaryModel *m = summary_model_new(1);
    unsigned long *marks = dirty_summary_of(m->blocks[0]);

    set_bit(1000, m->blocks[0]);
    dirty_summary_set(m->blocks[0], 1000, 1);
    g_assert_true(test_bit(1000 >> DIRTY_CHUNK_SHIFT, marks));
    summary_model_free(m);
}

static void test_alignment(void)
{
    for (int i = 0; i < 5; i++) {
        SummaryModel *m = summary_model_new(1);

        g_assert_cmpuint((uintptr_t)m->blocks[0] % 64, ==, 0);
        g_assert_cmpuint((uintptr_t)(m->blocks[0] +
                                     DIRTY_CHUNK_PAGES / BITS_PER_LONG) % 64,
                         ==, 0);
        summary_model_free(m);
    }
}

/* Any range, with any alignment of either bitmap, across blocks. */
static void random_ranges(bool scan_all, bool check)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2 + scan_all + 2 * check);
    SummaryModel *m = summary_model_new(BLOCKS);
    DirtySummarySync sync = { .scan_all = scan_all, .check = check };

    for (int i = 0; i < 200; i++) {
        unsigned long base = random_page(rand, ALL_PAGES - BLOCK_PAGES / 2);
        unsigned long size = random_length(rand, ALL_PAGES - base);
        unsigned long first, npages;

        /* Half of them as RAM blocks are: from a multiple of 64 pages. */
        if (i % 2) {
            base = QEMU_ALIGN_DOWN(base, 64);
        }
        first = base + random_page(rand, size);
        npages = random_length(rand, base + size - first);

        for (int n = g_rand_int_range(rand, 0, 20); n; n--) {
            unsigned long page = base + random_page(rand, size);

            summary_model_set(m, page, random_length(
                                  rand, MIN(ALL_PAGES - page, 200)));
        }
        summary_model_new_bmap(m, base, size);
        for (int n = g_rand_int_range(rand, 0, 20); n; n--) {
            summary_model_send_later(m, base + random_page(rand, size));
        }
        summary_model_sync(m, &sync, first, npages);
        /* Once more: nothing is left. */
        summary_model_sync(m, &sync, first, npages);
        g_assert_false(sync.taken);
        summary_model_check_memory(m);
        g_assert_cmpuint(sync.unmarked, ==, 0);
        if (!scan_all) {
            assert_marked(m, false);
        }
    }
    summary_model_free(m);
}

static void test_ranges(void)
{
    random_ranges(false, false);
}

static void test_ranges_checked(void)
{
    random_ranges(false, true);
}

static void test_off(void)
{
    SummaryModel *m = summary_model_new(1);
    DirtySummarySync sync = { .scan_all = true };

    random_ranges(true, false);

    /* Off means off: a bit without its mark is found. */
    set_bit(12345, m->dirty);
    set_bit(12345, m->blocks[0]);
    summary_model_new_bmap(m, 0, BLOCK_PAGES);
    summary_model_sync(m, &sync, 0, BLOCK_PAGES);
    g_assert_cmpuint(sync.newly_dirty, ==, 1);
    summary_model_free(m);
}

/* RAM blocks that meet in a chunk do not hide each other's pages. */
static void test_neighbours(void)
{
    static const unsigned long borders[] = {
        0, 64, 128, 448, 512 + 64, 1024, 1024 + 192, 4096,
        BLOCK_PAGES - 64, BLOCK_PAGES + 64, BLOCK_PAGES + 320, 2 * BLOCK_PAGES
    };
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    SummaryModel *m = summary_model_new(BLOCKS);

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 40; i++) {
            unsigned n = g_rand_int_range(rand, 0, ARRAY_SIZE(borders));

            summary_model_set(m, borders[n] + random_page(rand, 128), 1);
            if (borders[n]) {
                summary_model_set(m, borders[n] - 1 - random_page(rand, 64), 1);
            }
        }
        for (int i = 0; i < ARRAY_SIZE(borders) - 1; i++) {
            unsigned n = g_rand_int_range(rand, 0, ARRAY_SIZE(borders) - 1);
            unsigned long size = borders[n + 1] - borders[n];
            DirtySummarySync sync = {};

            summary_model_new_bmap(m, borders[n], size);
            summary_model_sync(m, &sync, borders[n], size);
            summary_model_check_memory(m);
            assert_marked(m, false);
        }
    }
    summary_model_free(m);
}

/* A sync that found everything leaves no marks that cost the next one time. */
static void test_marks_go(void)
{
    SummaryModel *m = summary_model_new(BLOCKS);
    DirtySummarySync sync = {};

    summary_model_set(m, 0, 3);
    summary_model_set(m, BLOCK_PAGES - 1, 2);
    summary_model_set(m, 700, 1);
    summary_model_new_bmap(m, 0, ALL_PAGES);
    summary_model_sync(m, &sync, 0, ALL_PAGES);
    g_assert_cmpuint(sync.newly_dirty, ==, 6);
    assert_marked(m, true);
    summary_model_free(m);
}

/* A setter that forgets the mark. */
static void test_check(void)
{
    SummaryModel *m = summary_model_new(2);
    DirtySummarySync sync = {};

    summary_model_new_bmap(m, 64, 2 * BLOCK_PAGES - 64);
    m->forgotten = true;
    summary_model_set(m, 5000, 1);
    summary_model_set(m, 5001, 1);
    summary_model_set(m, BLOCK_PAGES + 9, 1);

    /* Nobody looks. */
    dirty_summary_sync(summary_model_prepare(m, &sync), 64,
                       2 * BLOCK_PAGES - 64);
    g_assert_false(sync.taken);

    /* The check does, says so, and nothing is lost. */
    sync.check = true;
    summary_model_sync(m, &sync, 64, 2 * BLOCK_PAGES - 64);
    g_assert_cmpuint(sync.unmarked, ==, 2);
    g_assert_cmpuint(sync.first_unmarked, ==,
                     QEMU_ALIGN_DOWN(5000, DIRTY_CHUNK_PAGES));
    g_assert_cmpuint(sync.newly_dirty, ==, 3);
    summary_model_check_memory(m);
    summary_model_free(m);
}

static void *slow_setter(void *opaque)
{
    unsigned long *block = opaque;

    g_usleep(50 * 1000);
    qatomic_or(dirty_summary_of(block), 1);
    return NULL;
}

/* A setter that is between the bit and the mark is no mistake. */
static void test_check_waits(void)
{
    SummaryModel *m = summary_model_new(1);
    DirtySummarySync sync = { .check = true };
    pthread_t thread;

    summary_model_new_bmap(m, 0, BLOCK_PAGES);
    summary_model_prepare(m, &sync);
    qatomic_or(&m->blocks[0][3], 4);
    g_assert_cmpint(pthread_create(&thread, NULL, slow_setter, m->blocks[0]),
                    ==, 0);
    dirty_summary_sync(&sync, 0, BLOCK_PAGES);
    pthread_join(thread, NULL);
    g_assert_cmpuint(sync.unmarked, ==, 0);

    dirty_summary_sync(&sync, 0, BLOCK_PAGES);
    g_assert_cmpuint(sync.newly_dirty, ==, 1);
    summary_model_free(m);
}

/* The sender's finder against the plain search. */
static void test_find(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);

    for (int round = 0; round < 300; round++) {
        unsigned long n = random_length(rand, 40000);
        unsigned long *bmap = bitmap_new(n);
        unsigned long *summary = dirty_summary_new(n);
        unsigned long page = 0;

        for (int step = 0; step < 300; step++) {
            unsigned long end = step % 3 ? n : random_page(rand, n + 1);
            unsigned long found;

            if (step % 7 == 0) {
                page = random_page(rand, n);
            }
            found = dirty_summary_find(bmap, summary, n, end, page);
            g_assert_cmpuint(found, ==, find_next_bit(bmap, end, page));
            if (found < end) {
                clear_bit(found, bmap);
                page = found + 1;
            } else {
                page = 0;
            }
            if (step % 5 == 0) {
                unsigned long first = random_page(rand, n);
                unsigned long some = random_length(rand, MIN(n - first, 700));

                bitmap_set(bmap, first, some);
                dirty_summary_mark(summary, first, some);
            }
            g_assert_cmpuint(dirty_summary_repair(bmap, summary, n), ==, 0);
        }

        /* Two searches of what is empty clear all marks, to the last one. */
        bitmap_zero(bmap, n);
        g_assert_cmpuint(dirty_summary_find(bmap, summary, n, n, 0), ==, n);
        g_assert_cmpuint(find_next_bit(summary,
                                       DIV_ROUND_UP(n, DIRTY_CHUNK_PAGES), 0),
                         ==, DIV_ROUND_UP(n, DIRTY_CHUNK_PAGES));
        g_free(bmap);
        g_free(summary);
    }
}

static void test_repair(void)
{
    unsigned long n = 10000;
    unsigned long *bmap = bitmap_new(n);
    unsigned long *summary = dirty_summary_new(n);

    g_assert_cmpuint(dirty_summary_find(bmap, summary, n, n, 0), ==, n);
    set_bit(511, bmap);
    set_bit(512, bmap);
    set_bit(513, bmap);
    set_bit(9999, bmap);
    dirty_summary_mark(summary, 512, 1);
    g_assert_cmpuint(dirty_summary_repair(bmap, summary, n), ==, 2);
    g_assert_cmpuint(dirty_summary_repair(bmap, summary, n), ==, 0);
    g_assert_cmpuint(dirty_summary_find(bmap, summary, n, n, 514), ==, 9999);
    g_free(bmap);
    g_free(summary);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-summary/setters", test_setters);
    g_test_add_func("/dirty-summary/set-again", test_set_again);
    g_test_add_func("/dirty-summary/alignment", test_alignment);
    g_test_add_func("/dirty-summary/ranges", test_ranges);
    g_test_add_func("/dirty-summary/ranges-checked", test_ranges_checked);
    g_test_add_func("/dirty-summary/neighbours", test_neighbours);
    g_test_add_func("/dirty-summary/marks-go", test_marks_go);
    g_test_add_func("/dirty-summary/off", test_off);
    g_test_add_func("/dirty-summary/check", test_check);
    g_test_add_func("/dirty-summary/check-waits", test_check_waits);
    g_test_add_func("/dirty-summary/find", test_find);
    g_test_add_func("/dirty-summary/repair", test_repair);
    return g_test_run();
}
