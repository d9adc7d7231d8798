/*
 * How many pages a vCPU may dirty
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "allowance.h"

#define SECOND 1e9

/*
 * In seconds at the allowed rate: what a vCPU may save up, so that one that the
 * host is slow to run gets its share all the same;
 */
#define SAVED_MAX 0.25
/* what it has when it goes on, so that it does not stop for each page; */
#define GRANT 0.0625
/*
 * and what it owes, at most: one that could not be stopped in time, as the host
 * was busy, is not to stand still for minutes.
 */
#define OWED_MAX 4.0

int64_t dirty_allowance_spend(DirtyAllowance *allowance, int64_t now,
                              uint32_t pushed, double rate)
{
    double save = MAX(rate * SAVED_MAX, 1);
    double since = (now - allowance->at) / SECOND;
    uint32_t spent = pushed - allowance->pushed;

    if (!rate) {
        allowance->at = 0;
        return 0;
    }
    if (!allowance->at || since > 1) {
        allowance->left = save;
    } else {
        allowance->left = MIN(allowance->left + rate * since, save) - spent;
        allowance->left = MAX(allowance->left, -rate * OWED_MAX);
    }
    allowance->at = now;
    allowance->pushed = pushed;
    if (allowance->left >= 0) {
        return 0;
    }
    return (MAX(rate * GRANT, 1) - allowance->left) / rate * SECOND;
}
