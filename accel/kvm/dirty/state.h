/*
 * KVM dirty page tracking: what the tracker knows
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One structure for one VM.  The comments name the files that write a part;
 * all others only read it.
 */

#ifndef ACCEL_KVM_DIRTY_STATE_H
#define ACCEL_KVM_DIRTY_STATE_H

#include "exec/memory.h"
#include "exec/ramlist.h"
#include "qapi/qapi-types-dirty-tracking.h"
#include "system/kvm_int.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/slots.h"
#include "accel/kvm/dirty/stats/counters.h"

/* late.c */
typedef struct DirtyLateState {
    uint64_t part;              /* bytes that are protected together; 0 */
                                /* before there are slots; then constant */
    GHashTable *blocks;         /* parts of blocks, by host address; BQL */
    int64_t blocks_slots;       /* how many slots they take; BQL */
    RAMBlockNotifier notifier;  /* when a block goes */
    bool promised;              /* by the sender, see late.c; BQL */
    bool stopped;               /* all vCPUs are; tracker lock */
    unsigned count;             /* of late slots; tracker lock, see late.c */
} DirtyLateState;

/* log/wp-all.c and wp-all-backend.c */
typedef struct DirtyWpAllState {
    bool starting;              /* BQL; slots begin to be logged unprotected */
    bool first;                 /* sync is to come; tracker lock */
    void (*commit)(MemoryListener *listener); /* that of kvm-all.c */
} DirtyWpAllState;

typedef struct KVMDirtyTracker {
    KVMState *s;

    /* Settings: options.c; constant once the accelerator is initialized. */
    KvmDirtyTrackingMode mode;
    uint32_t ring_size;         /* entries; 0: no ring (asked for, or active) */
                                /* also choice.c, which may do without */

    /* Constant once started: choice.c and the backends. */
    const struct KVMDirtyBackendOps *backend;
    char *reason;               /* why this backend, in words */
    bool fallback;              /* and not what was asked for */
    DirtyFeatures offered;
    DirtyFeatures features;     /* in use; those not wanted are false */

    bool fallback_told;         /* there was an event; BQL; events.c */

    /* Protected by the tracker lock. */
    DirtySlots slots;           /* tracker.c */
    bool protection_lost;       /* all that is logged is dirty; memslots.c */
    bool refused;               /* to log a slot, by KVM, ever; blind.c */
    bool log_missed;            /* a bitmap was not to be had; log/log.c */

    struct DirtyRings *rings;   /* ring/set.h; NULL with another backend */
    DirtyLateState late;
    uint64_t log_manual;        /* KVM_DIRTY_LOG_MANUAL_* in force; */
                                /* log/log-backend.c */
    DirtyWpAllState wp_all;

    DirtyFault fault;           /* fault.c, fault-options.c */
    DirtyCounters counters;     /* any file counts */
} KVMDirtyTracker;

#endif
