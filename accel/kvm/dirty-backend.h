/*
 * KVM dirty page tracking: the tracker and its backends
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_BACKEND_H
#define ACCEL_KVM_DIRTY_BACKEND_H

#include "qapi/qapi-types-dirty-tracking.h"
#include "qemu/stats64.h"
#include "system/kvm.h"
#include "dirty-fault.h"
#include "dirty-features.h"
#include "dirty-pace.h"
#include "dirty-reaper.h"
#include "dirty-ring.h"
#include "dirty-slots.h"
#include "dirty-tracker.h"
#include "dirty-vcpu.h"

typedef struct KVMDirtyTracker KVMDirtyTracker;

/*
 * A way to learn from KVM which pages were written.  Functions that may be
 * NULL say so; the lock context is that of the kvm_dirty_tracker_* function
 * of the same name.
 */
typedef struct KVMDirtyBackendOps {
    KvmDirtyBackend id;
    /* Returns 0, -ENOTSUP if KVM does not offer it, or another -errno. */
    int (*enable)(KVMDirtyTracker *t, Error **errp);
    void (*start)(KVMDirtyTracker *t);                          /* or NULL */
    /* With @sync_once only that of the first address space. */
    void (*setup_listener)(KVMDirtyTracker *t, MemoryListener *listener);
    bool (*attach_vcpu)(KVMDirtyTracker *t, CPUState *cpu,
                        Error **errp);                          /* or NULL */
    void (*detach_vcpu)(KVMDirtyTracker *t, CPUState *cpu);     /* or NULL */
    void (*ring_full)(KVMDirtyTracker *t, CPUState *cpu);       /* or NULL */
    /* The slot is going to be logged. */
    void (*slot_logged)(KVMDirtyTracker *t, KVMSlot *slot);
    /* Publish what KVM knows of a slot that goes away. */
    void (*slot_drain)(KVMDirtyTracker *t, KVMSlot *slot);
    void (*presync)(KVMDirtyTracker *t);                        /* or NULL */
    /* Somebody else, such as dirty-limit, wants to know of writes. */
    void (*joined)(KVMDirtyTracker *t);                         /* or NULL */
    bool sync_once;             /* one sync is for all address spaces */
    bool late;                  /* log_clear is dirty_late_log_clear() */
} KVMDirtyBackendOps;

extern const KVMDirtyBackendOps kvm_dirty_backend_log;
extern const KVMDirtyBackendOps kvm_dirty_backend_ring;
extern const KVMDirtyBackendOps kvm_dirty_backend_wp_all;

/* Calls of one ioctl.  Written by any thread, read by the monitor. */
typedef struct DirtyIoctlStats {
    Stat64 count;
    Stat64 ns;
} DirtyIoctlStats;

/* Written by any thread, read by the monitor. */
typedef struct DirtyStats {
    Stat64 syncs;               /* of migration: log_global_after_sync */
    Stat64 published_pages;
    Stat64 stray_entries;       /* named a slot or page that is not there */
    Stat64 reprotections;
    DirtyIoctlStats get_log;
    DirtyIoctlStats clear_log;
    DirtyIoctlStats reset_rings;
    DirtyIoctlStats protect_all; /* KVM_WRITE_PROTECT_ALL_MEM */
    Stat64 overflow_fetches;    /* of all bitmaps, as rings had overflowed */
} DirtyStats;

struct KVMDirtyTracker {
    KVMState *s;

    /* Settings; constant once the accelerator is initialized. */
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;         /* entries; 0: no ring (asked for, or active) */

    /* Constant after the probe. */
    const KVMDirtyBackendOps *backend;
    char *reason;               /* why this backend, in words */
    bool fallback;              /* and not what was asked for; */
    bool fallback_told;         /* there was an event; BQL */
    DirtyFeatures offered;
    DirtyFeatures features;     /* in use; those not wanted are false */

    /* Protected by the tracker lock. */
    DirtySlots slots;
    bool protection_lost;       /* from now on all that is logged is dirty */

    struct {
        GPtrArray *rings;       /* of DirtyRing; tracker lock */
        DirtyRingStage stage;   /* tracker lock */
        size_t bytes;           /* size of a mapped ring */
        bool with_bitmap;       /* KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP */
        bool stopped_by_full;   /* reaper; though rings overflow, see there */
        uint32_t watermark;     /* entries that wake the reaper; 0: timed */
        uint64_t overflowed;    /* pages in bitmaps so far; tracker lock */
        uint64_t fetched;       /* the same, when last they were fetched */
        DirtyHistory overflows; /* tracker lock */
        uint64_t overflow_told; /* as many as an event has told of; */
        int64_t overflow_when;  /* and when, 0: never; tracker lock */
        int64_t harvest_time;   /* ns, without resets; tracker lock */
        int64_t reset_time;     /* ns, with the wait for them; likewise */
        DirtyPace pace;         /* when to harvest; tracker lock */
        DirtyReaper reaper;
    } ring;

