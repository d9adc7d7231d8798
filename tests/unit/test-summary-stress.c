/*
 * Tests of the dirty summary with threads
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pages have contents here: the number of the last write.  Setters write and
 * then set the page's bit; the consumer syncs and sends, that is, it takes
 * bits out of the bitmap and copies the pages.  When a sync begins, all writes
 * whose setter is done must be in the copy after it.  When all is over, the
 * copy must be equal.
 *
 * Threads are plain pthreads: the thread sanitizer does not see into GLib's.
 * DIRTY_STRESS_ROUNDS=n in the environment makes it longer.  Where threads have
 * to share a CPU a test ends early: they mostly wait for each other there.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "exec/dirty-summary.h"
#include "summary-model.h"

#define SETTERS 3
#define MAX_BLOCKS 4
#define BLOCK_PAGES DIRTY_SUMMARY_BLOCK_PAGES

typedef struct Stress Stress;

typedef struct Setter {
    Stress *stress;
    uint32_t random;
    uint64_t writes;
    /* The last write that is done; atomic, page first. */
    unsigned long done_page;
    uint64_t done_value;
} Setter;

struct Stress {
    unsigned long **blocks; /* dirty memory; the array is replaced to grow */
    unsigned nblocks;       /* atomic; with it the pages that are in use */
    unsigned long spread;   /* setters write so many pages of each block */
    bool stop;
    uint64_t *memory;       /* what was written last to a page; atomic */
    uint64_t *copy;         /* what was sent last of it */
    unsigned long *bmap;
    unsigned long *summary;
    uint64_t sent;
    Setter setters[SETTERS];
};

/* Seconds a test may take for each ten rounds. */
#define SECONDS 10

static unsigned rounds(void)
{
    const char *value = g_getenv("DIRTY_STRESS_ROUNDS");

    return value ? g_ascii_strtoull(value, NULL, 0) : 10;
}

