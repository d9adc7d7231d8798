/*
 * KVM dirty page tracking: properties of -accel kvm
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_OPTIONS_H
#define ACCEL_KVM_DIRTY_OPTIONS_H

#include "qom/object.h"

/**
 * dirty_options_class_init: add dirty-ring-size and dirty-tracking
 *
 * Context: when types are set up, as for all class_init functions.
 */
void dirty_options_class_init(ObjectClass *oc);

/**
 * dirty_options_bad_ring_size: the error for an unusable dirty-ring-size
 * @errp: gets the error: the option, the value, the limits and the way out
 * @value: as it was given
 * @max: the kernel's limit, or 0 if that is not known yet
 * @why: what is wrong with it, or NULL
 */
void dirty_options_bad_ring_size(Error **errp, const char *value,
                                 uint32_t max, const char *why);

#endif
