/*
 * Dirty memory with a summary: the consumer's side
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Layout, invariant and ordering are described in exec/dirty-summary.h.  This
 * file knows bitmaps and nothing else of QEMU, so that it can be tested alone.
 *
 * "Page" means a bit of dirty memory, counted from its beginning or, where a
 * block is at hand, from the beginning of that block.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "exec/dirty-summary.h"

/* Chunks begin on cache lines of so many bytes. */
#define LINE 64

/*
 * Marked chunks are far apart when few pages are dirty.  So many are collected
 * before the first is emptied, for their cache misses to overlap.
 */
#define BATCH 32

/* So many blocks ahead the summary is loaded. */
#define AHEAD 2

/*
 * How long, in ms, a setter may take from the bit to the mark before this
 * counts as a mistake.  It can lose its CPU in between.
 */
#define SETTER_MS 1000

unsigned long *dirty_summary_new_block(void)
{
    size_t words = DIRTY_SUMMARY_BLOCK_WORDS + DIRTY_SUMMARY_WORDS;

    /* Not qemu_memalign(): memory that is not used should not be touched. */
    return QEMU_ALIGN_PTR_UP(g_malloc0(words * sizeof(unsigned long) + LINE),
                             LINE);
}

/* The bits of word @word of a bitmap that stand for @from to @to - 1. */
static unsigned long word_mask(unsigned long word, unsigned long from,
                               unsigned long to)
{
    unsigned long base = word * BITS_PER_LONG;

    from = MAX(from, base);
    to = MIN(to, base + BITS_PER_LONG);
    return from < to ? ~0UL >> (BITS_PER_LONG - (to - from)) << (from - base)
                     : 0;
}

static void merge_word(DirtySummarySync *sync, unsigned long word,
                       unsigned long bits)
{
    unsigned long old = sync->bmap[word];

    sync->bmap[word] = old | bits;
    sync->newly_dirty += ctpopl(bits & ~old);
    if (sync->bmap_summary) {
        set_bit(word * BITS_PER_LONG >> DIRTY_CHUNK_SHIFT, sync->bmap_summary);
    }
}

/* Put @bits, not 0, of pages from @page on into the bitmap. */
static void merge(DirtySummarySync *sync, unsigned long page,
                  unsigned long bits)
{
    /* From the first set bit on, as bit 0 may be a page before the base. */
    unsigned long skip = ctzl(bits);
    unsigned long to = page + skip - sync->base;
    unsigned long shift = to % BITS_PER_LONG;

    bits >>= skip;
    merge_word(sync, BIT_WORD(to), bits << shift);
    if (shift && bits >> (BITS_PER_LONG - shift)) {
        merge_word(sync, BIT_WORD(to) + 1, bits >> (BITS_PER_LONG - shift));
    }
}

/* Pages @from to @to - 1 of a block; its bit 0 is page @origin. */
typedef struct Part {
    unsigned long *block;
    unsigned long origin, from, to;
} Part;

static void take_bits(DirtySummarySync *sync, const Part *part)
{
    unsigned long word;

    for (word = BIT_WORD(part->from); word <= BIT_WORD(part->to - 1); word++) {
        unsigned long *data = &part->block[word];
        unsigned long mask, bits;

        if (!qatomic_read(data)) {
            continue;
        }
        mask = word_mask(word, part->from, part->to);
        bits = mask == ~0UL ? qatomic_xchg(data, 0)
                            : qatomic_fetch_and(data, ~mask) & mask;
        if (bits) {
            sync->taken = true;
            merge(sync, part->origin + word * BITS_PER_LONG, bits);
        }
    }
}

/* Chunks, or what of them is to be emptied. */
typedef struct Batch {
    unsigned n;
    Part parts[BATCH];
} Batch;

static void take_batch(DirtySummarySync *sync, Batch *batch)
{
    for (unsigned i = 0; i < batch->n; i++) {
        take_bits(sync, &batch->parts[i]);
    }
    batch->n = 0;
}

