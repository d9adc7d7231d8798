/*
 * What surrounds the tracker: KVM, kvm-all.c, vCPUs and migration's sender
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Below the tracker is the model of KVM's ioctls, above it what the memory API
 * and kvm-all.c do with memslots, and a sender, which takes the dirty bit of a
 * page and then copies it.  The tracker between them is QEMU's own code, and
 * so is the dirty memory that it publishes to.
 *
 * There is one world at a time, as there is one kvm_state.  Unless it says
 * otherwise a function is for one thread, which plays the part that
 * world_as_*() has given it.
 */

#ifndef TESTS_UNIT_KVM_WORLD_H
#define TESTS_UNIT_KVM_WORLD_H

#include <pthread.h>
#include "hw/core/cpu.h"
#include "system/runstate.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/ring/set.h"
#include "accel/kvm/dirty/tracker.h"
#include "kvm-model.h"

#define WORLD_REGIONS 8         /* at most */
#define WORLD_CHUNK 64          /* pages that the sender clears together */

/* A piece of RAM at a place in an address space, cut into slots */
typedef struct WorldRegion {
    MemoryRegion mr;            /* first, so that one leads to the other */
    int as;
    uint64_t gpa;               /* in pages, like all that follows; */
    uint64_t page;              /* the first one of RAM, */
    uint64_t npages;            /* 0: no such region, */
    uint64_t part;              /* and how many go into a slot */
    uint8_t told;               /* clients of its log when last told KVM */
    bool unseen;                /* not in the flat view any more */
} WorldRegion;

typedef struct WorldConfig {
    KvmModelOffer offer;
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;
    unsigned vcpus;             /* plugged by world_start() */
    uint64_t pages;
    uint32_t pml_size;
    /* See KvmModelConfig and RingModelConfig; @opaque is the world. */
    int (*enter)(void *opaque, unsigned long request, const void *arg);
    void (*interleave)(void *opaque);
    void (*fault)(void *opaque, RingModelFault *fault);
} WorldConfig;

typedef struct World {
    WorldConfig config;
    KvmModel *kvm;
    KVMState state;
    KVMMemoryListener kml[RING_MODEL_AS_MAX];
    WorldRegion regions[WORLD_REGIONS];
    CPUState **cpus;            /* [vcpu]; kvm_fd is kept while unplugged */
    bool *plugged;
    bool vcpus_out;             /* they are kept out of KVM, by */
    pthread_rwlock_t run_lock;  /* which threads that are vCPUs hold to read */
    RunState runstate;
    bool limited;               /* dirty limits are in service, */
    uint64_t quota;             /* and that of vCPU 0, MB/s */
    run_on_cpu_func work;       /* what is queued for a vCPU */
    CPUState *work_cpu;
    run_on_cpu_data work_data;
    bool other_work;            /* something else is queued */
    int slept;                  /* ms, for limits */
    unsigned lock_turns;        /* how often the tracker lock was taken */
    RAMBlockNotifier *blocks;   /* who wants to know of blocks that go */
    bool io_uring;              /* is used by the main loop and vCPUs */
    void *test;                 /* the test's own */

    /* The sender.  All [page] or [chunk]. */
    bool *bmap;                 /* to be sent */
    bool *chunk;                /* to be cleared before it is read */
    uint64_t *copy;
    bool sending;               /* a migration is under way */

    /* What the tracker was seen to do */
    GString *said;              /* errors and warnings, a line each */
    unsigned lost;              /* dirty_events_protection_lost() */
    unsigned refusals;          /* dirty_events_refused() */
    unsigned reaper_calls;
    uint64_t overflow_news;
    VMChangeStateHandler *run_handler;
    DirtyReaperLook *look;      /* the reaper's turn, its */
    bool reaper_logging, reaper_running; /* it is active if both; atomic */
    /* Slots that KVM has refused to log, [as][id] */
    bool refused[RING_MODEL_AS_MAX][RING_MODEL_SLOT_MAX];
} World;

