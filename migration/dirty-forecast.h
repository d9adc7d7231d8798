/*
 * Will a migration's pre-copy come to its end, and when
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers in, numbers out: no clock, no lock, nothing of QEMU's.  Amounts are
 * pages, times are seconds.
 */

#ifndef MIGRATION_DIRTY_FORECAST_H
#define MIGRATION_DIRTY_FORECAST_H

#include <stdbool.h>

/* Passes that are remembered */
#define DIRTY_FORECAST_PASSES 8

/* What was seen from one sync to the next. */
typedef struct DirtyForecastPass {
    double seconds;
    double unsent;              /* pages not sent when it ended, */
    double found;               /* and others the second sync found dirty */
    bool first;                 /* of the migration: pages are not all logged */
                                /* from its beginning */
} DirtyForecastPass;

typedef struct DirtyForecastInput {
    DirtyForecastPass passes[DIRTY_FORECAST_PASSES]; /* the oldest first */
    unsigned used;              /* of them */
    unsigned count;             /* passes there were in all */
    double left;                /* pages, after the last of them */
    unsigned stuck;             /* passes in a row that left no fewer */
    double harvest_seconds;     /* from harvest to harvest of all rings, */
    double harvest_pages;       /* and pages found in them; 0: no rings */
    double throughput;          /* pages sent each second, likely; */
    double slow, fast;          /* the least and the most that may be */
    double switchover;          /* what QEMU takes the rate to be when it */
                                /* decides whether the rest is little enough */
    bool switchover_fixed;      /* somebody has told; else it goes with */
                                /* throughput */
    double limit;               /* the guest may stand still so long */
    double memory;              /* pages the guest has */
    double remaining;           /* pages to be sent now */
    double since_sync;
    double elapsed;             /* since the migration began */
} DirtyForecastInput;

/* INFINITY: it does not come to its end. */
typedef struct DirtyForecastSpan {
    double least, likely, most;
} DirtyForecastSpan;

typedef struct DirtyForecastResult {
    DirtyForecastSpan total;
    DirtyForecastSpan downtime;
    double write_rate;          /* pages/s, if each write were to another */
    double working_set;         /* pages */
    double needed_limit;        /* s; 0: none needed, INFINITY: none helps */
    double needed_throttle;     /* of 1; 0: none needed, 1: none helps */
    bool certain;               /* all that may be says the same as @likely */
} DirtyForecastResult;

/**
 * dirty_forecast_add_pass: another pass is over
 */
void dirty_forecast_add_pass(DirtyForecastInput *in,
                             const DirtyForecastPass *pass);

/**
 * dirty_forecast: what becomes of the migration if all goes on as it does
 *
 * Returns false if too little is known: before the first pass is over, or
 * before anything was sent.
 */
bool dirty_forecast(const DirtyForecastInput *in, DirtyForecastResult *result);

#endif