/* Note the part of a chunk, and start loading what it takes to empty it. */
static void add_to_batch(DirtySummarySync *sync, Batch *batch, Part part)
{
    unsigned long to = part.origin + part.from - sync->base;
    unsigned long last = to + (part.to - part.from) - 1;

    __builtin_prefetch(&part.block[BIT_WORD(part.from)], 1);
    __builtin_prefetch(&sync->bmap[BIT_WORD(to)], 1);
    __builtin_prefetch(&sync->bmap[BIT_WORD(last)], 1);
    if (batch->n == BATCH) {
        take_batch(sync, batch);
    }
    batch->parts[batch->n++] = part;
}

static bool chunk_is_clear(const unsigned long *block, unsigned long chunk)
{
    unsigned long words = DIRTY_CHUNK_PAGES / BITS_PER_LONG;

    for (unsigned long i = 0; i < words; i++) {
        if (qatomic_read(&block[chunk * words + i])) {
            return false;
        }
    }
    return true;
}

/* Whether a chunk without a mark holds a bit, and not just for now. */
static bool chunk_is_unmarked(const DirtySummarySync *sync,
                              unsigned long *block, unsigned long chunk)
{
    unsigned long *marks = dirty_summary_of(block) + BIT_WORD(chunk);

    for (int ms = 0; !chunk_is_clear(block, chunk); ms++) {
        smp_rmb();      /* the mark after the bits */
        if (qatomic_read(marks) & BIT_MASK(chunk)) {
            return false;
        }
        /* Once one is found, do not wait for each of the others. */
        if (sync->unmarked || ms == SETTER_MS) {
            return true;
        }
        g_usleep(1000);
    }
    return false;
}

/* The chunks among @chunks, bits of summary word @word, to be complained of. */
static unsigned long recount(DirtySummarySync *sync, const Part *part,
                             unsigned long word, unsigned long chunks)
{
    unsigned long found = 0;

    for (; chunks; chunks &= chunks - 1) {
        unsigned long chunk = word * BITS_PER_LONG + ctzl(chunks);

        if (chunk_is_unmarked(sync, part->block, chunk)) {
            if (!sync->unmarked++) {
                sync->first_unmarked = part->origin +
                                       (chunk << DIRTY_CHUNK_SHIFT);
            }
            found |= chunks & -chunks;
        }
    }
    return found;
}

/*
 * The chunks of @part that may hold a bit, as bits of summary word @word.
 * Unmarks those that are wholly in it.
 */
static unsigned long take_marks(DirtySummarySync *sync, const Part *part,
                                unsigned long word)
{
    unsigned long *marks = dirty_summary_of(part->block) + word;
    /*
     * Acquire: with a mark, see its bit at once and not only by the next sync.
     * Enough where nothing is unmarked.
     */
    unsigned long live = qatomic_load_acquire(marks);
    unsigned long any, whole;

    if (!live && !sync->scan_all && !sync->check) {
        return 0;
    }
    any = word_mask(word, part->from >> DIRTY_CHUNK_SHIFT,
                    DIV_ROUND_UP(part->to, DIRTY_CHUNK_PAGES));
    if (sync->scan_all) {
        return any;
    }
    if (sync->check) {
        live |= recount(sync, part, word, any & ~live);
    }
    whole = word_mask(word, DIV_ROUND_UP(part->from, DIRTY_CHUNK_PAGES),
                      part->to >> DIRTY_CHUNK_SHIFT);
    if (live & whole) {
        qatomic_and(marks, ~(live & whole));
        /* Pairs with the barrier in dirty_summary_or(). */
        smp_mb__after_rmw();
    }
    return live & any;
}

