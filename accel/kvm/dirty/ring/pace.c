/*
 * When to harvest dirty rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A page that is protected early faults again, so rings are harvested as late
 * as is safe:
 *
 *     |<------------------------- room ------------------------>|reserved|
 *     |                                 |<-1/16->|<- reserve -->|
 *     0                                due     target          full
 *
 * The reserve is what the ring takes, at its forecast rate and a margin more,
 * in the time from the wish to wake up to the end of a harvest.  How late
 * wake-ups are and how long harvests take is measured; both count with their
 * recent maximum.  The next look is planned for when the first ring reaches its
 * target; what is found beyond "due" then is harvested.
 *
 * The forecast rate of a ring rises to what is observed at once and decays
 * slowly.  As a guest that is quiet now may burst, looks are planned as for
 * PACE_RATE_FLOOR at least: a ring that fills more slowly is looked at some
 * times on its way, one that does not fill as often as if it did, but at least
 * each PACE_SLEEP_MAX.  What bounds the number of looks is the 1/16 between
 * due and target, which no look needs to wait for.
 *
 * When a rate jumps, the span over which it was measured may have been quiet
 * for the most part, and the true rate be much higher.  After a jump, a miss
 * or a start, the next look comes soon (the probe).
 *
 * Cost: O(1) a ring for each look.
 */

#include "qemu/osdep.h"
#include "pace.h"

#define US  INT64_C(1000)
#define MS  INT64_C(1000000)
#define SEC INT64_C(1000000000)

/* Below this the wake-ups would cost more than they save. */
#define PACE_SLEEP_MIN (100 * US)
/* Ten looks a second are nothing; longer sleeps would save nothing. */
#define PACE_SLEEP_MAX (100 * MS)

/* A look on the way is cheap then, and shows a rate that grows. */
#define PACE_SLEEP_LONG (5 * MS)

/*
 * How many times longer than a look takes of CPU time the sleep before it is,
 * if it is only for a guest that might burst: that may cost 2 % of a CPU.
 */
#define PACE_LOOK_SLEEP 50

/*
 * Entries/s that a quiet ring is taken to be capable of: 100 MB/s.  Faster ones
 * are no matter of course, and a ring that is full once costs less than looks
 * all the time: each can take the CPU from a vCPU.
 */
#define PACE_RATE_FLOOR 25000.0
/* The fastest that a vCPU can be: about 0.5 us for a logged write. */
#define PACE_RATE_MAX 2000000.0

/* Reserve for a rate that grows between the look and the harvest. */
#define PACE_MARGIN 1.25
/* A rate measured over less than this is noise. */
#define PACE_SPAN_MIN (200 * US)
/* A jump: more than this times the forecast. */
#define PACE_JUMP 2.0

/* Time constant of a rate that is not confirmed. */
#define PACE_RATE_DECAY (3 * SEC)
/* How long lateness and duration are remembered: this to twice this. */
#define PACE_MAX_WINDOW (1 * SEC)

/*
 * What wake-up and harvest may take before they are measured: a time slice of
 * the scheduler, and a small harvest.
 */
#define PACE_LATE_GUESS (4 * MS)
#define PACE_WORK_GUESS (1 * MS)

/* CPU time that may be saved up, and be spent at once. */
#define PACE_BUDGET_MAX (50 * MS)

#define PACE_SLOT (SEC / DIRTY_PACE_CPU_SLOTS)

/* @value after @dt without confirmation; about exp(-dt/tau), without libm. */
static double decay(double value, int64_t dt, int64_t tau)
{
    return value * tau / (tau + MAX(dt, 0));
}

/* What is forgotten gives way to something new; time alone proves nothing. */
static void max_add(DirtyPaceMax *max, int64_t now, int64_t value)
{
    if (now - max->since >= PACE_MAX_WINDOW) {
        max->before = max->recent;
        max->recent = 0;
        max->since = now;
    }
    max->recent = MAX(max->recent, value);
}

static int64_t max_get(const DirtyPaceMax *max)
{
    return MAX(max->recent, max->before);
}

static DirtyPaceRing *pace_ring(const DirtyPace *pace, unsigned i)
{
    return &g_array_index(pace->rings, DirtyPaceRing, i);
}

static double ring_rate(const DirtyPaceRing *ring)
{
    return MAX(ring->rate, PACE_RATE_FLOOR);
}

/* How much earlier than at its target a ring is due. */
static double ring_slack(const DirtyPaceRing *ring)
{
    return ring->room / 16;
}

/*
 * At least half of the room is used, however fast the ring and slow the host:
 * what is lost even so, smaller harvests would only make slower.
 */
static double ring_target(const DirtyPace *pace, const DirtyPaceRing *ring)
{
    double reserve = PACE_MARGIN * ring->rate *
                     (max_get(&pace->late) + max_get(&pace->work)) / SEC;

    reserve = MAX(reserve, ring->room / 16);
    return MAX(ring->room - reserve, ring->room / 2 + ring_slack(ring));
}

