/*
 * Dirty memory with a summary: which chunks of a bitmap may hold a set bit
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's dirty memory is a bitmap with a bit per guest page.  A sync of
 * migration takes the bits out; without help it has to look at every word,
 * which for 1 TiB is 32 MiB of memory, however few pages are dirty.  The
 * summary has a bit for each chunk of the bitmap, a cache line of it, and a
 * sync looks only at the chunks that are marked there.
 *
 * Layout.  Dirty memory is made of blocks of 2 Mi bits that never move nor
 * go away.  The summary of a block lies right behind its bits:
 *
 *     block -> [ 2 Mi bits of data: 256 KiB ][ summary: 4096 bits, 512 B ]
 *
 * Invariant: a bit is set => its chunk is marked, except between the two
 * steps of a setter.  A mark without a bit is stale and harmless, so who
 * clears bits need not care; only setters must.  There is one setter,
 * dirty_summary_or(), and all others are made of it.
 *
 * Ordering.  Setters run at any time, in any number; there is one consumer.
 *
 *     setter                            consumer
 *     1. set bit in data                A. clear mark in summary
 *     2. full barrier                   B. full barrier
 *     3. read mark; set it if clear     C. read data, take bits
 *
 * If 3 finds the mark set, and A then clears it, 3 came before A in the order
 * of that word, so by 2 and B, C sees what 1 did.  If 3 finds it clear, the
 * setter marks the chunk for the next sync (or this one finds the bit and the
 * mark is stale).  Either barrier alone would not do: this is Dekker's pattern.
 * And step 3 cannot be left out where 1 found the bit set already: whoever set
 * it may not have got to 3 yet, and our page would not be seen by a sync that
 * starts when we are done.
 *
 * Cost: setter O(1) a word, one load more than without; consumer 1/512 of the
 * bitmap, and 64 bytes for each chunk with a dirty page.
 */

#ifndef EXEC_DIRTY_SUMMARY_H
#define EXEC_DIRTY_SUMMARY_H

#include "qemu/atomic.h"
#include "qemu/bitops.h"

/*
 * Bits of data that a mark stands for: what fits a cache line.  With fewer
 * the summary grows, with more the data read for one dirty page; 512 is best
 * for 1000 random pages in 1 TiB and not bad elsewhere.
 */
#define DIRTY_CHUNK_SHIFT 9
#define DIRTY_CHUNK_PAGES (1UL << DIRTY_CHUNK_SHIFT)

/* Bits of data in a block of dirty memory: DIRTY_MEMORY_BLOCK_SIZE. */
#define DIRTY_SUMMARY_BLOCK_PAGES (256UL * 1024 * 8)

#define DIRTY_SUMMARY_BLOCK_WORDS \
    BITS_TO_LONGS(DIRTY_SUMMARY_BLOCK_PAGES)
#define DIRTY_SUMMARY_WORDS \
    BITS_TO_LONGS(DIRTY_SUMMARY_BLOCK_PAGES >> DIRTY_CHUNK_SHIFT)

/**
 * dirty_summary_new_block: allocate a block of dirty memory, all clear
 *
 * Chunks are aligned to cache lines.  A block is never freed.
 */
unsigned long *dirty_summary_new_block(void);

/**
 * dirty_summary_of: the summary of a block of dirty memory
 */
static inline unsigned long *dirty_summary_of(unsigned long *block)
{
    return block + DIRTY_SUMMARY_BLOCK_WORDS;
}

/**
 * dirty_summary_or: set bits of one word of a block
 * @block: from dirty_summary_new_block()
 * @word: index of the word in the block
 * @bits: what to set there
 *
 * The one way to set bits.  Any thread, any context; where blocks are found
 * by RCU, in a read-side critical section.
 */
static inline void dirty_summary_or(unsigned long *block, unsigned long word,
                                    unsigned long bits)
{
    unsigned long chunk = word * BITS_PER_LONG >> DIRTY_CHUNK_SHIFT;
    unsigned long *marks = dirty_summary_of(block) + BIT_WORD(chunk);

    qatomic_or(&block[word], bits);
    /* Pairs with the barrier in take_marks(), dirty-summary.c. */
    smp_mb__after_rmw();
    if (!(qatomic_read(marks) & BIT_MASK(chunk))) {
        qatomic_or(marks, BIT_MASK(chunk));
    }
}

