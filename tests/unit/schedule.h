/*
 * What tests by random schedules have in common
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A schedule is a struct of the test's own.  Whoever uses this is to say how
 * DIRTY_SEED and DIRTY_FUZZ_SECONDS in the environment are to be set.
 */

#ifndef TESTS_UNIT_SCHEDULE_H
#define TESTS_UNIT_SCHEDULE_H

/* For any struct that has a GRand *rand: a number, at least 0 and below @n */
#define below(s, n) ((uint32_t)g_rand_int_range((s)->rand, 0, (n)))

/* True with a probability of @p */
#define chance(s, p) (g_rand_double((s)->rand) < (p))

/* What names the point at which a schedule fails; to be freed */
static inline char *schedule_when(uint32_t seed, uint64_t step,
                                  const char *what)
{
    return g_strdup_printf("DIRTY_SEED=%u, step %" PRIu64 ", %s", seed, step,
                           what);
}

/* Whether one seed alone is to be tried, and which */
static inline bool schedule_only_seed(uint32_t *seed)
{
    const char *text = g_getenv("DIRTY_SEED");

    if (text) {
        *seed = g_ascii_strtoull(text, NULL, 0);
    }
    return text;
}

/* How long new seeds are to be tried; @otherwise: if nobody says */
static inline double schedule_fuzz_seconds(double otherwise)
{
    const char *text = g_getenv("DIRTY_FUZZ_SECONDS");

    return text ? g_ascii_strtod(text, NULL) : otherwise;
}

#endif
