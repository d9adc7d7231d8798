/*
 * What most tests on the model of KVM begin with
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names have no prefix, like those of a test.
 */

#ifndef TESTS_UNIT_KVM_FIXTURE_H
#define TESTS_UNIT_KVM_FIXTURE_H

#include "kvm-world.h"

/* Entries of a ring; it is full when 64 are left. */
#define RING_SIZE 256

typedef struct Fixture {
    World *w;
    WorldRegion *ram, *smm;
} Fixture;

/* Two vCPUs, and everything that the model offers */
WorldConfig everything(KvmDirtyTrackingMode mode, uint64_t pages);

/*
 * Map RAM, in slots of @part pages, and the first @smm_pages of it in SMM's
 * address space too, in one slot.
 */
void map_memory(Fixture *f, uint64_t part, uint64_t smm_pages);
/* Boot, and do that. */
void boot(Fixture *f, const WorldConfig *config, uint64_t part,
          uint64_t smm_pages);
void tear_down(Fixture *f, gconstpointer opaque);

/* Begin to migrate, and send all memory. */
void migrate(Fixture *f);
/* The same without SMM's slot, and KVM refuses to log the second one of RAM. */
void migrate_refused(Fixture *f, bool late);

/* Write to @n pages of RAM from @first on. */
void write_pages(Fixture *f, uint64_t first, uint64_t n);

/* Whether KVM logs the slot with page @offset of the region. */
bool is_logged(World *w, const WorldRegion *region, uint64_t offset);

#endif
