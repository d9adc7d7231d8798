/*
 * The user-space end of KVM's per-vCPU dirty rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This file knows the protocol and nothing else: no lock, no thread, no
 * policy, no idea of what a page is.  (KVM API, capability
 * KVM_CAP_DIRTY_LOG_RING; Linux commit fb04a1eddb1a.)
 *
 * Layout.  A ring is an array of entries in memory shared with the kernel,
 * a power of two of them, used in a circle.  An entry is empty, dirty or
 * harvested:
 *
 *              kernel: page written          here: harvest
 *     empty -----------------------> dirty -----------------> harvested
 *       ^                                                         |
 *       +---------------------------------------------------------+
 *                 kernel: reset, page write-protected again
 *
 * Three indices chase each other round the circle, reset <= fetch <= dirty.
 * The kernel keeps the outer two, DirtyRing.fetch is the one in the middle.
 *
 * Invariants:
 *
 * 1. Publish after protect.  A page whose dirty bit is visible to the sender
 *    may be read at any time, and the bit is then gone.  If the page were
 *    still writable, a write after that read would be recorded nowhere, as
 *    KVM logs only the write that makes a page writable.  So entries go
 *    through a stage: copied out and marked in dirty_ring_harvest(), then
 *    dirty_ring_stage_commit() resets and only then publishes.
 *
 * 2. In order, none skipped.  The kernel resets from its own index up to the
 *    first entry that is not harvested; a gap would stall it for good.
 *
 * 3. Never read an entry again once it is marked: from then on the kernel
 *    may hand it to the vCPU, which refills it.
 *
 * The kernel protects what the entries say when it resets them, and takes its
 * MMU lock once for neighbours that follow each other.  So a harvest is sorted
 * and written back before it is marked: the same pages, in an order that costs
 * the kernel, and the guest waiting for that lock, a fraction.
 *
 * Cost: O(1) an entry, nothing in the size of the guest.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/host-utils.h"
#include "ring.h"
#include "sort.h"

/*
 * How often in a row a reset may achieve nothing before it is given up.  A
 * pending signal or task work can interrupt the call; neither lasts.
 */
#define RESET_TRIES 1000

static inline struct kvm_dirty_gfn *ring_entry(const DirtyRing *ring,
                                               uint32_t index)
{
    return &ring->gfns[index & (ring->size - 1)];
}

static inline bool gfn_is_dirty(struct kvm_dirty_gfn *gfn)
{
    /*
     * Acquire: slot and offset are read after the flags.  Pairs with the
     * barrier between the two in the kernel's kvm_dirty_ring_push(): seeing
     * DIRTY here means that the rest of the entry is there as well.
     */
    return qatomic_load_acquire(&gfn->flags) == KVM_DIRTY_GFN_F_DIRTY;
}

static inline void gfn_set_harvested(struct kvm_dirty_gfn *gfn)
{
    /*
     * Release: our accesses to slot and offset are done before the kernel can
     * see RESET.  Pairs with the acquiring load of the flags in the kernel's
     * kvm_dirty_ring_reset(), which empties the entry for reuse.  That call
     * may run on another thread than this one; the chain then is vCPU ->
     * (flags DIRTY) -> here -> (flags RESET) -> resetting thread.
     */
    qatomic_store_release(&gfn->flags, KVM_DIRTY_GFN_F_RESET);
}

DirtyRing *dirty_ring_new(unsigned long vcpu_id, uint32_t size)
{
    DirtyRing *ring = g_new0(DirtyRing, 1);

    assert(is_power_of_2(size));
    ring->vcpu_id = vcpu_id;
    ring->size = size;
    return ring;
}

void dirty_ring_free(DirtyRing *ring)
{
    g_free(ring);
}

void dirty_ring_attach(DirtyRing *ring, struct kvm_dirty_gfn *gfns,
                       void *owner)
{
    ring->gfns = gfns;
    ring->owner = owner;
}

struct kvm_dirty_gfn *dirty_ring_detach(DirtyRing *ring)
{
    struct kvm_dirty_gfn *gfns = ring->gfns;

    ring->gfns = NULL;
    ring->owner = NULL;
    return gfns;
}

bool dirty_ring_holds(const DirtyRing *ring, uint32_t n)
{
    return ring->gfns && gfn_is_dirty(ring_entry(ring, ring->fetch + n - 1));
}

