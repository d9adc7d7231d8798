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
#include "migration/dirty-history.h"

/**
 * dirty_info_add_rate: add to @rate how fast a count of pages has grown
 * @count: what it is @now
 */
void dirty_info_add_rate(DirtyPageRate *rate, const DirtyHistory *history,
                         int64_t now, uint64_t count);

/**
 * dirty_info_text: append it to @text, as a table to be read by people
 */
void dirty_info_text(GString *text, const DirtyTrackingInfo *info);

#endif
