/*
 * Benchmarks without a VM
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef NATIVE_H
#define NATIVE_H

#define PAGES_PER_GIB (1UL << 18)

/* Medians, in microseconds. */
typedef struct SyncTimes {
    double set;                 /* the dirty pages, one by one */
    double sync;                /* until they are in RAMBlock.bmap */
    double find;                /* the sender's search for all of them */
} SyncTimes;

/**
 * bench_sync: time syncs of a sparsely dirty guest
 * @gib: its memory
 * @pages: dirty pages a sync, at random places, other ones each time
 * @runs: syncs of each kind; kinds take turns
 */
void bench_sync(unsigned gib, unsigned pages, unsigned runs, SyncTimes *ours,
                SyncTimes *upstream);

/**
 * bench_harvest: time the way from a full ring to dirty memory
 * @gib: the guest's memory, more than 3; written at random places
 * @entries: size of the ring
 * @runs: how often; the median counts
 *
 * Returns: entries a second.
 */
double bench_harvest(unsigned gib, uint32_t entries, unsigned runs);

/* Block @i of dirty memory, with what the one before left in it. */
unsigned long *native_block(unsigned i);

/* Now, in microseconds. */
double now_us(void);

/* Sorts @values. */
double median(double *values, unsigned n);

uint64_t next_random(uint64_t *state);

/* Ends the program: what was measured was not the same thing. */
G_NORETURN void wrong(const char *what);

#endif
