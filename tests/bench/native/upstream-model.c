/*
 * How upstream QEMU 10.0 does a sync with dirty rings: a model
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reaped pages wait in a bitmap for each memslot.  A sync goes over all of it
 * three times:
 *
 *  1. kvm_slot_sync_dirty_pages(): each word of the slot's bitmap that is not
 *     0 is or'ed into the dirty memory of the display and of migration;
 *  2. kvm_slot_reset_dirty_pages(): the slot's bitmap is set to 0;
 *  3. cpu_physical_memory_sync_dirty_bitmap(): each word of migration's dirty
 *     memory that is not 0 moves to RAMBlock.bmap.
 *
 * Not modelled, though it takes time as well: the ring itself, kicking vCPUs,
 * and RAM blocks that are not a multiple of 64 pages, which upstream does
 * page by page.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "native.h"
#include "upstream-model.h"

/* As in exec/ramlist.h, of which a program without QEMU has no use. */
#define BLOCK_PAGES (256UL * 1024 * 8)
#define BLOCK_WORDS BITS_TO_LONGS(BLOCK_PAGES)

/* The pc machine's memory has a hole below 4 GiB. */
#define LOW_PAGES (3 * PAGES_PER_GIB)

typedef struct Slot {
    unsigned long first, npages;
    unsigned long *bmap;
} Slot;

struct UpstreamModel {
    unsigned long npages;
    Slot slots[2];
    unsigned nslots;
    unsigned long **vga, **migration;   /* dirty memory, in blocks */
    unsigned long *bmap;
};

static unsigned long **new_memory(unsigned long npages)
{
    unsigned long n = DIV_ROUND_UP(npages, BLOCK_PAGES);
    unsigned long **blocks = g_new(unsigned long *, n);

    for (unsigned long i = 0; i < n; i++) {
        blocks[i] = bitmap_new(BLOCK_PAGES);
    }
    return blocks;
}

static void free_memory(unsigned long **blocks, unsigned long npages)
{
    for (unsigned long i = 0; i < DIV_ROUND_UP(npages, BLOCK_PAGES); i++) {
        g_free(blocks[i]);
    }
    g_free(blocks);
}

static void add_slot(UpstreamModel *m, unsigned long first,
                     unsigned long npages)
{
    m->slots[m->nslots++] = (Slot) {
        .first = first,
        .npages = npages,
        .bmap = bitmap_new(npages),
    };
}

UpstreamModel *upstream_model_new(unsigned long npages)
{
    UpstreamModel *m = g_new0(UpstreamModel, 1);

    m->npages = npages;
    m->vga = new_memory(npages);
    m->migration = new_memory(npages);
    m->bmap = bitmap_new(npages);
    add_slot(m, 0, MIN(npages, LOW_PAGES));
    if (npages > LOW_PAGES) {
        add_slot(m, LOW_PAGES, npages - LOW_PAGES);
    }
    return m;
}

void upstream_model_free(UpstreamModel *m)
{
    for (unsigned i = 0; i < m->nslots; i++) {
        g_free(m->slots[i].bmap);
    }
    free_memory(m->vga, m->npages);
    free_memory(m->migration, m->npages);
    g_free(m->bmap);
    g_free(m);
}

void upstream_model_set(UpstreamModel *m, unsigned long page)
{
    Slot *slot = &m->slots[m->nslots > 1 && page >= LOW_PAGES];

    set_bit_atomic(page - slot->first, slot->bmap);
}

static void publish_slot(UpstreamModel *m, const Slot *slot)
{
    unsigned long at = BIT_WORD(slot->first);

    for (unsigned long i = 0; i < BITS_TO_LONGS(slot->npages); i++, at++) {
        unsigned long bits = slot->bmap[i];

        if (bits) {
            qatomic_or(&m->vga[at / BLOCK_WORDS][at % BLOCK_WORDS], bits);
            qatomic_or(&m->migration[at / BLOCK_WORDS][at % BLOCK_WORDS],
                       bits);
        }
    }
}

static uint64_t collect(UpstreamModel *m)
{
    uint64_t new_pages = 0;

    for (unsigned long i = 0; i < BITS_TO_LONGS(m->npages); i += BLOCK_WORDS) {
        unsigned long *from = m->migration[i / BLOCK_WORDS];
        unsigned long *to = m->bmap + i;
        unsigned long n = MIN(BITS_TO_LONGS(m->npages) - i, BLOCK_WORDS);

        for (unsigned long k = 0; k < n; k++) {
            if (from[k]) {
                unsigned long bits = qatomic_xchg(&from[k], 0);

                new_pages += ctpopl(bits & ~to[k]);
                to[k] |= bits;
            }
        }
    }
    return new_pages;
}

uint64_t upstream_model_sync(UpstreamModel *m)
{
    for (unsigned i = 0; i < m->nslots; i++) {
        Slot *slot = &m->slots[i];

        publish_slot(m, slot);
        memset(slot->bmap, 0, BITS_TO_LONGS(slot->npages) *
                              sizeof(unsigned long));
    }
    return collect(m);
}

unsigned long *upstream_model_bmap(UpstreamModel *m)
{
    return m->bmap;
}
