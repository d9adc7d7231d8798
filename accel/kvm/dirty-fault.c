/*
 * Faults on purpose, for tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "dirty-backend.h"
#include "dirty-fault.h"

#ifdef CONFIG_KVM_DIRTY_FAULTS

/* Tracker lock */
static bool in_last_stage;

void dirty_fault_last_stage(bool last_stage)
{
    in_last_stage = last_stage;
}

bool dirty_fault_drop_page(uint32_t *drop)
{
    if (!in_last_stage || !*drop) {
        return false;
    }
    (*drop)--;
    return true;
}

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

void dirty_fault_class_init(ObjectClass *oc)
{
    object_class_property_add(oc, "x-dirty-fault-drop", "uint32", NULL,
                              set_drop, NULL, NULL);
    object_class_property_set_description(oc, "x-dirty-fault-drop",
        "For tests: lose so many dirty bits in the last sync");
    object_class_property_add_bool(oc, "x-dirty-fault-no-ring", NULL,
                                   set_no_ring);
    object_class_property_set_description(oc, "x-dirty-fault-no-ring",
        "For tests: behave as if KVM had no dirty ring");
}

#endif
