/*
 * Tests of sorting harvested pages and of taking them together in words
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/kvm/dirty/ring/sort.h"
#include "accel/kvm/dirty/words.h"

#define PAGE_BITS 12
#define MANY 5000

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* In order but for the low bits, and still the same keys. */
static void check_sort(const uint64_t *keys, size_t n)
{
    g_autofree uint64_t *buffer = g_new(uint64_t, 2 * n + 1);
    g_autofree uint64_t *expected = g_new(uint64_t, n + 1);
    uint64_t *sorted;

    memcpy(buffer, keys, n * sizeof(*keys));
    memcpy(expected, keys, n * sizeof(*keys));
    sorted = dirty_sort(buffer, buffer + n, n);
    g_assert_true(sorted == buffer || sorted == buffer + n);

    for (size_t i = 1; i < n; i++) {
        g_assert_cmpuint(sorted[i - 1] >> DIRTY_SORT_IGNORED_BITS, <=,
                         sorted[i] >> DIRTY_SORT_IGNORED_BITS);
    }
    qsort(sorted, n, sizeof(*sorted), compare_keys);
    qsort(expected, n, sizeof(*expected), compare_keys);
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpuint(sorted[i], ==, expected[i]);
    }
}

static void test_sort(void)
{
    static const size_t sizes[] = { 0, 1, 2, 3, 31, 32, 33, 64, 1000, MANY };
    static const unsigned widths[] = { 1, 6, 7, 12, 17, 18, 24, 28, 43, 44 };
    g_autofree uint64_t *keys = g_new(uint64_t, MANY);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int s = 0; s < ARRAY_SIZE(sizes); s++) {
        for (int w = 0; w < ARRAY_SIZE(widths); w++) {
            for (unsigned slots = 1; slots <= 3; slots++) {
                for (size_t i = 0; i < sizes[s]; i++) {
                    uint64_t offset = (uint64_t)g_rand_int(rand) << 32 |
                                      g_rand_int(rand);
                    uint32_t slot = g_rand_int_range(rand, 0, slots);

                    keys[i] = dirty_key(slot << 16 | (15 - slot * 5),
                                        offset & ((1ULL << widths[w]) - 1));
                }
                check_sort(keys, sizes[s]);
            }
        }
    }
}

/* What is the same stays where it is: neighbours keep their order. */
static void test_sort_stable(void)
{
    uint64_t buffer[2 * 64];
    uint64_t *sorted;

    for (int i = 0; i < 64; i++) {
        buffer[i] = dirty_key(3, (i % 2) << 20 | (63 - i));
    }
    sorted = dirty_sort(buffer, buffer + 64, 64);
    for (int i = 0; i < 64; i++) {
        bool upper = i >= 32;

        g_assert_cmpuint(dirty_key_slot(sorted[i]), ==, 3);
        g_assert_cmpuint(dirty_key_offset(sorted[i]), ==,
                         upper << 20 | (63 - (2 * (i % 32) + upper)));
    }
}

static void test_key(void)
{
    uint32_t slot = (1 << DIRTY_KEY_SLOT_BITS) - 2;
    uint64_t offset = (1ULL << DIRTY_KEY_OFFSET_BITS) - 1;

    g_assert_cmpuint(dirty_key_slot(dirty_key(slot, 5)), ==, slot);
    g_assert_cmpuint(dirty_key_offset(dirty_key(slot, 5)), ==, 5);
    g_assert_cmpuint(dirty_key_slot(dirty_key(5, offset)), ==, 5);
    g_assert_cmpuint(dirty_key_offset(dirty_key(5, offset)), ==, offset);
    g_assert_cmpuint(dirty_key(slot + 2, 0), ==, DIRTY_KEY_STRAY);
    g_assert_cmpuint(dirty_key(0, offset + 1), ==, DIRTY_KEY_STRAY);
}

/* Two slots with a gap, the second out of step with the words, and strays. */
static void slots_fill(DirtySlots *slots)
{
    dirty_slots_set(slots, 0, &(DirtySlot) {
        .ram_addr = 0, .npages = 1000, .clients = 4 });
    dirty_slots_set(slots, 1, &(DirtySlot) {
        .ram_addr = 2001ULL << PAGE_BITS, .npages = 1000, .clients = 4 });
    dirty_slots_set(slots, 1 << 16 | 1, &(DirtySlot) {
        .ram_addr = 2001ULL << PAGE_BITS, .npages = 1000, .clients = 5 });
}

