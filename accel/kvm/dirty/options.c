/*
 * KVM dirty page tracking: properties of -accel kvm
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-dirty-tracking.h"
#include "qapi/visitor.h"
#include "qemu/host-utils.h"
#include "options.h"
#include "accel/kvm/dirty/state.h"

/* Least size every host accepts (Intel's needs 512 entries to spare) */
#define RING_SIZE_MIN 1024
/* The kernel's limit since the ring exists, until we can ask it. */
#define RING_SIZE_USUAL_MAX 65536

void dirty_options_bad_ring_size(Error **errp, const char *value,
                                 uint32_t max, const char *why)
{
    error_setg(errp, "dirty-ring-size=%s is not usable%s%s: give 0 (track by "
               "bitmap) or a power of two from %d to %" PRIu32, value,
               why ? ", " : "", why ?: "", RING_SIZE_MIN,
               max ?: RING_SIZE_USUAL_MAX);
}

static bool is_settable(KVMState *s, const char *name, Error **errp)
{
    if (s->fd != -1) {
        error_setg(errp, "%s cannot be changed once the accelerator is "
                   "initialized", name);
        return false;
    }
    return true;
}

static void get_ring_size(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &KVM_STATE(obj)->dirty_tracker->ring_size,
                      errp);
}

static void set_ring_size(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    KVMState *s = KVM_STATE(obj);
    g_autofree char *text = NULL;
    Error *err = NULL;
    uint32_t value;

    if (!is_settable(s, name, errp)) {
        return;
    }

    if (!visit_type_uint32(v, name, &value, &err)) {
        /* Not a number, or out of range: quote it, if it comes as text. */
        if (visit_type_str(v, name, &text, NULL)) {
            error_free(err);
            dirty_options_bad_ring_size(errp, text, 0, NULL);
        } else {
            error_propagate(errp, err);
        }
        return;
    }
    if (value && !is_power_of_2(value)) {
        text = g_strdup_printf("%" PRIu32, value);
        dirty_options_bad_ring_size(errp, text, 0, "not a power of two");
        return;
    }
    s->dirty_tracker->ring_size = value;
}

static void get_mode(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    visit_type_KvmDirtyTrackingMode(v, name,
                                    &KVM_STATE(obj)->dirty_tracker->mode,
                                    errp);
}

static void set_mode(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    KVMState *s = KVM_STATE(obj);
    g_autofree char *value = NULL;
    int mode;

    if (!is_settable(s, name, errp) ||
        !visit_type_str(v, name, &value, errp)) {
        return;
    }

    mode = qapi_enum_parse(&KvmDirtyTrackingMode_lookup, value, -1, NULL);
    if (mode < 0) {
        error_setg(errp, "dirty-tracking=%s is unknown: give auto, ring, "
                   "log or wp-all", value);
        return;
    }
    s->dirty_tracker->mode = mode;
}

void dirty_options_class_init(ObjectClass *oc)
{
    object_class_property_add(oc, "dirty-ring-size", "uint32", get_ring_size,
                              set_ring_size, NULL, NULL);
    object_class_property_set_description(oc, "dirty-ring-size",
        "Entries of each vCPU's dirty ring, a power of two "
        "(default: 0, track by bitmap)");

    object_class_property_add(oc, "dirty-tracking",
                              "auto|ring|log|wp-all", get_mode,
                              set_mode, NULL, NULL);
    object_class_property_set_description(oc, "dirty-tracking",
        "How to track dirty pages: auto (the ring if dirty-ring-size is set "
        "and KVM has one, else wp-all if KVM has that, else the log), ring, "
        "log, or wp-all (default: auto)");
}