/* Time until the ring has @entries, at @rate, in ns. */
static double ring_time_to(const DirtyPaceRing *ring, double entries,
                           double rate)
{
    return (entries - ring->fill) / MAX(rate, 1) * SEC;
}

static bool ring_is_due(const DirtyPace *pace, const DirtyPaceRing *ring)
{
    return ring->fill &&
           ring->fill >= ring_target(pace, ring) - ring_slack(ring);
}

void dirty_pace_init(DirtyPace *pace)
{
    *pace = (DirtyPace) {
        .rings = g_array_new(false, true, sizeof(DirtyPaceRing)),
        .budget = PACE_BUDGET_MAX,
    };
}

void dirty_pace_destroy(DirtyPace *pace)
{
    g_array_free(pace->rings, true);
    pace->rings = NULL;
}

static void restart_stats(DirtyPace *pace, int64_t now, int64_t cpu)
{
    DirtyPaceStats *stats = &pace->stats;

    stats->late_count = stats->lead_count = 0;
    stats->late_sum = stats->late_max = 0;
    stats->lead_sum = stats->lead_min = 0;
    stats->fill_sum = 0;
    pace->start.when = now;
    pace->start.cpu = cpu;
}

void dirty_pace_note_cpu(DirtyPace *pace, int64_t now, int64_t cpu)
{
    if (now - pace->slots[pace->slot].when >= PACE_SLOT) {
        pace->slot = (pace->slot + 1) % DIRTY_PACE_CPU_SLOTS;
        pace->slots[pace->slot].when = now;
        pace->slots[pace->slot].cpu = cpu;
    }
}

void dirty_pace_start(DirtyPace *pace, int64_t now, bool logging, int64_t cpu)
{
    if (logging) {
        restart_stats(pace, now, cpu);
    }
    dirty_pace_note_cpu(pace, now, cpu);
    max_add(&pace->late, now, PACE_LATE_GUESS);
    max_add(&pace->work, now, PACE_WORK_GUESS);
    for (guint i = 0; i < pace->rings->len; i++) {
        pace_ring(pace, i)->since = 0;
    }
}

static void note_lateness(DirtyPace *pace, int64_t now, int64_t late)
{
    DirtyPaceStats *stats = &pace->stats;

    late = MAX(late, 0);
    max_add(&pace->late, now, late);
    stats->late_count++;
    stats->late_sum += late;
    stats->late_max = MAX(stats->late_max, late);
}

void dirty_pace_begin(DirtyPace *pace, int64_t now, int64_t planned)
{
    pace->timed = planned;
    pace->due = false;
    if (pace->timed) {
        note_lateness(pace, now, now - planned);
    }
}

static void measure_rate(DirtyPaceRing *ring, int64_t dt, uint32_t entries)
{
    double rate = (double)entries * SEC / dt;

    ring->probe = rate > ring->rate * PACE_JUMP && entries >= ring->room / 16;
    ring->rate = MAX(rate, decay(ring->rate, dt, PACE_RATE_DECAY));
}

void dirty_pace_see(DirtyPace *pace, unsigned i, int64_t now, uint32_t room,
                    uint32_t pushed, uint32_t fill)
{
    DirtyPaceRing *ring;
    int64_t dt;

    if (i >= pace->rings->len) {
        g_array_set_size(pace->rings, i + 1);
    }
    ring = pace_ring(pace, i);
    if (!room || !ring->room) {
        /* Nobody wrote meanwhile, or not this vCPU. */
        ring->since = 0;
    }
    ring->room = room;
    ring->fill = fill;

    dt = now - ring->since;
    if (!ring->since) {
        ring->probe = true;
    } else if (dt >= PACE_SPAN_MIN) {
        measure_rate(ring, dt, pushed - ring->pushed);
    }
    if (!ring->since || dt >= PACE_SPAN_MIN) {
        ring->since = now;
        ring->pushed = pushed;
    }
    if (room && ring_is_due(pace, ring)) {
        pace->due = true;
    }
}

bool dirty_pace_is_due(const DirtyPace *pace)
{
    return pace->due;
}

bool dirty_pace_take(const DirtyPace *pace, unsigned i)
{
    const DirtyPaceRing *ring;

    if (i >= pace->rings->len) {
        return false;
    }
    ring = pace_ring(pace, i);
    return ring->room && ring->fill &&
           ring->fill >= ring_target(pace, ring) * 3 / 4;
}

/* The ring that will be full first is what the harvest is in time for. */
static void note_lead(DirtyPace *pace, int64_t lead, uint64_t used)
{
    DirtyPaceStats *stats = &pace->stats;

    stats->lead_min = stats->lead_count ? MIN(stats->lead_min, lead) : lead;
    stats->lead_count++;
    stats->lead_sum += lead;
    stats->fill_sum += used;
}