/**
 * dirty_summary_set: set a range of bits of a block
 * @block: from dirty_summary_new_block()
 * @first: first bit in the block
 * @n: number of bits; the range ends in the same block
 *
 * Context: as dirty_summary_or().
 */
static inline void dirty_summary_set(unsigned long *block, unsigned long first,
                                     unsigned long n)
{
    while (n) {
        unsigned long shift = first % BITS_PER_LONG;
        unsigned long some = MIN(n, BITS_PER_LONG - shift);

        dirty_summary_or(block, BIT_WORD(first),
                         ~0UL >> (BITS_PER_LONG - some) << shift);
        first += some;
        n -= some;
    }
}

/*
 * One sync: bits move from dirty memory to a bitmap that nobody else uses
 * meanwhile, migration's RAMBlock.bmap.
 */
typedef struct DirtySummarySync {
    /* in */
    unsigned long *const *blocks;   /* dirty memory */
    unsigned long *bmap;            /* where the bits go */
    unsigned long *bmap_summary;    /* the bitmap's own summary, or NULL */
    unsigned long base;             /* page whose bit is bit 0 of @bmap */
    bool scan_all;                  /* do not rely on the summary */
    bool check;                     /* recount, see dirty_summary_sync() */
    /* out */
    uint64_t newly_dirty;           /* bits that @bmap did not have */
    bool taken;                     /* any bit was set in dirty memory */
    uint64_t unmarked;              /* chunks that broke the invariant */
    unsigned long first_unmarked;   /* and the first page of the first one */
} DirtySummarySync;

/**
 * dirty_summary_sync: take bits out of dirty memory
 * @sync: what, where to and how; results are added up
 * @first: first page; not less than @sync->base
 * @npages: number of pages
 *
 * Any range will do.  A chunk of which only a part is in the range stays
 * marked: pages of somebody else may be in the rest.
 *
 * With @sync->check every chunk without a mark is looked at, too.  One that
 * holds a bit for longer than a setter needs is reported in @sync->unmarked
 * and treated as marked.  This costs O(npages), and up to a second when the
 * invariant is broken.
 *
 * Context: one caller at a time for any one chunk.  Setters may run.
 */
void dirty_summary_sync(DirtySummarySync *sync, unsigned long first,
                        unsigned long npages);

/*
 * The summary of a bitmap that is used under a lock.  It is a bitmap of its
 * own, with the same invariant, and needs no barriers.
 */

/**
 * dirty_summary_new: make a summary with every chunk marked
 * @npages: size of the bitmap in bits
 *
 * Free with g_free().
 */
unsigned long *dirty_summary_new(unsigned long npages);

/**
 * dirty_summary_mark: bits from @first to @first + @n - 1 may have been set
 */
void dirty_summary_mark(unsigned long *summary, unsigned long first,
                        unsigned long n);

/**
 * dirty_summary_find: find the next set bit
 * @bmap: bitmap
 * @summary: its summary; marks found to be stale are cleared
 * @npages: size of the bitmap in bits
 * @end: where to stop searching; at most @npages
 * @start: where to begin
 *
 * Returns what find_next_bit(@bmap, @end, @start) does, in a time that
 * depends little on how far away it is.
 */
unsigned long dirty_summary_find(const unsigned long *bmap,
                                 unsigned long *summary, unsigned long npages,
                                 unsigned long end, unsigned long start);

/**
 * dirty_summary_repair: recount, and mark what should have been
 *
 * Returns the number of chunks that held a bit and were not marked: 0, or
 * somebody sets bits of @bmap without dirty_summary_mark().  O(@npages).
 */
unsigned long dirty_summary_repair(const unsigned long *bmap,
                                   unsigned long *summary,
                                   unsigned long npages);

#endif
