/*
 * QTests of KVM dirty page tracking: what the guest runs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A firmware image and nothing else: no BIOS to wait for, no disk.  Each vCPU
 * that runs it counts its rounds, and in each round writes that count to the
 * first four bytes of every page of its own area, as fast as it can.
 */

#ifndef DIRTY_TRACKING_GUEST_H
#define DIRTY_TRACKING_GUEST_H

#define GUEST_PAGE_SIZE 4096
/* More pages than the smallest ring has entries */
#define GUEST_AREA_PAGES 2048
#define GUEST_AREA_SIZE (GUEST_AREA_PAGES * GUEST_PAGE_SIZE)
#define GUEST_AREA(apic_id) \
    (2 * 1024 * 1024 + (uint64_t)(apic_id) * GUEST_AREA_SIZE)
#define GUEST_MAX_CPUS 4
/* What a machine needs for the areas of all vCPUs */
#define GUEST_RAM_MIB 40

/* A vCPU starts the program at the start IPI with this vector. */
#define GUEST_SIPI_VECTOR 0xff

/**
 * dirty_tracking_guest_write: write the image for QEMU's -bios
 * @path: file name
 */
void dirty_tracking_guest_write(const char *path);

#endif
