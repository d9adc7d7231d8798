/*
 * Dirty pages on their way from dirty memory to the sender
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two bitmaps lie on that way.  Dirty memory is shared by all who find dirty
 * pages; a sync moves its bits to RAMBlock.bmap, which is the sender's own.
 * Both are as large as the guest and mostly empty, and have a summary.  That
 * of dirty memory belongs to it and is always kept; that of RAMBlock.bmap
 * comes and goes with it and is protected by bitmap_mutex like it.
 *
 * A RAM block need not begin or end where a chunk does.  Its neighbour's pages
 * in a shared chunk are left alone, and such a chunk stays marked: one cache
 * line to read at each sync.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "exec/memory.h"
#include "exec/ram_addr.h"
#include "exec/target_page.h"
#include "migration.h"
#include "migration/dirty-sync.h"

QEMU_BUILD_BUG_ON(DIRTY_SUMMARY_BLOCK_PAGES != DIRTY_MEMORY_BLOCK_SIZE);

static unsigned long bmap_pages(const RAMBlock *rb)
{
    return rb->max_length >> TARGET_PAGE_BITS;
}

static void check_result(RAMBlock *rb, const DirtySummarySync *sync)
{
    if (sync->unmarked) {
        error_report("dirty summary: %" PRIu64 " chunks of dirty memory were "
                     "not marked, the first at page 0x%lx of %s",
                     sync->unmarked, sync->first_unmarked - sync->base,
                     rb->idstr);
    }
    if (rb->bmap_summary) {
        unsigned long wrong =
            dirty_summary_repair(rb->bmap, rb->bmap_summary, bmap_pages(rb));

        if (wrong) {
            error_report("dirty summary: %lu chunks of the bitmap of %s were "
                         "not marked", wrong, rb->idstr);
        }
    }
}

/* Have KVM, or whoever logs for us, protect the pages before they are sent. */
static void protect_again(RAMBlock *rb, ram_addr_t start, ram_addr_t length)
{
    if (rb->clear_bmap) {
        uint64_t end = (start + length) >> TARGET_PAGE_BITS;
        uint64_t first = QEMU_ALIGN_DOWN(start >> TARGET_PAGE_BITS,
                                         1ULL << rb->clear_bmap_shift);

        clear_bmap_set(rb, first, end - first);
    } else {
        memory_region_clear_dirty_bitmap(rb->mr, start, length);
    }
}

uint64_t cpu_physical_memory_sync_dirty_bitmap(RAMBlock *rb, ram_addr_t start,
                                               ram_addr_t length)
{
    const MigrationState *ms = migrate_get_current();
    DirtyMemoryBlocks *memory =
        qatomic_rcu_read(&ram_list.dirty_memory[DIRTY_MEMORY_MIGRATION]);
    DirtySummarySync sync = {
        .blocks = memory->blocks,
        .bmap = rb->bmap,
        .bmap_summary = rb->bmap_summary,
        .base = rb->offset >> TARGET_PAGE_BITS,
        .scan_all = !ms->dirty_summary,
        .check = ms->dirty_summary_check,
    };

    dirty_summary_sync(&sync, (rb->offset + start) >> TARGET_PAGE_BITS,
                       length >> TARGET_PAGE_BITS);
    if (sync.check) {
        check_result(rb, &sync);
    }
    if (sync.taken) {
        /* Also where the sender had them already: TCG must trap again. */
        cpu_physical_memory_dirty_bits_cleared(rb->offset + start, length);
    }
    protect_again(rb, start, length);
    return sync.newly_dirty;
}

unsigned long *ramblock_bmap_summary_new(const RAMBlock *rb)
{
    return migrate_get_current()->dirty_summary
           ? dirty_summary_new(bmap_pages(rb)) : NULL;
}

void ramblock_bmap_mark(RAMBlock *rb, unsigned long first, unsigned long npages)
{
    if (rb->bmap_summary) {
        dirty_summary_mark(rb->bmap_summary, first, npages);
    }
}

unsigned long ramblock_bmap_find(RAMBlock *rb, unsigned long end,
                                 unsigned long start)
{
    if (!rb->bmap_summary) {
        return find_next_bit(rb->bmap, end, start);
    }
    return dirty_summary_find(rb->bmap, rb->bmap_summary, bmap_pages(rb), end,
                              start);
}
