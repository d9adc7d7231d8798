/*
 * What surrounds the tracker: the memory API's log, and migration's sender
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sender begins with all pages to be sent.  Each sync adds what QEMU's
 * dirty memory has, and makes each chunk one to be cleared: before a page of
 * such a chunk is read, log_clear is called for all of it.
 */

#include "qemu/osdep.h"
#include "exec/ramlist.h"
#include "system/dirty-tracking.h"
#include "kvm-world.h"

bool memory_global_dirty_log_start(unsigned int flags, Error **errp)
{
    World *w = world;
    bool first = !global_dirty_tracking;

    qatomic_or(&global_dirty_tracking, flags);
    if (!first) {
        return true;
    }
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        MemoryListener *listener = &w->kml[as].listener;

        if (listener->log_global_start) {
            g_assert_true(listener->log_global_start(listener, errp));
        }
    }
    world_commit(w);
    return true;
}

static void log_stop(World *w, unsigned flags)
{
    qatomic_and(&global_dirty_tracking, ~flags);
    if (global_dirty_tracking) {
        return;
    }
    world_commit(w);
    for (int as = RING_MODEL_AS_MAX - 1; as >= 0; as--) {
        MemoryListener *listener = &w->kml[as].listener;

        if (listener->log_global_stop) {
            listener->log_global_stop(listener);
        }
    }
}

static uint64_t chunks(const World *w)
{
    return DIV_ROUND_UP(w->config.pages, WORLD_CHUNK);
}

void world_migrate(World *w, bool late)
{
    Error *err = NULL;

    memset(w->bmap, true, w->config.pages);
    memset(w->chunk, false, chunks(w));
    world_set_role(WORLD_MAIN, NULL);
    g_assert_true(late ? kvm_dirty_tracking_start_late(&err)
                       : memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION,
                                                       &err));
    world_sync(w, false);
    w->sending = true;
}

void world_end_migration(World *w)
{
    w->sending = false;
    world_set_role(WORLD_MAIN, NULL);
    log_stop(w, GLOBAL_DIRTY_MIGRATION);
}

static unsigned long *dirty_words(int client)
{
    return qatomic_rcu_read(&ram_list.dirty_memory[client])->blocks[0];
}

void world_take_published(World *w)
{
    unsigned long *words = dirty_words(DIRTY_MEMORY_MIGRATION);

    for (uint64_t first = 0; first < w->config.pages; first += BITS_PER_LONG) {
        unsigned long *word = &words[BIT_WORD(first)];
        unsigned long bits = qatomic_read(word) ? qatomic_xchg(word, 0) : 0;

        for (; bits; bits &= bits - 1) {
            w->bmap[first + ctz64(bits)] = true;
        }
    }
    memset(w->chunk, true, chunks(w));
}

/* The part of @region that is in RAM pages @first to before @end */
static bool section_of(const WorldRegion *region, uint64_t first, uint64_t end,
                       MemoryRegionSection *section)
{
    uint64_t from = MAX(first, region->page);
    uint64_t to = MIN(end, region->page + region->npages);

    if (from >= to) {
        return false;
    }
    *section = (MemoryRegionSection) {
        .mr = (MemoryRegion *)&region->mr,
        .size = int128_make64((to - from) * KVM_MODEL_PAGE),
        .offset_within_region = (from - region->page) * KVM_MODEL_PAGE,
        .offset_within_address_space =
            (region->gpa + from - region->page) * KVM_MODEL_PAGE,
    };
    return true;
}

typedef void SectionFn(MemoryListener *listener, MemoryRegionSection *section);

/* Call @fn for what address space @as shows of RAM pages @first to @end. */
static void for_sections(World *w, int as, uint64_t first, uint64_t end,
                         SectionFn *fn)
{
    for (int i = 0; i < WORLD_REGIONS; i++) {
        const WorldRegion *region = &w->regions[i];
        MemoryRegionSection section;

        if (region->as == as && region->npages && !region->unseen &&
            world_log_mask(region) &&
            section_of(region, first, end, &section)) {
            fn(&w->kml[as].listener, &section);
        }
    }
}

/* memory_global_dirty_log_sync() */
static void sync_listeners(World *w, bool last)
{
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        MemoryListener *listener = &w->kml[as].listener;

        if (listener->log_sync_global) {
            listener->log_sync_global(listener, last);
        } else if (listener->log_sync) {
            for_sections(w, as, 0, w->config.pages, listener->log_sync);
        }
    }
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        MemoryListener *listener = &w->kml[as].listener;

        if (listener->log_global_after_sync) {
            listener->log_global_after_sync(listener);
        }
    }
}

void world_sync(World *w, bool last)
{
    world_set_role(WORLD_MIGRATION, NULL);
    sync_listeners(w, last);
    world_take_published(w);
    world_set_role(WORLD_MAIN, NULL);
}

/* memory_region_sync_dirty_bitmap() */
void world_sync_display(World *w, WorldRegion *region)
{
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        MemoryListener *listener = &w->kml[as].listener;
        MemoryRegionSection section;

        if (listener->log_sync) {
            if (region->as == as && world_log_mask(region) &&
                section_of(region, 0, w->config.pages, &section)) {
                listener->log_sync(listener, &section);
            }
        } else if (listener->log_sync_region) {
            listener->log_sync_region(listener, &region->mr);
        } else if (listener->log_sync_global) {
            listener->log_sync_global(listener, false);
        }
    }
}