    struct {
        uint64_t part;          /* bytes that are protected together; 0 */
                                /* before there are slots */
        bool promised;          /* BQL; kvm_dirty_log_start_late() */
        unsigned count;         /* of late slots; see dirty-late.c */
    } late;

    struct {
        uint64_t manual;        /* KVM_DIRTY_LOG_MANUAL_* in force */
    } log;

    struct {
        bool starting;          /* BQL; slots begin to be logged unprotected */
        bool first;             /* sync is to come; tracker lock */
        void (*commit)(MemoryListener *listener); /* that of kvm-all.c */
    } wp_all;

    DirtyFault fault;

    DirtyStats stats;
};

/*
 * The tracker lock.  Its holder may wait for the reaper, in ring_reset(): so
 * the reaper must not wait for the lock, but try it.
 */
static inline void kvm_dirty_lock(void)
{
    assert(!dirty_reaper_is_self(&kvm_state->dirty_tracker->ring.reaper));
    qemu_mutex_lock(&kml_slots_lock);
}

static inline bool kvm_dirty_trylock(void)
{
    return qemu_mutex_trylock(&kml_slots_lock) == 0;
}

static inline void kvm_dirty_unlock(void)
{
    qemu_mutex_unlock(&kml_slots_lock);
}

static inline bool kvm_dirty_slot_is_logged(const KVMSlot *slot)
{
    return slot->memory_size && (slot->flags & KVM_MEM_LOG_DIRTY_PAGES);
}

/*
 * KVM refused to log a slot that should be: nobody knows what is written
 * there, so all of it counts as dirty in each sync.
 */
static inline bool kvm_dirty_slot_is_blind(const KVMSlot *slot)
{
    return kvm_dirty_slot_is_logged(slot) &&
           !(slot->old_flags & KVM_MEM_LOG_DIRTY_PAGES) && !slot->dirty_late;
}

/* Nobody can say which pages of @slot are dirty: all of them count. */
static inline bool kvm_dirty_slot_is_untold(const KVMDirtyTracker *t,
                                            const KVMSlot *slot)
{
    return t->protection_lost || kvm_dirty_slot_is_blind(slot);
}

static inline uint64_t kvm_dirty_slot_pages(const KVMSlot *slot)
{
    return slot->memory_size / qemu_real_host_page_size();
}

/* The key KVM knows a slot by. */
static inline uint32_t kvm_dirty_slot_key(int as_id, const KVMSlot *slot)
{
    return slot->slot | as_id << 16;
}

static inline bool kvm_dirty_slot_overlaps(const KVMSlot *slot,
                                           const MemoryRegionSection *section)
{
    hwaddr start = section->offset_within_address_space;
    hwaddr last = start + int128_get64(section->size) - 1;

    return slot->memory_size && slot->start_addr <= last &&
           start <= slot->start_addr + slot->memory_size - 1;
}

/**
 * kvm_dirty_for_each_logged_slot: call @fn for the logged slots of all address
 * spaces
 *
 * Called with the tracker lock held.
 */
void kvm_dirty_for_each_logged_slot(KVMDirtyTracker *t,
                                    void (*fn)(KVMDirtyTracker *t,
                                               KVMMemoryListener *kml,
                                               KVMSlot *slot));

/* dirty-options.c */
void dirty_options_class_init(ObjectClass *oc);

/**
 * dirty_options_bad_ring_size: the error for an unusable dirty-ring-size
 * @max: the kernel's limit, or 0 if that is not known yet
 */
void dirty_options_bad_ring_size(Error **errp, const char *value,
                                 uint32_t max, const char *why);

/* dirty-stats.c */

/**
 * dirty_ioctl_done: count a call of an ioctl that began at @start
 */
void dirty_ioctl_done(DirtyIoctlStats *stats, int64_t start);

/* dirty-events.c */

#define DIRTY_PROTECTION_LOST \
    "KVM could not protect memory: all of it counts as dirty in each sync"

/**
 * dirty_events_start: tell of a fallback when the guest first runs
 */
