/*
 * Harvested pages as words of a bitmap of QEMU's RAM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keys come sorted by windows of 64 pages (ring/sort.h).  Taking those of
 * one window together makes one atomic operation of up to 64, and the slot is
 * looked up only when it changes.
 *
 * Cost: O(1) a key.
 */

#ifndef ACCEL_KVM_DIRTY_WORDS_H
#define ACCEL_KVM_DIRTY_WORDS_H

#include "exec/dirty-summary.h"
#include "qemu/bitops.h"
#include "accel/kvm/dirty/key.h"
#include "accel/kvm/dirty/slots.h"

/* Keys between the one at hand and the one to prefetch for */
#define DIRTY_WORDS_AHEAD 16

/* A walk through keys; private but for what is marked. */
typedef struct DirtyWords {
    const DirtySlots *slots;
    const DirtyKey *next, *end;
    unsigned page_bits;
    const DirtySlot *slot;      /* of the key before, with its */
    uint32_t slot_key;          /* number */
    uint64_t first_page;        /* and the number of its first page in RAM */
    uint64_t strays;            /* result: keys that led nowhere */
} DirtyWords;

/* Pages @word * 64 + i of RAM, for each bit i of @mask. */
typedef struct DirtyWord {
    uint64_t word;
    uint64_t mask;              /* not 0 */
    uint8_t clients;            /* who wants to know, see DirtySlot */
} DirtyWord;

/**
 * dirty_words_init: start a walk
 * @page_bits: log2 of the size of a page, the same for slots and for RAM
 *
 * @slots must not change until the end of the walk.
 */
static inline void dirty_words_init(DirtyWords *walk, const DirtySlots *slots,
                                    const DirtyKey *keys, size_t n,
                                    unsigned page_bits)
{
    *walk = (DirtyWords) {
        .slots = slots,
        .next = keys,
        .end = keys + n,
        .page_bits = page_bits,
    };
}

static inline bool dirty_words_enter(DirtyWords *walk, DirtyKey key)
{
    uint32_t slot_key = dirty_key_slot(key);
    uint64_t offset = dirty_key_offset(key);

    if (walk->slot && walk->slot_key == slot_key) {
        return offset < walk->slot->npages;
    }
    walk->slot = dirty_slots_find(walk->slots, slot_key, offset);
    if (!walk->slot) {
        return false;
    }
    walk->slot_key = slot_key;
    walk->first_page = walk->slot->ram_addr >> walk->page_bits;
    return true;
}

/**
 * dirty_words_ahead: a guess at a word that will come soon
 * @word: its number
 *
 * For prefetching: words of sorted keys are far apart, but known.
 *
 * Returns: false if there is no guess.
 */
static inline bool dirty_words_ahead(const DirtyWords *walk, uint64_t *word)
{
    DirtyKey key;

    if (walk->end - walk->next <= DIRTY_WORDS_AHEAD || !walk->slot) {
        return false;
    }
    key = walk->next[DIRTY_WORDS_AHEAD];
    if (dirty_key_slot(key) != walk->slot_key ||
        dirty_key_offset(key) >= walk->slot->npages) {
        return false;
    }
    *word = (walk->first_page + dirty_key_offset(key)) / 64;
    return true;
}

/**
 * dirty_words_next: the next word
 *
 * A word may come more than once, each time with other pages.
 *
 * Returns: false at the end.
 */
static inline bool dirty_words_next(DirtyWords *walk, DirtyWord *word)
{
    uint64_t page, offset, before, after;
    DirtyKey first;

    while (true) {
        if (walk->next == walk->end) {
            return false;
        }
        if (dirty_words_enter(walk, *walk->next)) {
            break;
        }
        walk->strays++;
        walk->next++;
    }

    offset = dirty_key_offset(*walk->next);
    page = walk->first_page + offset;
    word->word = page / 64;
    word->mask = 1ULL << page % 64;
    word->clients = walk->slot->clients;

    /* Pages of the slot in this word: so many before ours, so many from it */
    before = MIN(page % 64, offset);
    after = MIN(64 - page % 64, walk->slot->npages - offset);
    first = *walk->next - before;
    while (++walk->next < walk->end && *walk->next - first < before + after) {
        word->mask |= 1ULL << (page % 64 - before + (*walk->next - first));
    }
    return true;
}

static inline unsigned long *dirty_word_block(unsigned long *const *blocks,
                                              uint64_t word)
{
    return blocks[word * 64 / DIRTY_SUMMARY_BLOCK_PAGES];
}

static inline unsigned long dirty_word_index(uint64_t word)
{
    return BIT_WORD(word * 64 % DIRTY_SUMMARY_BLOCK_PAGES);
}

/**
 * dirty_word_set: set the bits @mask of the 64 pages from @word * 64 on
 * @blocks: dirty memory of one client, see exec/ramlist.h
 *
 * Called in an RCU read-side critical section.
 */
static inline void dirty_word_set(unsigned long *const *blocks, uint64_t word,
                                  uint64_t mask)
{
    unsigned long *block = dirty_word_block(blocks, word);
    unsigned long index = dirty_word_index(word);

    dirty_summary_or(block, index, mask);
    if (BITS_PER_LONG < 64) {
        dirty_summary_or(block, index + 1, mask >> 32);
    }
}

/**
 * dirty_word_prefetch: dirty_word_set() of that word is to come
 */
static inline void dirty_word_prefetch(unsigned long *const *blocks,
                                       uint64_t word)
{
    __builtin_prefetch(dirty_word_block(blocks, word) + dirty_word_index(word),
                       1);
}

#endif
