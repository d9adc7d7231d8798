/*
 * A migration's dirty log syncs and what it sends, as they happen
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What migration calls as it goes on, and what the monitor asks.
 */

#ifndef MIGRATION_DIRTY_WATCH_H
#define MIGRATION_DIRTY_WATCH_H

#include "qapi/qapi-types-dirty-tracking.h"

/**
 * dirty_watch_presync: do what can be done of a sync without the BQL
 *
 * kvm_dirty_tracking_presync(), timed.  Context: no locks held.
 */
void dirty_watch_presync(void);

/**
 * dirty_watch_sync_begin: a sync of the dirty log begins
 * @first: the first of a migration
 * @dirty: pages that are known to be dirty
 *
 * Context: migration's thread or, for the first, the one that sets it up; BQL
 * held, as until dirty_watch_sync_end().
 */
void dirty_watch_sync_begin(bool first, uint64_t dirty);

/**
 * dirty_watch_sync_end: it is over
 * @dirty: pages that are known to be dirty now
 */
void dirty_watch_sync_end(uint64_t dirty);

/**
 * dirty_watch_sent: migration has counted what it sent of late
 * @ms: in so many milliseconds
 * @bytes: as many bytes went out, of pages, pages that were compressed and all
 *         else
 *
 * Context: migration's thread, with or without the BQL.
 */
void dirty_watch_sent(int64_t ms, uint64_t bytes);

/**
 * dirty_watch_sync_info: the syncs so far
 */
DirtySyncInfo *dirty_watch_sync_info(void);

/**
 * dirty_watch_rate: pages that syncs of a migration under way found dirty
 */
DirtyPageRate *dirty_watch_rate(void);

/**
 * dirty_watch_forecast: what becomes of the migration
 * @seconds: how long KVM's rings fill from harvest to harvest; 0: unknown
 * @pages: and how many pages they have then
 *
 * Returns NULL if there is none that sends while the guest runs.
 * Context: BQL held.
 */
DirtyForecast *dirty_watch_forecast(double seconds, double pages);

#endif