void dirty_events_start(KVMDirtyTracker *t);

/**
 * dirty_protection_lost: nobody can tell any more which pages are writable
 *
 * From now on each sync finds all logged memory dirty.
 * Called with the tracker lock held.
 */
void dirty_protection_lost(KVMDirtyTracker *t);

/**
 * dirty_events_overflow_news: whether to tell of pages that found no room
 *
 * Returns what to hand to dirty_events_overflow() when the lock is released;
 * 0: nothing.  Called with the tracker lock held.
 */
uint64_t dirty_events_overflow_news(KVMDirtyTracker *t);

/**
 * dirty_events_overflow: tell of @pages that found no room in a ring
 *
 * Takes no lock of ours, so that the reaper can call it.
 */
void dirty_events_overflow(uint64_t pages);

/**
 * dirty_events_ring_full: tell of a vCPU that waits for its ring all the time
 */
void dirty_events_ring_full(const CPUState *cpu, const DirtyVcpuFull *full);

/* dirty-late.c; see there for what makes a slot late */

/**
 * dirty_late_update: the flags of @slot have changed, or its clients
 * @clients: who wants to know of writes, 1 << DIRTY_MEMORY_*
 *
 * If it was late and should not be any more, KVM is told.  Called with the
 * tracker lock held.
 */
void dirty_late_update(KVMDirtyTracker *t, KVMMemoryListener *kml,
                       KVMSlot *slot, uint8_t clients);

/**
 * dirty_late_forget: @slot is late no longer
 *
 * KVM has been told to log it, or nobody logs it any more.  Called with the
 * tracker lock held.
 */
void dirty_late_forget(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_late_log_clear: pages of @section are about to be read
 *
 * A MemoryListener's log_clear: KVM logs the late slots there on return.
 * Context: any thread, with or without the BQL; takes the tracker lock.
 */
void dirty_late_log_clear(MemoryListener *listener,
                          MemoryRegionSection *section);

/* dirty-log.c, also for the ring's back-up bitmap */

/**
 * dirty_log_slot_alloc: allocate the bitmap of a slot, unless it has one
 */
void dirty_log_slot_alloc(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_log_fetch: KVM_GET_DIRTY_LOG of a slot, published
 *
 * If KVM fails, the whole slot is published: too much is safe.
 * Called with the tracker lock held.
 */
void dirty_log_fetch(KVMDirtyTracker *t, KVMSlot *slot);

/**
 * dirty_log_fetch_all: the same, for all logged slots
 * dirty_log_fetch_display: the same, for those that the display logs
 */
void dirty_log_fetch_all(KVMDirtyTracker *t);
void dirty_log_fetch_display(KVMDirtyTracker *t);

/**
 * dirty_log_get: KVM_GET_DIRTY_LOG of a slot, to its bitmap
 * @flags: KVM_DIRTY_LOG_*; 0 where the kernel has none
 *
 * Returns 0, -ENOENT if KVM does not log the slot, or another -errno, which is
 * reported.  Called with the tracker lock held.
 */
int dirty_log_get(KVMDirtyTracker *t, KVMSlot *slot, uint32_t flags);

/**
 * dirty_log_publish: make what is set in a slot's bitmap visible
 *
 * Called with the tracker lock held, and the pages protected.
 */
void dirty_log_publish(KVMDirtyTracker *t, KVMSlot *slot);

/* dirty-wp-all.c, also for the ring */

/**
 * dirty_wp_all_log_start: all slots are about to begin to be logged
 *
 * If KVM can, they are then protected all at once by the next commit of a
 * listener, see dirty_wp_all_setup_commit().
 * Called with BQL and tracker lock held.
 */
void dirty_wp_all_log_start(KVMDirtyTracker *t);

/**
 * dirty_wp_all_setup_commit: have @listener's commit do that
 */
void dirty_wp_all_setup_commit(KVMDirtyTracker *t, MemoryListener *listener);

/* dirty-publish.c */

/**
 * dirty_publish_pages: make harvested pages visible to QEMU
 * @opaque: the KVMDirtyTracker
 *
 * Sets the bits in ram_list.dirty_memory of the clients that log the slot.
 * The pages are protected again.  Called with the tracker lock held, which
 * keeps slots and the RAM behind them in place.
 */
void dirty_publish_pages(void *opaque, const DirtyKey *keys, size_t n);

/**
 * dirty_publish_slot: make all pages of a slot visible as dirty
 */
void dirty_publish_slot(KVMDirtyTracker *t, const KVMSlot *slot);

#endif
