/*
 * KVM dirty page tracking: what a backend is
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A backend is a way to learn from KVM which pages were written.  There are
 * three: ring/backend.c, log/log-backend.c and log/wp-all-backend.c.
 * choice.c chooses one when the VM is created; it stays for the VM's life.
 */

#ifndef ACCEL_KVM_DIRTY_BACKEND_H
#define ACCEL_KVM_DIRTY_BACKEND_H

#include "accel/kvm/dirty/state.h"

/*
 * Functions that may be NULL say so.  The lock context is that of the caller
 * in tracker.h or system/dirty-tracking.h: enable is called from probe, disable
 * from instance_finalize, slot_logged from slot_set, slot_drain from
 * slot_clear, joined from log_all, and the others from the function of the same
 * name.
 */
typedef struct KVMDirtyBackendOps {
    KvmDirtyBackend id;
    /* Returns 0, -ENOTSUP if KVM does not offer it, or another -errno. */
    int (*enable)(KVMDirtyTracker *t, Error **errp);
    /* Free what enable() allocated: the VM was not created after all. */
    void (*disable)(KVMDirtyTracker *t);                        /* or NULL */
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

#endif
