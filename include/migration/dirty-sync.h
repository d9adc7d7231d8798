/*
 * Dirty pages on their way from dirty memory to the sender
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_DIRTY_SYNC_H
#define MIGRATION_DIRTY_SYNC_H

#include "exec/ramblock.h"

/*
 * Two properties of the object "migration", for finding mistakes:
 *
 *   -global migration.x-dirty-summary=off
 *       look at every page of dirty memory and of RAMBlock.bmap, as QEMU
 *       without the summary does.  Setters mark their chunks all the same.
 *   -global migration.x-dirty-summary-check=on|off
 *       at every sync look at every page nevertheless, and complain of those
 *       that the summary hides.  On by default in builds for tests; turn it
 *       off to measure.
 */
#ifdef CONFIG_KVM_DIRTY_FAULTS
#define DIRTY_SUMMARY_CHECK_DEFAULT true
#else
#define DIRTY_SUMMARY_CHECK_DEFAULT false
#endif

/**
 * cpu_physical_memory_sync_dirty_bitmap: move dirty bits to RAMBlock.bmap
 * @rb: RAM block; rb->bmap must exist
 * @start: offset in the block in bytes, a multiple of the target's page size
 * @length: how many bytes
 *
 * Also has those pages protected again, at once or, where there is a
 * rb->clear_bmap, before they are sent.
 *
 * Returns the number of pages that were not dirty in rb->bmap.
 *
 * Context: RCU read-side critical section; bitmap_mutex held, or nobody else
 * there to use rb->bmap.
 */
uint64_t cpu_physical_memory_sync_dirty_bitmap(RAMBlock *rb, ram_addr_t start,
                                               ram_addr_t length);

/**
 * ramblock_bmap_summary_new: the summary of a new rb->bmap
 *
 * Returns one with every chunk marked, to be freed with g_free(), or NULL if
 * there shall be none.
 */
unsigned long *ramblock_bmap_summary_new(const RAMBlock *rb);

/**
 * ramblock_bmap_mark: bits of rb->bmap were set, other than by a sync
 * @rb: RAM block
 * @first: the first page of them
 * @npages: and how many
 *
 * Context: bitmap_mutex held, or nobody else there to use rb->bmap.
 */
void ramblock_bmap_mark(RAMBlock *rb, unsigned long first,
                        unsigned long npages);

/**
 * ramblock_bmap_find: find the next dirty page in rb->bmap
 * @rb: RAM block
 * @end: page to stop at
 * @start: page to start at
 *
 * Returns the page, or, if there is none, what find_next_bit() does.
 *
 * Context: bitmap_mutex held.
 */
unsigned long ramblock_bmap_find(RAMBlock *rb, unsigned long end,
                                 unsigned long start);

#endif
