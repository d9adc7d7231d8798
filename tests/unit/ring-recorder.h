/*
 * A ring with a stage that writes down what happens
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_RING_RECORDER_H
#define TESTS_UNIT_RING_RECORDER_H

#include "accel/kvm/dirty/ring/ring.h"
#include "ring-model.h"

/* Its entries */
#define RING_SIZE 8

/* A stage whose surroundings just write down what happens. */
typedef struct Recorder {
    RingModel *model;
    DirtyRing *ring;
    DirtyRingStage stage;
    GString *log;           /* r: reset, p: reprotect, P: publish */
    GArray *published;      /* of DirtyKey */
} Recorder;

/* For stages of one's own; opaque is a Recorder. */
extern const DirtyRingOps recorder_ops;

void recorder_init(Recorder *rec, uint32_t first_index);
void recorder_destroy(Recorder *rec);

/* The vCPU logs @n pages of slot 7, from @first on. */
void recorder_push(Recorder *rec, uint64_t first, unsigned n);

/*
 * Since the last time this happened, as in Recorder's log, and these pages
 * were published, in this order.
 */
void recorder_assert(Recorder *rec, const char *log, uint64_t first,
                     unsigned n);

#endif
