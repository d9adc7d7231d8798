/*
 * QTests of KVM dirty page tracking: the groups of tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef DIRTY_TRACKING_TEST_H
#define DIRTY_TRACKING_TEST_H

/* Command line: what is accepted and refused, what is used instead */
void dirty_tracking_add_options(void);

/* Dirty rate, dirty limit, and a guest that is not logged */
void dirty_tracking_add_rates(void);

/* What the monitor shows, with and without KVM */
void dirty_tracking_add_monitor(void);

/* Migrations: cancelled, tried again, several in a row */
void dirty_tracking_add_migration(void);

/* vCPUs that come, go, and come back */
void dirty_tracking_add_vcpus(void);

#endif
