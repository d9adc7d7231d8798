/*
 * Sorting harvested pages
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done to a page next, protecting it in the kernel and setting its bit
 * here, is cheaper for neighbours than for strangers: the kernel protects up to
 * 64 pages under one hold of its MMU lock if they follow each other in the ring
 * and lie within 64 pages, and as many bits are in one word.  So order matters
 * from 64 pages up, and what is below is left as it comes.
 *
 * Radix sort, least significant digit first, stable.  Cost: O(n) for each digit
 * in which the keys differ; pages all over 64 GiB need two.
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "sort.h"

#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)

/* Below that many keys the table of digits would cost more than it saves. */
#define FEW 32

static void sort_few(DirtyKey *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        DirtyKey key = keys[i];
        size_t j = i;

        for (; j && keys[j - 1] >> DIRTY_SORT_IGNORED_BITS >
                    key >> DIRTY_SORT_IGNORED_BITS; j--) {
            keys[j] = keys[j - 1];
        }
        keys[j] = key;
    }
}

/*
 * What one pass sorts by: bits from @low on and, above them, bits from @high
 * on.  Two, as memslots leave a gap above the bits of the largest offset.
 */
typedef struct Digit {
    unsigned low, low_bits, high, high_bits;
} Digit;

static inline uint32_t digit_of(Digit digit, DirtyKey key)
{
    uint32_t low = key >> digit.low & ((1 << digit.low_bits) - 1);
    uint32_t high = key >> digit.high & ((1 << digit.high_bits) - 1);

    return high << digit.low_bits | low;
}

/*
 * Choose the next digit, so that it has the lowest of @bits, and take what it
 * has away from @bits.
 */
static Digit next_digit(uint64_t *bits)
{
    Digit digit = { .low = ctz64(*bits) };
    uint64_t rest = *bits >> digit.low;
    uint64_t some = rest & (DIGITS - 1);

    digit.low_bits = 64 - clz64(some);
    rest = (rest & ~(uint64_t)(DIGITS - 1)) << digit.low;
    if (rest && digit.low_bits < DIGIT_BITS) {
        uint64_t mask;

        digit.high = ctz64(rest);
        digit.high_bits = MIN(DIGIT_BITS - digit.low_bits, 64 - digit.high);
        mask = ((1ULL << digit.high_bits) - 1) << digit.high;
        rest &= ~mask;
    }
    *bits = rest;
    return digit;
}

static void sort_by_digit(const DirtyKey *keys, DirtyKey *to, size_t n,
                          Digit digit)
{
    uint32_t digits = 1 << (digit.low_bits + digit.high_bits);
    uint32_t place[DIGITS];
    uint32_t next = 0;

    memset(place, 0, digits * sizeof(place[0]));
    for (size_t i = 0; i < n; i++) {
        place[digit_of(digit, keys[i])]++;
    }
    for (uint32_t d = 0; d < digits; d++) {
        uint32_t count = place[d];

        place[d] = next;
        next += count;
    }
    for (size_t i = 0; i < n; i++) {
        to[place[digit_of(digit, keys[i])]++] = keys[i];
    }
}

DirtyKey *dirty_sort(DirtyKey *keys, DirtyKey *spare, size_t n)
{
    uint64_t differ = 0;

    if (n < FEW) {
        sort_few(keys, n);
        return keys;
    }

    for (size_t i = 1; i < n; i++) {
        differ |= keys[i] ^ keys[0];
    }

    /* Bits that are the same in all keys need no pass. */
    differ &= ~((1ULL << DIRTY_SORT_IGNORED_BITS) - 1);
    while (differ) {
        DirtyKey *sorted = spare;

        sort_by_digit(keys, sorted, n, next_digit(&differ));
        spare = keys;
        keys = sorted;
    }
    return keys;
}
