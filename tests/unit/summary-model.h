/*
 * What dirty memory and the sender's bitmap should hold
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SUMMARY_MODEL_H
#define SUMMARY_MODEL_H

#include "exec/dirty-summary.h"

typedef struct SummaryModel {
    unsigned long *blocks[8];       /* the dirty memory under test */
    unsigned count;
    bool forgotten;                 /* set bits without marks from now on */
    unsigned long *dirty;           /* what it should hold, all in one */

    unsigned long *bmap;            /* the bitmap that a sync fills */
    unsigned long *bmap_summary;
    unsigned long base, size;
    unsigned long *wanted;          /* and what it should hold */
} SummaryModel;

/* A block of dirty memory, all clear; they are few and get used again. */
unsigned long *summary_block_get(void);
void summary_block_put(unsigned long *block);

SummaryModel *summary_model_new(unsigned blocks);
void summary_model_free(SummaryModel *m);

/* Set pages that may be in several blocks; set bits of one word. */
void summary_model_set(SummaryModel *m, unsigned long first, unsigned long n);
void summary_model_or(SummaryModel *m, unsigned long word, unsigned long bits);

/* Begin with an empty bitmap for the RAM block of @size pages from @base. */
void summary_model_new_bmap(SummaryModel *m, unsigned long base,
                            unsigned long size);

/* Dirty memory's page @page is in the bitmap already. */
void summary_model_send_later(SummaryModel *m, unsigned long page);

/* Fill in the pointers of @sync, and clear what it has to tell. */
DirtySummarySync *summary_model_prepare(SummaryModel *m,
                                        DirtySummarySync *sync);

/* Sync, and compare the bitmap and all results with what they should be. */
void summary_model_sync(SummaryModel *m, DirtySummarySync *sync,
                        unsigned long first, unsigned long npages);

/* Compare all of dirty memory. */
void summary_model_check_memory(SummaryModel *m);

#endif