void dirty_pace_harvested(DirtyPace *pace, int64_t begin, int64_t now)
{
    int64_t lead = INT64_MAX;
    uint64_t used = 0;

    for (guint i = 0; i < pace->rings->len; i++) {
        DirtyPaceRing *ring = pace_ring(pace, i);

        if (ring->room && ring_is_due(pace, ring)) {
            lead = MIN(lead, MAX(ring_time_to(ring, ring->room,
                                               ring_rate(ring)), 0));
            used = MAX(used, ring->fill * UINT64_C(1000) / ring->room);
        }
    }
    if (used) {
        note_lead(pace, lead, used);
        /* Had the ring been full, it would have taken longer. */
        max_add(&pace->work, now, (now - begin) * 1000 / used);
    }
    pace->stats.harvests++;
}

void dirty_pace_miss(DirtyPace *pace, unsigned i)
{
    pace->stats.misses++;
    if (i < pace->rings->len) {
        /* The vCPU stands still: that time does not count. */
        pace_ring(pace, i)->since = 0;
    }
}

/* Soon enough for a ring that fills as fast as can be not to be full. */
static double probe_time(const DirtyPaceRing *ring)
{
    double half = ring->room / 2 / PACE_RATE_MAX * SEC;

    return MIN(MAX(half, PACE_SPAN_MIN), 1 * MS);
}

static void spend(DirtyPace *pace, int64_t now, int64_t own)
{
    int64_t earned = (now - pace->budget_at) / 1000 * DIRTY_PACE_CPU_CAP;
    int64_t spent = own - pace->cpu_own;

    if (pace->timed && !pace->due) {
        pace->stats.early++;
        pace->look += (spent - pace->look) / 8;
    }
    pace->budget = MIN(pace->budget + earned, PACE_BUDGET_MAX);
    pace->budget -= spent;
    pace->budget_at = now;
    pace->cpu_own = own;
}

/* When there is CPU time in hand again. */
static int64_t budget_restored(const DirtyPace *pace)
{
    return pace->budget_at - pace->budget * 1000 / DIRTY_PACE_CPU_CAP;
}

/* How long the ring may go unseen, in ns. */
static double ring_sleep(const DirtyPace *pace, const DirtyPaceRing *ring)
{
    double target = ring_target(pace, ring);
    double sleep = ring_time_to(ring, target, ring_rate(ring));

    if (sleep < pace->look * PACE_LOOK_SLEEP) {
        /* Looks are dear here: look for what it does, not what it might. */
        sleep = MAX(sleep, MIN(ring_time_to(ring, target, ring->rate),
                               pace->look * PACE_LOOK_SLEEP));
    }
    if (sleep > PACE_SLEEP_LONG) {
        sleep = MAX(sleep * 3 / 4, PACE_SLEEP_LONG);
    }
    if (ring->probe) {
        sleep = MIN(sleep, probe_time(ring));
    }
    return sleep;
}

DirtyPacePlan dirty_pace_plan(const DirtyPace *pace, int64_t now)
{
    DirtyPacePlan plan = { .ring = -1 };
    double sleep = PACE_SLEEP_MAX;

    for (guint i = 0; i < pace->rings->len; i++) {
        const DirtyPaceRing *ring = pace_ring(pace, i);
        double mine;

        if (!ring->room) {
            continue;
        }
        mine = ring_sleep(pace, ring);
        if (mine < sleep) {
            sleep = mine;
            plan.ring = i;
            plan.rate = ring_rate(ring);
        }
    }
    plan.next = now + MAX(sleep, PACE_SLEEP_MIN);
    if (plan.next < budget_restored(pace)) {
        plan.next = budget_restored(pace);
        plan.delayed = true;
    }
    return plan;
}

DirtyPacePlan dirty_pace_end(DirtyPace *pace, int64_t now, int64_t own,
                             int64_t all)
{
    DirtyPacePlan plan;

    spend(pace, now, own);
    dirty_pace_note_cpu(pace, now, all);
    plan = dirty_pace_plan(pace, now);
    if (plan.delayed) {
        pace->stats.delays++;
    }
    return plan;
}

/* CPU time a time, in 1/1000 */
static uint32_t share_since(int64_t when, int64_t cpu_then, int64_t now,
                            int64_t cpu)
{
    if (!when || now <= when) {
        return 0;
    }
    return MAX(cpu - cpu_then, 0) * 1000 / (now - when);
}

uint32_t dirty_pace_share(const DirtyPace *pace, int64_t now, int64_t cpu)
{
    unsigned i = pace->slot;

    /* The newest that is a second old, or the oldest there is. */
    for (unsigned n = 1; n < DIRTY_PACE_CPU_SLOTS; n++) {
        unsigned older = (pace->slot + DIRTY_PACE_CPU_SLOTS - n) %
                         DIRTY_PACE_CPU_SLOTS;

        if (now - pace->slots[i].when >= SEC || !pace->slots[older].when) {
            break;
        }
        i = older;
    }
    return share_since(pace->slots[i].when, pace->slots[i].cpu, now, cpu);
}

uint32_t dirty_pace_share_mean(const DirtyPace *pace, int64_t now, int64_t cpu)
{
    return share_since(pace->start.when, pace->start.cpu, now, cpu);
}
