/*
 * QTests of KVM dirty page tracking: migrating the guest
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef DIRTY_TRACKING_MOVE_H
#define DIRTY_TRACKING_MOVE_H

#include "dirty-tracking-vm.h"

/**
 * vm_move_start: start a migration that does not end by itself
 * @uri: where to, or NULL for @to
 *
 * Returns when it has gone over the guest's memory at least twice, so that
 * there were dirty pages to collect.
 */
void vm_move_start(TestVM *from, TestVM *to, const char *uri);

/* Cancel it; the guest stays. */
void vm_move_cancel(TestVM *from);

/**
 * vm_move_complete: let it end
 *
 * Returns in how many pages the memory of the two differs.
 */
size_t vm_move_complete(TestVM *from, TestVM *to);

/**
 * vm_move_finish: let it end, and check that no page differs
 *
 * The guest then runs on in @to, and @from is gone.
 */
void vm_move_finish(TestVM *from, TestVM *to);

/* Start and finish */
void vm_move(TestVM *from, TestVM *to);

#endif
