/*
 * vCPUs that fill rings and a reaper that empties them, on a simulated clock
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pace-sim.h"

#define STEP (10 * SIM_US)
#define RESERVED 576
#define REAPER (-1)

uint32_t pace_sim_room(const PaceSim *sim)
{
    return sim->config.size - MIN(sim->config.size / 2, RESERVED);
}

static int64_t lateness(PaceSim *sim)
{
    return sim->config.late * g_rand_double(sim->rand);
}

static void sleep_until(PaceSim *sim, int64_t next)
{
    g_assert_cmpint(next, >, sim->now);
    sim->next = next;
    sim->wake = next + lateness(sim);
    sim->timed = true;
}

static void see(PaceSim *sim, int64_t when)
{
    for (unsigned i = 0; i < sim->config.rings; i++) {
        PaceSimRing *ring = &sim->ring[i];

        dirty_pace_see(&sim->pace, i, when,
                       ring->plugged ? pace_sim_room(sim) : 0,
                       ring->pushed, ring->fill - ring->taken);
    }
}

/* Start a harvest of @own, if it is not -1, and of what the policy says. */
static int64_t harvest(PaceSim *sim, int own)
{
    uint64_t entries = 0;
    double used = 0;

    for (int i = 0; i < sim->config.rings; i++) {
        PaceSimRing *ring = &sim->ring[i];

        if (i == own || dirty_pace_take(&sim->pace, i)) {
            double part = ring->fill / (double)pace_sim_room(sim);

            used = MAX(used, part);
            sim->least = MIN(sim->least, part);
            ring->taken = ring->fill;
            entries += ring->fill;
        }
    }
    if (own == REAPER) {
        g_array_append_val(sim->used, used);
    }
    return sim->config.work + entries * sim->config.work_entry;
}

static void lock(PaceSim *sim, int holder, int64_t duration)
{
    sim->locked = true;
    sim->holder = holder;
    sim->locked_at = sim->now;
    sim->locked_until = sim->now + duration;
}

static void end_turn(PaceSim *sim)
{
    DirtyPacePlan plan;

    sim->own += sim->turn_cpu;
    sim->all += sim->turn_cpu;
    sim->own_in[sim->now / SIM_SEC % SIM_SECONDS_MAX] += sim->turn_cpu;
    plan = dirty_pace_end(&sim->pace, sim->now, sim->own, sim->all);
    sleep_until(sim, plan.next);
}

/* The reaper has the lock, as nobody else has. */
static void turn(PaceSim *sim)
{
    int64_t planned = sim->timed ? sim->next : 0;

    sim->turns++;
    if (sim->timed) {
        sim->late_max = MAX(sim->late_max, sim->now - planned);
    }
    dirty_pace_begin(&sim->pace, sim->now, planned);
    see(sim, sim->now);
    sim->turn_cpu = sim->config.look;
    if (dirty_pace_is_due(&sim->pace)) {
        lock(sim, REAPER, harvest(sim, REAPER));
        sim->turn_cpu += sim->locked_until - sim->now;
        return;
    }
    sim->early += sim->timed;
    end_turn(sim);
}

static void vcpu_full(PaceSim *sim, int i)
{
    PaceSimRing *ring = &sim->ring[i];

    dirty_pace_see(&sim->pace, i, ring->full_at, pace_sim_room(sim),
                   ring->pushed, ring->fill);
    see(sim, sim->now);
    dirty_pace_miss(&sim->pace, i);
    sim->misses++;
    if (ring->fill < pace_sim_room(sim) / 2) {
        /* While it waited for the lock the reaper has made room. */
        lock(sim, i, 0);
        return;
    }
    lock(sim, i, harvest(sim, i));
    /* The reset is made by the thread, all the same. */
    sim->all += sim->locked_until - sim->now;
}

