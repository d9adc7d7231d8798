/*
 * How upstream QEMU 10.0 does a sync with dirty rings: a model
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef UPSTREAM_MODEL_H
#define UPSTREAM_MODEL_H

typedef struct UpstreamModel UpstreamModel;

/**
 * upstream_model_new: a guest with one RAM block
 * @npages: its size, a multiple of 64 pages
 */
UpstreamModel *upstream_model_new(unsigned long npages);
void upstream_model_free(UpstreamModel *m);

/* What reaping a ring does with an entry: a bit in the slot's bitmap. */
void upstream_model_set(UpstreamModel *m, unsigned long page);

/* From there to RAMBlock.bmap; returns the number of pages new there. */
uint64_t upstream_model_sync(UpstreamModel *m);

unsigned long *upstream_model_bmap(UpstreamModel *m);

#endif
