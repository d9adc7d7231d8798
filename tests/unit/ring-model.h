/*
 * A model of the kernel's end of the KVM dirty ring
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Written from the documented protocol (KVM API, KVM_CAP_DIRTY_LOG_RING, and
 * the comments of linux/kvm.h), not from the code it is used to test, with
 * which it shares nothing but struct kvm_dirty_gfn.
 *
 * The guest is reduced to what matters to dirty tracking: vCPUs that store
 * numbers in pages.  A store to a page without write permission faults; the
 * fault makes the page writable and logs it.  Later stores go unlogged until
 * the page is protected again and what the vCPUs have cached of it is flushed.
 *
 * All functions may be called from any thread, except as noted.
 */

#ifndef TESTS_UNIT_RING_MODEL_H
#define TESTS_UNIT_RING_MODEL_H

#include <linux/kvm.h>

#define RING_MODEL_AS_MAX   2       /* address spaces: ordinary, SMM */
#define RING_MODEL_SLOT_MAX 16      /* slots in each */

/* Where a ring begins in the memory file of its vCPU */
#define RING_MODEL_MAP_OFFSET (4096 * KVM_DIRTY_LOG_PAGE_OFFSET)

/* How struct kvm_dirty_gfn names slot @id of address space @as. */
#define RING_MODEL_KEY(as, id) ((uint32_t)(as) << 16 | (id))

/* To start at the last few indices before they wrap */
#define RING_MODEL_BEFORE_WRAP (UINT32_MAX - 3)

typedef struct RingModel RingModel;

/* How a call of ring_model_reset() goes wrong; all zero but @limit: it works */
typedef struct RingModelFault {
    /*
     * A signal is noticed when this many entries have been taken.  As in the
     * kernel, the call looks for signals before it looks for another entry:
     * equal to the number that there are, it makes a difference, too.
     */
    uint32_t limit;
    /*
     * At the limit, entries that were taken off the ring but were waiting to
     * be protected along with their neighbours are forgotten.  Linux from
     * 6.17 on does that; earlier ones take no notice of signals here.
     */
    bool forget;
    /* If not 0, returned in place of the number of entries taken */
    int result;
} RingModelFault;

typedef struct RingModelConfig {
    unsigned vcpus;
    uint32_t ring_size;     /* entries, a power of two; 0: no rings (yet) */
    uint32_t reserved;      /* a vCPU leaves when only these are left */
    uint32_t pml_size;      /* > 0: collect so many before they are logged */
    uint32_t first_index;   /* where the free running indices start */
    uint64_t pages;         /* of RAM, numbered from 0 */

    /* Optional: called at the start of each reset with @fault all well. */
    void (*fault)(void *opaque, RingModelFault *fault);
    /*
     * Optional: called at every point of a reset at which vCPUs may do
     * something that shows.  No locks are held that a store would want.
     */
    void (*interleave)(void *opaque);
    void *opaque;
} RingModelConfig;

typedef enum RingModelExit {
    RING_MODEL_DONE,        /* the store was done */
    RING_MODEL_RING_FULL,   /* KVM_EXIT_DIRTY_RING_FULL; not done */
    RING_MODEL_MMIO,        /* there is no RAM there; not done */
} RingModelExit;

RingModel *ring_model_new(const RingModelConfig *config);
void ring_model_free(RingModel *model);

/*
 * Give the vCPUs rings of @size entries, having had none.  They are in memory
 * files, at RING_MODEL_MAP_OFFSET, for user space to map.
 */
void ring_model_use_rings(RingModel *model, uint32_t size, uint32_t reserved);
int ring_model_fd(RingModel *model, unsigned vcpu);

/* What user space would mmap() from the vCPU. */
struct kvm_dirty_gfn *ring_model_map(RingModel *model, unsigned vcpu);

/*
 * Let slot @key show RAM pages from @base on, write-protected and logged;
 * @npages 0 removes it.  The vCPUs wait meanwhile.  Entries that name the slot
 * stay in the rings.
 */
void ring_model_set_slot(RingModel *model, uint32_t key, uint64_t base,
                         uint64_t npages);

/* The same; it is logged or not, in a bitmap with @all bits set or none. */
void ring_model_add_slot(RingModel *model, uint32_t key, uint64_t base,
                         uint64_t npages, bool logged, bool all);

/* KVM_RUN up to and including one store to the guest's memory. */
RingModelExit ring_model_store(RingModel *model, unsigned vcpu, uint32_t key,
                               uint64_t offset, uint64_t value);

/*
 * Log an entry out of the blue.  It need not make sense.
 * Returns: whether there was room
 */
bool ring_model_push(RingModel *model, unsigned vcpu, uint32_t key,
                     uint64_t offset);

/* The vCPU leaves the guest, and logs what it had collected. */
void ring_model_exit(RingModel *model, unsigned vcpu);

/* KVM_RESET_DIRTY_RINGS */
int ring_model_reset(RingModel *model);

/* Write-protect every page of every slot, as turning logging on does. */
void ring_model_protect_all(RingModel *model);

/* The following are in log-model.c. */

/*
 * Log slot @key to rings, or to a bitmap if there are none or they overflow;
 * or, with @logged false, log it nowhere and forget its bitmap.
 * @all: all bits of the bitmap are set
 * @protect: then write-protect all of it; vCPUs may write in between
 */
void ring_model_set_logged(RingModel *model, uint32_t key, bool logged,
                           bool all, bool protect);

/*
 * Have bitmaps in spite of rings, for what is written without a vCPU.  Before
 * any slot is logged.
 */
void ring_model_use_bitmaps(RingModel *model);

/* A page is written without a vCPU, as by an interrupt controller. */
void ring_model_store_outside(RingModel *model, uint32_t key, uint64_t offset,
                              uint64_t value);

/*
 * Let rings overflow to bitmaps.  With @stop vCPUs leave all the same when
 * their rings are nearly full.
 */
void ring_model_set_overflow(RingModel *model, bool stop);

/* How many pages went to bitmaps since then */
uint64_t ring_model_overflowed(RingModel *model);

/*
 * Copy the bitmap of slot @key to @bitmap, in whole 64-bit words.
 * @clear: and clear it
 * @protect: and write-protect the pages that were set
 * Returns: false if the slot has no bitmap
 */
bool ring_model_get_log(RingModel *model, uint32_t key, uint64_t *bitmap,
                        bool clear, bool protect);

/*
 * Clear those bits of pages from @first on that are set in @bitmap, too, and
 * write-protect their pages.
 * Returns: false if the slot has no bitmap
 */
bool ring_model_clear_log(RingModel *model, uint32_t key, uint64_t first,
                          uint64_t npages, const uint64_t *bitmap);

/* What a page of RAM holds */
uint64_t ring_model_load(RingModel *model, uint64_t page);

/*
 * For checks while nothing else runs: whether some vCPU can store to this page
 * of the slot without a fault.
 */
bool ring_model_is_writable(RingModel *model, uint32_t key, uint64_t offset);

/*
 * Likewise: call @fn for all that was logged, or is about to be, and was not
 * harvested.
 */
typedef void RingModelPendingFn(void *opaque, uint32_t key, uint64_t offset);
void ring_model_foreach_pending(RingModel *model, RingModelPendingFn *fn,
                                void *opaque);

/* Statistics */
uint64_t ring_model_pushed(RingModel *model);

#endif