static void unlock(PaceSim *sim)
{
    sim->locked = false;
    for (unsigned i = 0; i < sim->config.rings; i++) {
        sim->ring[i].fill -= sim->ring[i].taken;
        sim->ring[i].taken = 0;
    }
    if (sim->holder == REAPER) {
        dirty_pace_harvested(&sim->pace, sim->locked_at, sim->now);
        see(sim, sim->now);
        end_turn(sim);
    } else {
        DirtyPacePlan plan;

        sim->ring[sim->holder].stopped = false;
        see(sim, sim->now);
        plan = dirty_pace_plan(&sim->pace, sim->now);
        if (plan.next < sim->next) {
            sleep_until(sim, plan.next);
        }
    }
}

static void write_pages(PaceSim *sim, unsigned i)
{
    PaceSimRing *ring = &sim->ring[i];
    double rate = sim->config.rate(sim, i);
    uint32_t entries;

    if (!ring->plugged || ring->stopped) {
        return;
    }
    ring->part += rate * STEP / SIM_SEC;
    entries = ring->part;
    ring->part -= entries;
    ring->pushed += entries;
    ring->fill += entries;
    if (ring->fill >= pace_sim_room(sim)) {
        ring->stopped = true;
        ring->full_at = sim->now;
    }
}

static int find_stopped(PaceSim *sim)
{
    for (int i = 0; i < sim->config.rings; i++) {
        if (sim->ring[i].stopped) {
            return i;
        }
    }
    return -1;
}

static void step(PaceSim *sim)
{
    int full;

    sim->now += STEP;
    for (unsigned i = 0; i < sim->config.rings; i++) {
        write_pages(sim, i);
    }
    if (sim->locked && sim->now >= sim->locked_until) {
        unlock(sim);
    }
    full = find_stopped(sim);
    if (!sim->locked && full >= 0) {
        vcpu_full(sim, full);
    }
    if (sim->now >= sim->wake) {
        if (!sim->locked) {
            turn(sim);
        } else if (sim->holder != REAPER) {
            /* Somebody else is at it. */
            sim->timed = false;
            sim->wake = sim->next = sim->now + SIM_MS;
        }
    }
}

void pace_sim_run(PaceSim *sim, int64_t ns)
{
    int64_t end = sim->now + ns;

    while (sim->now < end) {
        step(sim);
    }
}

void pace_sim_mark(PaceSim *sim)
{
    sim->turns = sim->misses = 0;
    sim->least = 1;
    g_array_set_size(sim->used, 0);
    memset(sim->own_in, 0, sizeof(sim->own_in));
}

void pace_sim_plug(PaceSim *sim, unsigned i, bool plugged)
{
    sim->ring[i].plugged = plugged;
    sim->ring[i].stopped = false;
    sim->ring[i].fill = sim->ring[i].taken = 0;
}

void pace_sim_init(PaceSim *sim, const PaceSimConfig *config, uint32_t seed)
{
    DirtyPacePlan plan;

    memset(sim, 0, sizeof(*sim));
    sim->config = *config;
    sim->rand = g_rand_new_with_seed(seed);
    sim->used = g_array_new(false, false, sizeof(double));
    sim->now = SIM_SEC;
    for (unsigned i = 0; i < config->rings; i++) {
        sim->ring[i].plugged = true;
        sim->ring[i].pushed = config->first;
    }
    dirty_pace_init(&sim->pace);
    dirty_pace_begin(&sim->pace, sim->now, 0);
    dirty_pace_start(&sim->pace, sim->now, true, 0);
    see(sim, sim->now);
    plan = dirty_pace_end(&sim->pace, sim->now, 0, 0);
    sleep_until(sim, plan.next);
}

void pace_sim_destroy(PaceSim *sim)
{
    dirty_pace_destroy(&sim->pace);
    g_array_free(sim->used, true);
    g_rand_free(sim->rand);
}

static int compare(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double pace_sim_median(PaceSim *sim)
{
    g_assert_cmpuint(sim->used->len, >, 0);
    g_array_sort(sim->used, compare);
    return g_array_index(sim->used, double, sim->used->len / 2);
}

bool pace_sim_possible(const PaceSim *sim, double rate)
{
    double room = pace_sim_room(sim);
    int64_t work = sim->config.work +
                   room * sim->config.work_entry * sim->config.rings;

    return rate * (sim->config.late + work) / SIM_SEC * 1.5 < room / 2;
}