/* Whether log_clear would wait for the lock that its own caller holds */
static bool clear_must_wait(World *w)
{
    KVMDirtyTracker *t = w->state.dirty_tracker;

    return world_lock_is_held() &&
        w->kml[0].listener.log_clear && (!t->backend->late || t->late.count);
}

static bool clear_chunk(World *w, uint64_t chunk)
{
    if (!w->chunk[chunk]) {
        return true;
    }
    if (clear_must_wait(w)) {
        return false;
    }
    w->chunk[chunk] = false;
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        MemoryListener *listener = &w->kml[as].listener;

        if (listener->log_clear) {
            for_sections(w, as, chunk * WORLD_CHUNK, (chunk + 1) * WORLD_CHUNK,
                         listener->log_clear);
        }
    }
    return true;
}

bool world_send(World *w, uint64_t page)
{
    WorldRole role = world_role();
    CPUState *cpu = current_cpu;
    bool sent;

    if (!w->bmap[page]) {
        return false;
    }
    world_set_role(WORLD_MIGRATION, NULL);
    sent = clear_chunk(w, page / WORLD_CHUNK);
    if (sent) {
        w->bmap[page] = false;
        w->copy[page] = ring_model_load(kvm_model_guest(w->kvm), page);
    }
    world_set_role(role, cpu);
    return sent;
}

void world_send_all(World *w)
{
    for (uint64_t page = 0; page < w->config.pages; page++) {
        world_send(w, page);
    }
}

uint64_t world_to_send(World *w, uint64_t first, uint64_t npages)
{
    uint64_t n = 0;

    for (uint64_t page = first; page < first + npages; page++) {
        n += w->bmap[page];
    }
    return n;
}

uint64_t world_finish(World *w)
{
    uint64_t differ = 0;

    world_set_running(w, false);
    world_sync(w, true);
    world_send_all(w);
    for (uint64_t page = 0; page < w->config.pages; page++) {
        differ += w->copy[page] !=
            ring_model_load(kvm_model_guest(w->kvm), page);
    }
    return differ;
}

/* What world_check() knows of pages, all [page] */
typedef struct Known {
    World *w;
    bool *sent_again;       /* dirty, somewhere on the way to the sender */
} Known;

static KVMSlot *slot_of(World *w, uint32_t key)
{
    uint32_t as = key >> 16, id = key & 0xffff;

    if (as >= RING_MODEL_AS_MAX || id >= RING_MODEL_SLOT_MAX ||
        !w->kml[as].slots[id].memory_size) {
        return NULL;
    }
    return &w->kml[as].slots[id];
}

static void add_pending(void *opaque, uint32_t key, uint64_t offset)
{
    Known *known = opaque;
    const KVMSlot *slot = slot_of(known->w, key);

    if (slot && offset < slot->memory_size / KVM_MODEL_PAGE) {
        known->sent_again[slot->ram_start_offset / KVM_MODEL_PAGE + offset] =
            true;
    }
}

static void check_slot(Known *known, uint32_t key, const char *when)
{
    World *w = known->w;
    const KVMSlot *slot = slot_of(w, key);
    uint64_t first = slot->ram_start_offset / KVM_MODEL_PAGE;
    int flags = kvm_model_flags(w->kvm, key);

    for (uint64_t i = 0; i < slot->memory_size / KVM_MODEL_PAGE; i++) {
        if (w->refused[key >> 16][key & 0xffff]) {
            /* The next sync says so of all its pages. */
            known->sent_again[first + i] = true;
        } else if (known->sent_again[first + i]) {
            continue;
        } else if (!(flags & KVM_MEM_LOG_DIRTY_PAGES)) {
            g_error("%s: page %" PRIu64 " was sent, but slot 0x%x is not "
                    "logged", when, first + i, key);
        } else if (ring_model_is_writable(kvm_model_guest(w->kvm), key, i)) {
            g_error("%s: page %" PRIu64 " of slot 0x%x is writable, but is not "
                    "going to be sent", when, i, key);
        }
    }
}

void world_check(World *w, const char *when)
{
    g_autofree bool *again = g_memdup2(w->bmap, w->config.pages);
    unsigned long *words = dirty_words(DIRTY_MEMORY_MIGRATION);
    Known known = { .w = w, .sent_again = again };

    if (w->lost || !w->sending) {
        return;
    }
    for (uint64_t page = 0; page < w->config.pages; page++) {
        again[page] |= words[BIT_WORD(page)] >> page % BITS_PER_LONG & 1;
    }
    ring_model_foreach_pending(kvm_model_guest(w->kvm), add_pending, &known);
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (int id = 0; id < RING_MODEL_SLOT_MAX; id++) {
            if (w->kml[as].slots[id].memory_size) {
                check_slot(&known, RING_MODEL_KEY(as, id), when);
            }
        }
    }
    for (uint64_t page = 0; page < w->config.pages; page++) {
        if (!again[page] && w->copy[page] !=
            ring_model_load(kvm_model_guest(w->kvm), page)) {
            g_error("%s: page %" PRIu64 " has changed, but is not going to be "
                    "sent", when, page);
        }
    }
}
