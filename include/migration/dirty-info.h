/*
 * Dirty page tracking, as the monitor shows it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_DIRTY_INFO_H
#define MIGRATION_DIRTY_INFO_H

#include "qapi/qapi-types-dirty-tracking.h"

/**
 * dirty_info_text: append it to @text, as a table to be read by people
 */
void dirty_info_text(GString *text, const DirtyTrackingInfo *info);

#endif