static void sync_part(DirtySummarySync *sync, const Part *part, Batch *batch)
{
    unsigned long word = BIT_WORD(part->from >> DIRTY_CHUNK_SHIFT);
    unsigned long last = BIT_WORD((part->to - 1) >> DIRTY_CHUNK_SHIFT);

    for (; word <= last; word++) {
        unsigned long live = take_marks(sync, part, word);

        for (; live; live &= live - 1) {
            unsigned long chunk = word * BITS_PER_LONG + ctzl(live);
            unsigned long page = chunk << DIRTY_CHUNK_SHIFT;

            add_to_batch(sync, batch, (Part) {
                .block = part->block,
                .origin = part->origin,
                .from = MAX(part->from, page),
                .to = MIN(part->to, page + DIRTY_CHUNK_PAGES),
            });
        }
    }
}

static void prefetch_summary(unsigned long *block)
{
    for (unsigned i = 0; i < DIRTY_SUMMARY_WORDS;
         i += LINE / sizeof(unsigned long)) {
        __builtin_prefetch(dirty_summary_of(block) + i);
    }
}

void dirty_summary_sync(DirtySummarySync *sync, unsigned long first,
                        unsigned long npages)
{
    unsigned long end = first + npages;
    Batch batch;

    batch.n = 0;
    while (first < end) {
        unsigned long index = first / DIRTY_SUMMARY_BLOCK_PAGES;
        unsigned long origin = index * DIRTY_SUMMARY_BLOCK_PAGES;
        unsigned long next = MIN(end, origin + DIRTY_SUMMARY_BLOCK_PAGES);
        Part part = {
            .block = sync->blocks[index],
            .origin = origin,
            .from = first - origin,
            .to = next - origin,
        };

        if ((index + AHEAD) * DIRTY_SUMMARY_BLOCK_PAGES < end) {
            prefetch_summary(sync->blocks[index + AHEAD]);
        }
        sync_part(sync, &part, &batch);
        first = next;
    }
    take_batch(sync, &batch);
}

unsigned long *dirty_summary_new(unsigned long npages)
{
    unsigned long chunks = DIV_ROUND_UP(npages, DIRTY_CHUNK_PAGES);
    unsigned long *summary = bitmap_new(chunks);

    bitmap_set(summary, 0, chunks);
    return summary;
}

void dirty_summary_mark(unsigned long *summary, unsigned long first,
                        unsigned long n)
{
    if (n) {
        unsigned long chunk = first >> DIRTY_CHUNK_SHIFT;
        unsigned long last = (first + n - 1) >> DIRTY_CHUNK_SHIFT;

        bitmap_set(summary, chunk, last - chunk + 1);
    }
}

unsigned long dirty_summary_find(const unsigned long *bmap,
                                 unsigned long *summary, unsigned long npages,
                                 unsigned long end, unsigned long start)
{
    unsigned long chunks = DIV_ROUND_UP(end, DIRTY_CHUNK_PAGES);

    while (start < end) {
        unsigned long chunk = start >> DIRTY_CHUNK_SHIFT;
        unsigned long first = chunk << DIRTY_CHUNK_SHIFT;
        unsigned long next = MIN(first + DIRTY_CHUNK_PAGES, npages);
        unsigned long found;

        if (!test_bit(chunk, summary)) {
            chunk = find_next_bit(summary, chunks, chunk + 1);
            start = chunk << DIRTY_CHUNK_SHIFT;
            continue;
        }
        found = find_next_bit(bmap, MIN(next, end), start);
        if (found < MIN(next, end)) {
            return found;
        }
        /* All of it was looked at, and nothing found. */
        if (start == first && next <= end) {
            clear_bit(chunk, summary);
        }
        start = next;
    }
    return end;
}

unsigned long dirty_summary_repair(const unsigned long *bmap,
                                   unsigned long *summary,
                                   unsigned long npages)
{
    unsigned long wrong = 0;
    unsigned long page = 0;

    while ((page = find_next_bit(bmap, npages, page)) < npages) {
        wrong += !test_and_set_bit(page >> DIRTY_CHUNK_SHIFT, summary);
        page = QEMU_ALIGN_DOWN(page, DIRTY_CHUNK_PAGES) + DIRTY_CHUNK_PAGES;
    }
    return wrong;
}