/*
 * Against one page after the other.  @n_words: how many words it may take at
 * the most, if that is known.
 */
static void check_words(const DirtySlots *slots, const DirtyKey *keys,
                        size_t n, size_t n_words)
{
    uint8_t expected[4096] = {}, found[4096] = {};
    uint64_t strays = 0;
    DirtyWords walk;
    DirtyWord word;
    size_t words = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t offset = dirty_key_offset(keys[i]);
        const DirtySlot *slot = dirty_slots_find(slots,
                                                 dirty_key_slot(keys[i]),
                                                 offset);
        if (slot) {
            expected[(slot->ram_addr >> PAGE_BITS) + offset] |= slot->clients;
        } else {
            strays++;
        }
    }

    dirty_words_init(&walk, slots, keys, n, PAGE_BITS);
    while (dirty_words_next(&walk, &word)) {
        g_assert_cmpuint(word.mask, !=, 0);
        for (int i = 0; i < 64; i++) {
            if (word.mask >> i & 1) {
                found[word.word * 64 + i] |= word.clients;
            }
        }
        words++;
    }
    g_assert_false(dirty_words_next(&walk, &word));
    g_assert_cmpuint(walk.strays, ==, strays);
    g_assert_cmpmem(found, sizeof(found), expected, sizeof(expected));
    if (n_words) {
        g_assert_cmpuint(words, ==, n_words);
    }
}

static void test_words_grouped(void)
{
    DirtySlots slots = {};
    DirtyKey keys[128];

    slots_fill(&slots);
    for (int i = 0; i < 128; i++) {
        keys[i] = dirty_key(0, 127 - i);
    }
    check_words(&slots, keys, 128, 2);
    /* Page 2001 is number 17 of its word. */
    for (int i = 0; i < 128; i++) {
        keys[i] = dirty_key(1, i);
    }
    check_words(&slots, keys, 128, 3);
    /* The same pages for other clients are another word. */
    for (int i = 0; i < 20; i++) {
        keys[i] = dirty_key(i < 10 ? 1 : 1 << 16 | 1, i);
    }
    check_words(&slots, keys, 20, 2);
    check_words(&slots, keys, 0, 0);
    dirty_slots_destroy(&slots);
}

static void test_words_strays(void)
{
    DirtySlots slots = {};
    DirtyKey keys[] = {
        dirty_key(9, 1), dirty_key(0, 1000), dirty_key(0, 999),
        dirty_key(0, 1000), dirty_key(0, 998), dirty_key(9, 998),
        dirty_key(0, 997), dirty_key(7 << 16, 0), dirty_key(1, UINT64_MAX),
        /* As a number the second comes shortly before the first. */
        dirty_key(1, 3), dirty_key(0, (1ULL << DIRTY_KEY_OFFSET_BITS) - 3),
    };

    slots_fill(&slots);
    check_words(&slots, keys, ARRAY_SIZE(keys), 4);
    check_words(&slots, keys, 2, 0);
    dirty_slots_destroy(&slots);
}

static void test_words_random(void)
{
    static const uint32_t slot_keys[] = { 0, 1, 1 << 16 | 1, 2 };
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    DirtySlots slots = {};
    DirtyKey keys[300];

    slots_fill(&slots);
    for (int round = 0; round < 2000; round++) {
        size_t n = g_rand_int_range(rand, 0, ARRAY_SIZE(keys));

        for (size_t i = 0; i < n; i++) {
            keys[i] = dirty_key(slot_keys[g_rand_int_range(rand, 0, 4)],
                                g_rand_int_range(rand, 0, 1100));
        }
        check_words(&slots, keys, n, 0);
    }
    dirty_slots_destroy(&slots);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-sort/key", test_key);
    g_test_add_func("/dirty-sort/order", test_sort);
    g_test_add_func("/dirty-sort/stable", test_sort_stable);
    g_test_add_func("/dirty-words/grouped", test_words_grouped);
    g_test_add_func("/dirty-words/strays", test_words_strays);
    g_test_add_func("/dirty-words/random", test_words_random);
    return g_test_run();
}
