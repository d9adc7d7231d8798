/*
 * QTests of KVM dirty page tracking
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Almost all need KVM: where it does not work they are skipped.
 */

#include "qemu/osdep.h"
#include "dirty-tracking-test.h"
#include "dirty-tracking-vm.h"

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);

    dirty_tracking_add_options();
    dirty_tracking_add_rates();
    dirty_tracking_add_monitor();
    dirty_tracking_add_migration();
    dirty_tracking_add_vcpus();

    ret = g_test_run();
    vm_cleanup();
    return ret;
}