uint32_t dirty_ring_fill(const DirtyRing *ring)
{
    uint32_t low = 0, high = ring->size;

    /* At least @low wait, at most @high. */
    while (low < high) {
        uint32_t middle = high - (high - low) / 2;

        if (dirty_ring_holds(ring, middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static void stage_reserve(DirtyRingStage *stage, size_t n)
{
    if (stage->allocated - stage->used < n) {
        stage->allocated = stage->used + n;
        stage->keys = g_renew(DirtyKey, stage->keys, stage->allocated);
    }
    if (stage->spare_allocated < n) {
        stage->spare_allocated = n;
        stage->spare = g_renew(DirtyKey, stage->spare, n);
    }
}

/*
 * Read waiting entries from @index on, @max at most, leaving them as they are.
 * Returns: how many; @stray: one of them is not in @keys as it is
 */
static uint32_t ring_read(const DirtyRing *from, uint32_t index, DirtyKey *keys,
                          uint32_t max, bool *stray)
{
    const DirtyRing view = *from, *ring = &view;
    bool any_stray = false;
    uint32_t count;

    /*
     * The vCPU may go on filling the ring meanwhile.  It cannot lap us, as
     * what waits is not empty, but the bound says so.
     */
    for (count = 0; count < max; count++) {
        struct kvm_dirty_gfn *gfn = ring_entry(ring, index + count);

        if (!gfn_is_dirty(gfn)) {
            break;
        }
        keys[count] = dirty_key(gfn->slot, gfn->offset);
        any_stray |= keys[count] == DIRTY_KEY_STRAY;
    }
    *stray = any_stray;
    return count;
}

uint32_t dirty_ring_look(DirtyRing *ring, DirtyKey *keys, uint32_t max)
{
    uint32_t count;
    bool stray;

    if (!ring->gfns) {
        return 0;
    }
    if (ring->looked - ring->fetch > ring->size) {
        /* They were harvested meanwhile. */
        ring->looked = ring->fetch;
    }
    max = MIN(max, ring->size - (ring->looked - ring->fetch));
    count = ring_read(ring, ring->looked, keys, max, &stray);
    ring->looked += count;
    return count;
}

/* Write @count entries back, in the order of @keys, and mark them. */
static void ring_mark(const DirtyRing *from, const DirtyKey *keys,
                      uint32_t count)
{
    const DirtyRing view = *from, *ring = &view;

    for (uint32_t i = 0; i < count; i++) {
        struct kvm_dirty_gfn *gfn = ring_entry(ring, ring->fetch + i);

        if (keys) {
            gfn->slot = dirty_key_slot(keys[i]);
            gfn->offset = dirty_key_offset(keys[i]);
        }
        gfn_set_harvested(gfn);
    }
}

uint32_t dirty_ring_harvest(DirtyRing *ring, DirtyRingStage *stage)
{
    DirtyKey *keys, *sorted = NULL;
    uint32_t count;
    bool stray;

    if (!dirty_ring_holds(ring, 1)) {
        return 0;
    }

    stage_reserve(stage, ring->size);
    keys = &stage->keys[stage->used];
    count = ring_read(ring, ring->fetch, keys, ring->size, &stray);
    if (!stray) {
        sorted = dirty_sort(keys, stage->spare, count);
    }
    ring_mark(ring, sorted, count);
    if (sorted == stage->spare) {
        memcpy(keys, sorted, count * sizeof(*keys));
    }

    ring->fetch += count;
    stage->used += count;
    return count;
}

void dirty_ring_stage_init(DirtyRingStage *stage, const DirtyRingOps *ops,
                           void *opaque)
{
    *stage = (DirtyRingStage) { .ops = ops, .opaque = opaque };
}

void dirty_ring_stage_destroy(DirtyRingStage *stage)
{
    g_free(stage->keys);
    g_free(stage->spare);
    *stage = (DirtyRingStage) {};
}

/*
 * Have the kernel reset all that was harvested.
 *
 * Linux 6.12 handles everything in one call.  Later kernels stop when a
 * signal is pending and return what they have done so far, possibly nothing,
 * or -EINTR; an entry taken off the ring just before may then have lost its
 * protection pass.  So the ring is always emptied, but true is returned only
 * if one call did it all and nothing can have stopped it at the very end:
 * anything else leaves the protection of the staged pages unknown.
 */
static bool stage_reset(DirtyRingStage *stage)
{
    size_t left = stage->used;
    int idle = 0;
    int ret;

    stage->doubtful = false;
    ret = stage->ops->reset(stage->opaque);
    stage->resets++;
    if (ret >= 0 && ret == left && !stage->unfinished) {
        stage->short_resets += stage->doubtful;
        return !stage->doubtful;
    }

    /*
     * From here on the numbers prove little.  What was taken off without being
     * counted, or is left from another time, shows in a call that finds
     * nothing more.
     */
    stage->short_resets++;
    stage->unfinished = true;
    while (true) {
        if (ret > 0 && left) {
            left -= MIN(ret, left);
            idle = 0;
        } else if (ret == 0 && !left) {
            stage->unfinished = false;
            break;
        } else if (ret < 0 && ret != -EINTR && ret != -EAGAIN) {
            break;
        } else if (++idle == RESET_TRIES) {
            break;
        }
        ret = stage->ops->reset(stage->opaque);
        stage->resets++;
    }
    return false;
}

void dirty_ring_stage_commit(DirtyRingStage *stage)
{
    bool protected;

    if (!stage->used && !stage->unfinished) {
        return;
    }
    protected = stage_reset(stage);
    if (!stage->used) {
        /* What was left over has been dealt with when the reset gave up. */
        return;
    }
    if (!protected) {
        stage->ops->reprotect(stage->opaque);
    }
    stage->ops->publish(stage->opaque, stage->keys, stage->used);
    stage->used = 0;
}
