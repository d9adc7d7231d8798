/*
 * KVM dirty page tracking: what query-stats shows of it
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_DIRTY_STATS_QUERY_STATS_H
#define ACCEL_KVM_DIRTY_STATS_QUERY_STATS_H

#include "qapi/qapi-types-stats.h"

/**
 * kvm_dirty_query_stats: prepend what there is to tell to @list
 * @cpu: with @target vCPU; else NULL
 * @names: of statistics that are wanted; NULL: all
 *
 * Context: BQL held; takes the tracker lock.
 */
StatsList *kvm_dirty_query_stats(StatsList *list, StatsTarget target,
                                 const CPUState *cpu, strList *names);

/**
 * kvm_dirty_query_stats_schema: the same, for what may be told
 */
StatsSchemaValueList *kvm_dirty_query_stats_schema(StatsSchemaValueList *list,
                                                   StatsTarget target);

#endif
