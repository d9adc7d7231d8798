/*
 * A ring with a stage that writes down what happens
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "ring-recorder.h"

static int recorder_reset(void *opaque)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'r');
    return ring_model_reset(rec->model);
}

static void recorder_reprotect(void *opaque)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'p');
}

static void recorder_publish(void *opaque, const DirtyKey *keys, size_t n)
{
    Recorder *rec = opaque;

    g_string_append_c(rec->log, 'P');
    g_array_append_vals(rec->published, keys, n);
}

const DirtyRingOps recorder_ops = {
    .reset = recorder_reset,
    .reprotect = recorder_reprotect,
    .publish = recorder_publish,
};

void recorder_init(Recorder *rec, uint32_t first_index)
{
    RingModelConfig config = {
        .vcpus = 1,
        .ring_size = RING_SIZE,
        .first_index = first_index,
        .pages = 1,
    };

    rec->model = ring_model_new(&config);
    rec->ring = dirty_ring_new(0, RING_SIZE);
    rec->ring->fetch = rec->ring->looked = first_index;
    dirty_ring_attach(rec->ring, ring_model_map(rec->model, 0), rec);
    dirty_ring_stage_init(&rec->stage, &recorder_ops, rec);
    rec->log = g_string_new(NULL);
    rec->published = g_array_new(false, false, sizeof(DirtyKey));
}

void recorder_destroy(Recorder *rec)
{
    dirty_ring_stage_destroy(&rec->stage);
    dirty_ring_free(rec->ring);
    ring_model_free(rec->model);
    g_string_free(rec->log, true);
    g_array_free(rec->published, true);
}

void recorder_push(Recorder *rec, uint64_t first, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(ring_model_push(rec->model, 0, 7, first + i));
    }
}

void recorder_assert(Recorder *rec, const char *log, uint64_t first,
                     unsigned n)
{
    g_assert_cmpstr(rec->log->str, ==, log);
    g_assert_cmpuint(rec->published->len, ==, n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(g_array_index(rec->published, DirtyKey, i), ==,
                         dirty_key(7, first + i));
    }
    g_string_truncate(rec->log, 0);
    g_array_set_size(rec->published, 0);
}