/* When to stop, whatever has been done by then. */
static int64_t deadline(void)
{
    return g_get_monotonic_time() +
           (int64_t)SECONDS * G_USEC_PER_SEC * MAX(rounds(), 10) / 10;
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* One write of a value larger than all before, whoever made them. */
static uint64_t write_page(Stress *stress, unsigned long page)
{
    return qatomic_inc_fetch(&stress->memory[page]);
}

static void set_page(Stress *stress, unsigned long page, unsigned how)
{
    unsigned long **blocks = qatomic_load_acquire(&stress->blocks);
    unsigned long *block = blocks[page / BLOCK_PAGES];

    page %= BLOCK_PAGES;
    if (how % 2) {
        dirty_summary_set(block, page, 1);
    } else {
        dirty_summary_or(block, BIT_WORD(page), BIT_MASK(page));
    }
}

static void *setter_thread(void *opaque)
{
    Setter *setter = opaque;
    Stress *stress = setter->stress;

    while (!qatomic_read(&stress->stop)) {
        uint32_t r = next_random(&setter->random);
        unsigned n = qatomic_load_acquire(&stress->nblocks);
        /* The last pages of a block, and no more than a few of them. */
        unsigned long page = (r % n + 1) * BLOCK_PAGES - 1 -
                             (r >> 8) % stress->spread;
        uint64_t value = write_page(stress, page);

        set_page(stress, page, r >> 4);
        /* Both may be of different writes when they are read; see look(). */
        qatomic_set(&setter->done_value, 0);
        qatomic_store_release(&setter->done_page, page);
        qatomic_store_release(&setter->done_value, value);
        setter->writes++;
    }
    return NULL;
}

/* The last write of a setter that is done for sure; false if it is busy. */
static bool look(Setter *setter, unsigned long *page, uint64_t *value)
{
    *value = qatomic_load_acquire(&setter->done_value);
    *page = qatomic_load_acquire(&setter->done_page);
    return *value && qatomic_load_acquire(&setter->done_value) == *value &&
           *page == qatomic_load_acquire(&setter->done_page);
}

/* Send what the bitmap has, as the sender does: clear first, then read. */
static void send_pages(Stress *stress, unsigned long npages)
{
    unsigned long page = 0;

    while ((page = dirty_summary_find(stress->bmap, stress->summary,
                                      MAX_BLOCKS * BLOCK_PAGES, npages,
                                      page)) < npages) {
        clear_bit(page, stress->bmap);
        stress->copy[page] = qatomic_read(&stress->memory[page]);
        /* Nobody sets the bit of a page that was not written. */
        g_assert_cmpuint(stress->copy[page], >, 0);
        stress->sent++;
        page++;
    }
}

/* Halves of an odd size, so that they share a chunk and a word. */
static void sync_all(Stress *stress, unsigned long npages, bool check)
{
    unsigned long half = npages - BLOCK_PAGES / 2 - 37;
    DirtySummarySync sync = {
        .blocks = stress->blocks,
        .bmap = stress->bmap,
        .bmap_summary = stress->summary,
        .check = check,
    };

    dirty_summary_sync(&sync, 0, half);
    dirty_summary_sync(&sync, half, npages - half);
    g_assert_cmpuint(sync.newly_dirty, ==,
                     bitmap_count_one(stress->bmap, npages));
    g_assert_cmpuint(sync.unmarked, ==, 0);
}

/* Grow, as dirty_memory_extend() does; the old array is left to readers. */
static void grow(Stress *stress, GPtrArray *garbage)
{
    unsigned n = stress->nblocks;
    unsigned long **blocks = g_new(unsigned long *, n + 1);

    if (n) {
        memcpy(blocks, stress->blocks, n * sizeof(blocks[0]));
        g_ptr_array_add(garbage, stress->blocks);
    }
    blocks[n] = summary_block_get();
    qatomic_store_release(&stress->blocks, blocks);
    qatomic_store_release(&stress->nblocks, n + 1);
}

static void one_sync(Stress *stress, unsigned i)
{
    unsigned long npages = stress->nblocks * BLOCK_PAGES;
    unsigned long pages[SETTERS];
    uint64_t values[SETTERS];
    bool known[SETTERS];

    for (unsigned s = 0; s < SETTERS; s++) {
        known[s] = look(&stress->setters[s], &pages[s], &values[s]);
    }
    sync_all(stress, npages, i % 64 == 63);
    send_pages(stress, npages);
    for (unsigned s = 0; s < SETTERS; s++) {
        if (known[s]) {
            g_assert_cmpuint(stress->copy[pages[s]], >=, values[s]);
        }
    }
}

static void stress(unsigned long spread, unsigned syncs)
{
    g_autoptr(GPtrArray) garbage = g_ptr_array_new_with_free_func(g_free);
    unsigned long all = MAX_BLOCKS * BLOCK_PAGES;
    Stress st = {
        .spread = spread,
        .memory = g_new0(uint64_t, all),
        .copy = g_new0(uint64_t, all),
        .bmap = bitmap_new(all),
        .summary = dirty_summary_new(all),
    };
    pthread_t threads[SETTERS];
    int64_t end = deadline();
    uint64_t writes = 0;
    unsigned i;

    grow(&st, garbage);
    for (unsigned s = 0; s < SETTERS; s++) {
        st.setters[s].stress = &st;
        st.setters[s].random = 12345 + s;
        g_assert_cmpint(pthread_create(&threads[s], NULL, setter_thread,
                                       &st.setters[s]), ==, 0);
    }
    for (i = 0; i < syncs && g_get_monotonic_time() < end; i++) {
        if (st.nblocks < MAX_BLOCKS && i == syncs / 5 * st.nblocks) {
            grow(&st, garbage);
        }
        one_sync(&st, i);
        if (i % 16 == 0) {
            sched_yield();
        }
    }
    qatomic_set(&st.stop, true);
    for (unsigned s = 0; s < SETTERS; s++) {
        pthread_join(threads[s], NULL);
        writes += st.setters[s].writes;
    }
    sync_all(&st, st.nblocks * BLOCK_PAGES, true);
    send_pages(&st, st.nblocks * BLOCK_PAGES);
    g_assert_cmpint(memcmp(st.memory, st.copy, all * sizeof(uint64_t)), ==, 0);
    g_test_message("%u syncs, %" PRIu64 " writes, %" PRIu64 " pages sent",
                   i, writes, st.sent);
    for (i = 0; i < st.nblocks; i++) {
        summary_block_put(st.blocks[i]);
    }
    g_free(st.blocks);
    g_free(st.memory);
    g_free(st.copy);
    g_free(st.bmap);
    g_free(st.summary);
}

/*
 * In turns: a setter sets two pages, a moment apart, and waits.  While the
 * consumer is busy with the first, the second comes.  By the end of the first
 * sync that began later it must be there; nobody comes in between whose page
 * in the same chunk would make up for a mistake.
 */
#define TURN_PAGES (BITS_PER_LONG * DIRTY_CHUNK_PAGES)

typedef struct Turns {
    unsigned long *block;
    unsigned todo;
    unsigned done;
    int64_t end;            /* of the test, at the latest */
    bool over;              /* atomic */
    unsigned idle;          /* to pass the time with */
    unsigned syncs;         /* that have ended; atomic */
    uint64_t value[TURN_PAGES];
    uint64_t copy[TURN_PAGES];
} Turns;

static uint64_t turns_set(Turns *turns, unsigned long page)
{
    uint64_t value = qatomic_inc_fetch(&turns->value[page]);

    dirty_summary_or(turns->block, BIT_WORD(page), BIT_MASK(page));
    return value;
}

/* The second page: in the same word, or chunk, or word of the summary. */
static unsigned long turns_other_page(unsigned long page, uint32_t r)
{
    static const unsigned long within[] = {
        BITS_PER_LONG, DIRTY_CHUNK_PAGES, TURN_PAGES
    };
    unsigned long n = within[r % ARRAY_SIZE(within)];

    return QEMU_ALIGN_DOWN(page, n) + (r >> 8) % n;
}

static void *turns_thread(void *opaque)
{
    Turns *turns = opaque;
    uint32_t random = 4711;

    for (; turns->done < turns->todo && g_get_monotonic_time() < turns->end;
         turns->done++) {
        unsigned long page = next_random(&random) % TURN_PAGES;
        uint32_t r = next_random(&random);
        unsigned long other = turns_other_page(page, r);
        uint64_t value, other_value;
        unsigned start;

        value = turns_set(turns, page);
        for (unsigned n = (r >> 16) % 256; n; n--) {
            /* Some hundred ns at most. */
            qatomic_set(&turns->idle, n);
        }
        other_value = turns_set(turns, other);
        start = qatomic_read(&turns->syncs);
        while (qatomic_load_acquire(&turns->syncs) - start < 2) {
            sched_yield();
        }
        g_assert_cmpuint(qatomic_read(&turns->copy[page]), >=, value);
        g_assert_cmpuint(qatomic_read(&turns->copy[other]), >=, other_value);
    }
    qatomic_set(&turns->over, true);
    return NULL;
}

static void turns_sync(Turns *turns, unsigned long *bmap)
{
    DirtySummarySync sync = { .blocks = &turns->block, .bmap = bmap };
    unsigned long page = 0;

    dirty_summary_sync(&sync, 0, TURN_PAGES);
    while (sync.newly_dirty &&
           (page = find_next_bit(bmap, TURN_PAGES, page)) < TURN_PAGES) {
        clear_bit(page, bmap);
        qatomic_set(&turns->copy[page], qatomic_read(&turns->value[page]));
    }
    /* Seen before the next sync reads anything: others count on it. */
    qatomic_set_mb(&turns->syncs, turns->syncs + 1);
}

static void test_turns(void)
{
    Turns *turns = g_new0(Turns, 1);
    unsigned long *bmap = bitmap_new(TURN_PAGES);
    pthread_t thread;

    turns->block = summary_block_get();
    turns->todo = 10000 * rounds();
    turns->end = deadline();
    g_assert_cmpint(pthread_create(&thread, NULL, turns_thread, turns), ==, 0);
    while (!qatomic_read(&turns->over)) {
        turns_sync(turns, bmap);
    }
    pthread_join(thread, NULL);
    g_test_message("%u syncs, %u turns", turns->syncs, turns->done);
    summary_block_put(turns->block);
    g_free(bmap);
    g_free(turns);
}

/* Everybody at the same few pages: most races. */
static void test_hot(void)
{
    stress(2, 400 * rounds());
}

/* A few chunks with many pages. */
static void test_warm(void)
{
    stress(4 * DIRTY_CHUNK_PAGES, 40 * rounds());
}

/* All over the block. */
static void test_cold(void)
{
    stress(BLOCK_PAGES, 4 * rounds());
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/summary-stress/turns", test_turns);
    g_test_add_func("/summary-stress/hot", test_hot);
    g_test_add_func("/summary-stress/warm", test_warm);
    g_test_add_func("/summary-stress/cold", test_cold);
    return g_test_run();
}