/* The one that there is */
extern World *world;

/* Which thread the caller is, for who must not be interrupted in a reset */
typedef enum WorldRole {
    WORLD_MIGRATION,            /* or any other with all signals blocked */
    WORLD_MAIN,
    WORLD_VCPU,                 /* current_cpu is set */
    WORLD_REAPER,
} WorldRole;

WorldRole world_role(void);
void world_set_role(WorldRole role, CPUState *cpu);

/* Whether the caller holds the tracker lock */
bool world_lock_is_held(void);

/* A world whose tracker has its options, and nothing else yet */
World *world_new(const WorldConfig *config);
void world_free(World *w);

/* kvm_init(): choose a backend; world_start() then makes it work. */
int world_probe(World *w);
void world_start(World *w);
/* All of that at once */
World *world_boot(const WorldConfig *config);

/* kvm_init_vcpu() and kvm_destroy_vcpu() */
void world_plug(World *w, unsigned vcpu);
void world_unplug(World *w, unsigned vcpu);

/*
 * Map memory, or unmap it, as kvm_region_commit() does.  The log of the region
 * is on if migration's is, or with world_set_display().
 */
WorldRegion *world_map(World *w, int as, uint64_t gpa, uint64_t page,
                       uint64_t npages, uint64_t part);
void world_unmap(World *w, WorldRegion *region);
/*
 * The flat view has switched, so that the region is not in it; KVM's slots are
 * yet to be removed, by world_unmap().
 */
void world_leave_view(WorldRegion *region);
void world_set_display(World *w, WorldRegion *region, bool on);

/* KVM's slot for page @offset of the region, and the place of it in there */
uint32_t world_key(World *w, const WorldRegion *region, uint64_t *offset);
KVMSlot *world_slot(World *w, const WorldRegion *region, uint64_t offset);

/* KVM_RUN up to and including a store; full rings are dealt with. */
bool world_store(World *w, unsigned vcpu, const WorldRegion *region,
                 uint64_t offset, uint64_t value);
/* The same, but a full ring is left full. */
RingModelExit world_store_once(World *w, unsigned vcpu,
                               const WorldRegion *region, uint64_t offset,
                               uint64_t value);

/* A turn of the reaper's thread, if it is due one.  Returns: it was */
bool world_reaper_turn(World *w);

/* Everything stops, or runs again. */
void world_set_running(World *w, bool running);

/* kvm-world-sender.c */

/* Begin to log, for migration; @late: by kvm_dirty_tracking_start_late() */
void world_migrate(World *w, bool late);
void world_end_migration(World *w);

/* A sync of the dirty log, and of the sender's bitmap with it */
void world_sync(World *w, bool last);
/* Only the sender's, of what is published already */
void world_take_published(World *w);
/* The display's refresh of a region */
void world_sync_display(World *w, WorldRegion *region);

/*
 * Send @page if it is dirty.
 * Returns: false if it is not, or if that has to wait for the tracker lock
 */
bool world_send(World *w, uint64_t page);
void world_send_all(World *w);

/* How many pages the sender has to send, of those from @first on */
uint64_t world_to_send(World *w, uint64_t first, uint64_t npages);

/*
 * With nothing else running: abort unless each page is going to be sent, or is
 * as it was sent and can be written by no vCPU without being seen.
 */
void world_check(World *w, const char *when);

/*
 * The end of a migration: vCPUs stop, the last sync, the last pages.
 * Returns: the number of pages that differ
 */
uint64_t world_finish(World *w);

/* A block of RAM is freed. */
void world_block_removed(World *w, const RAMBlock *block);

/* What memory_region_get_dirty_log_mask() says */
uint8_t world_log_mask(const WorldRegion *region);

/* A commit of the memory API: KVM is told of changed clients of the log. */
void world_commit(World *w);

#endif
