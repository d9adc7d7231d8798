/*
 * KVM dirty page tracking: the choice of a backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "choice.h"
#include "accel/kvm/dirty/backend.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/options.h"
#include "accel/kvm/dirty/trace.h"
#include "accel/kvm/dirty/log/log-backend.h"
#include "accel/kvm/dirty/log/wp-all-backend.h"
#include "accel/kvm/dirty/ring/backend.h"

static int use_backend(KVMDirtyTracker *t, const KVMDirtyBackendOps *backend,
                       const char *reason, Error **errp)
{
    int ret;

    t->reason = g_strdup(reason);
    ret = backend->enable(t, errp);
    if (ret < 0) {
        g_free(t->reason);
        t->reason = NULL;
        return ret;
    }
    t->backend = backend;
    trace_kvm_dirty_tracking(KvmDirtyBackend_str(backend->id), t->reason);
    return 0;
}

static int choose_log(KVMDirtyTracker *t, const char *reason, Error **errp)
{
    t->ring_size = 0;
    t->features = (DirtyFeatures) {};
    return use_backend(t, &dirty_log_backend, reason, errp);
}

/*
 * The best there is without a ring.  With a small guest protecting all at once
 * and page by page are as good as each other (docs/bench.md); what a pass costs
 * KVM is the same for any guest with the one, and grows with what the guest
 * writes with the other.
 */
static int choose_bitmap(KVMDirtyTracker *t, const char *reason, Error **errp)
{
    g_autofree char *both = NULL;
    Error *err = NULL;

    if (!t->features.wp_all) {
        return choose_log(t, reason, errp);
    }
    t->ring_size = 0;
    both = g_strdup_printf("%s, and KVM can write-protect all memory at once",
                           reason);
    if (use_backend(t, &dirty_wp_all_backend, both, &err) == 0) {
        return 0;
    }
    warn_reportf_err(err, "protecting memory page by page: ");
    t->fallback = true;
    return choose_log(t, reason, errp);
}

/* @others: the modes that would do instead */
static int insist_on(KVMDirtyTracker *t, const KVMDirtyBackendOps *backend,
                     const char *others, Error **errp)
{
    ERRP_GUARD();
    const char *mode = KvmDirtyTrackingMode_str(t->mode);
    g_autofree char *reason = g_strdup_printf("asked for by dirty-tracking=%s",
                                              mode);
    int ret = use_backend(t, backend, reason, errp);

    if (ret == -ENOTSUP) {
        error_prepend(errp, "dirty-tracking=%s is not possible, use "
                      "dirty-tracking=%s: ", mode, others);
    }
    return ret;
}

static void drop_ring_size(KVMDirtyTracker *t)
{
    if (t->ring_size) {
        warn_report("dirty-ring-size=%" PRIu32 " has no effect with "
                    "dirty-tracking=%s", t->ring_size,
                    KvmDirtyTrackingMode_str(t->mode));
        t->ring_size = 0;
    }
}

static int choose_backend(KVMDirtyTracker *t, Error **errp)
{
    Error *ring_err = NULL;
    int ret;

    switch (t->mode) {
    case KVM_DIRTY_TRACKING_MODE_LOG:
        drop_ring_size(t);
        return choose_log(t, "asked for by dirty-tracking=log", errp);

    case KVM_DIRTY_TRACKING_MODE_RING:
        if (!t->ring_size) {
            dirty_options_bad_ring_size(errp, "0", 0,
                                        "dirty-tracking=ring needs a ring");
            return -EINVAL;
        }
        return insist_on(t, &dirty_ring_backend, "auto or log", errp);

    case KVM_DIRTY_TRACKING_MODE_WP_ALL:
        drop_ring_size(t);
        return insist_on(t, &dirty_wp_all_backend, "auto, ring or log",
                         errp);

    default:
        if (!t->ring_size) {
            return choose_bitmap(t, "dirty-ring-size is 0", errp);
        }
        ret = use_backend(t, &dirty_ring_backend,
                          "asked for by dirty-ring-size", &ring_err);
        if (ret == -ENOTSUP) {
            warn_reportf_err(ring_err, "dirty-ring-size=%" PRIu32 " ignored, "
                             "using the dirty log (bitmap): ", t->ring_size);
            t->fallback = true;
            return choose_bitmap(t, "KVM_CAP_DIRTY_LOG_RING is not offered",
                                 errp);
        }
        error_propagate(errp, ring_err);
        return ret;
    }
}

/* Code of the kernel that was never run on such a host is used if asked for. */
static void find_features(KVMDirtyTracker *t)
{
    bool by_name = t->mode != KVM_DIRTY_TRACKING_MODE_AUTO;

    if (t->fault.no_features) {
        return;
    }
    dirty_features_probe(t->s, &t->offered);
    if (by_name || dirty_features_are_tried()) {
        t->features = t->offered;
    }
}

int dirty_choice_make(KVMDirtyTracker *t, Error **errp)
{
    find_features(t);
    return choose_backend(t, errp);
}
