/*
 * QTests of KVM dirty page tracking: what the guest runs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A firmware image and nothing else: no BIOS to wait for, no disk.  Each vCPU
 * that runs it has an area of memory, and goes round and round in it.  It
 * counts the pages it writes, and writes this count to the first four bytes of
 * each.  After each page it waits, as long as the test wants it to.
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
/* Pages written so far; 32 bits, as is the following */
#define GUEST_COUNT(apic_id) (GUEST_AREA(apic_id) + 8)
/* Ticks of the time stamp counter from page to page, for all vCPUs */
#define GUEST_DELAY 0x1000
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
