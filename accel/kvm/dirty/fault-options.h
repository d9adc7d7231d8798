/*
 * Faults on purpose, for tests: properties of -accel kvm
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fault.h says what they do.  Only builds for tests have them.
 */

#ifndef ACCEL_KVM_DIRTY_FAULT_OPTIONS_H
#define ACCEL_KVM_DIRTY_FAULT_OPTIONS_H

#include "qom/object.h"

#ifdef CONFIG_KVM_DIRTY_FAULTS

/**
 * dirty_fault_options_class_init: add the properties x-dirty-fault-*
 */
void dirty_fault_options_class_init(ObjectClass *oc);

#else

static inline void dirty_fault_options_class_init(ObjectClass *oc)
{
}

#endif
#endif
