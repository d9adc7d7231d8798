/*
 * Faults on purpose, for tests: properties of -accel kvm
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "fault-options.h"
#include "accel/kvm/dirty/state.h"

#ifdef CONFIG_KVM_DIRTY_FAULTS

static void set_drop(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    visit_type_uint32(v, name, &KVM_STATE(obj)->dirty_tracker->fault.drop,
                      errp);
}

static void set_no_ring(Object *obj, bool value, Error **errp)
{
    KVM_STATE(obj)->dirty_tracker->fault.no_ring = value;
}

static void set_no_features(Object *obj, bool value, Error **errp)
{
    KVM_STATE(obj)->dirty_tracker->fault.no_features = value;
}

static void set_no_reaper(Object *obj, bool value, Error **errp)
{
    KVM_STATE(obj)->dirty_tracker->fault.no_reaper = value;
}

static void set_late(Object *obj, bool value, Error **errp)
{
    KVM_STATE(obj)->dirty_tracker->fault.late = value;
}

void dirty_fault_options_class_init(ObjectClass *oc)
{
    object_class_property_add(oc, "x-dirty-fault-drop", "uint32", NULL,
                              set_drop, NULL, NULL);
    object_class_property_set_description(oc, "x-dirty-fault-drop",
        "For tests: lose the dirty bits of so many pages for good");
    object_class_property_add_bool(oc, "x-dirty-fault-no-ring", NULL,
                                   set_no_ring);
    object_class_property_set_description(oc, "x-dirty-fault-no-ring",
        "For tests: behave as if KVM had no dirty ring");
    object_class_property_add_bool(oc, "x-dirty-fault-no-features", NULL,
                                   set_no_features);
    object_class_property_set_description(oc, "x-dirty-fault-no-features",
        "For tests: behave as if KVM had nothing of patches/linux");
    object_class_property_add_bool(oc, "x-dirty-fault-no-reaper", NULL,
                                   set_no_reaper);
    object_class_property_set_description(oc, "x-dirty-fault-no-reaper",
        "For tests: nobody empties rings before they are full");
    object_class_property_add_bool(oc, "x-dirty-fault-late", NULL, set_late);
    object_class_property_set_description(oc, "x-dirty-fault-late",
        "For tests: let migration read memory that KVM does not log yet");
}

#endif
