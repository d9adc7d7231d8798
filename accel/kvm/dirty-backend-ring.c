/*
 * KVM dirty page tracking by dirty rings
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every vCPU has a ring (dirty-ring.c).  Three parties empty them, each in
 * its own thread, all under the tracker lock and none needing the BQL:
 *
 *   the reaper        rings that will soon be full, while a running guest's
 *                     memory is logged (dirty-pace.c)
 *   a vCPU            its own ring, when that was full and KVM_RUN returned
 *   a dirty log sync  all rings; also before a slot or a vCPU goes away
 *
 * The lock is held from the harvest until publication.  So whoever takes it
 * finds each dirty page either in a ring or in QEMU's dirty memory, never
 * between the two: a final sync cannot overtake pages staged by another
 * thread.
 *
 * vCPUs and the main thread leave one step to the reaper: the reset ioctl, see
 * ring_reset().
 *
 * Rings are found in a list of our own, as CPUState may go away under a
 * thread that does not hold the BQL.
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "exec/memory.h"
#include "hw/core/cpu.h"
#include "system/dirtylimit.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "dirty-backend.h"
#include "dirty-fault.h"
#include "trace.h"

/*
 * Entries the kernel keeps free: a ring counts as full that early.  With page
 * modification logging, which AMD's processors do not have, it also keeps what
 * one VM exit can add.
 */
#define RING_RESERVED 64
#define RING_RESERVED_PML 512

/* Entries in a ring that are worth a harvest before a sync */
#define RING_PRESYNC 512

/* Which rings to empty. */
typedef enum RingFill {
    RING_NONE,
    RING_ANY,                   /* that have an entry */
    RING_DUE,                   /* that will soon be full */
    RING_MARKED,                /* that hold as many as their watermark */
} RingFill;

/* Of a ring's entries, those that wake the reaper where KVM can do that */
#define RING_WATERMARK(size) ((size) / 4 * 3)

/* How long the reaper sleeps, in ns, while there are dirty limits; */
#define RING_LIMIT_SLEEP (100 * SCALE_MS)
/* and when somebody else has the lock: most likely to empty the rings. */
#define RING_LOCKED_SLEEP (1 * SCALE_MS)

static uint32_t ring_reserved(void)
{
#ifdef TARGET_I386
    if (!__builtin_cpu_is("amd")) {
        return RING_RESERVED + RING_RESERVED_PML;
    }
#endif
    return RING_RESERVED;
}

/* How many entries make @ring full. */
static uint32_t ring_room(const DirtyRing *ring)
{
    return ring->size - MIN(ring->size / 2, ring_reserved());
}

static bool ring_is_due(KVMDirtyTracker *t, guint i, RingFill fill)
{
    switch (fill) {
    case RING_ANY:
        return dirty_ring_holds(g_ptr_array_index(t->ring.rings, i), 1);
    case RING_DUE:
        return dirty_pace_take(&t->ring.pace, i);
    case RING_MARKED:
        return dirty_ring_holds(g_ptr_array_index(t->ring.rings, i),
                                t->ring.watermark);
    default:
        return false;
    }
}

/*
 * Let the reaper's policy see ring @i as it is @now.
 * Called with the tracker lock held.
 */
static void ring_watch(KVMDirtyTracker *t, guint i, int64_t now)
{
    const DirtyRing *ring = g_ptr_array_index(t->ring.rings, i);
    uint32_t fill = dirty_ring_fill(ring);

    dirty_vcpu_see(ring->stats, now, fill);
    dirty_pace_see(&t->ring.pace, i, now, ring->gfns ? ring_room(ring) : 0,
                   ring->fetch + fill, fill);
}

static void ring_watch_all(KVMDirtyTracker *t)
{
    int64_t now = get_clock();

    for (guint i = 0; i < t->ring.rings->len; i++) {
        ring_watch(t, i, now);
    }
}

static void trace_entries(const DirtyRing *ring, const DirtyRingStage *stage,
                          uint32_t count)
{
    const DirtyKey *keys = &stage->keys[stage->used - count];
    CPUState *cpu = ring->owner;

    for (uint32_t i = 0; i < count; i++) {
        trace_kvm_dirty_ring_page(cpu->cpu_index, ring->fetch - count + i,
                                  dirty_key_offset(keys[i]));
    }
}

/* Called with the tracker lock held. */
static uint32_t ring_harvest_one(KVMDirtyTracker *t, DirtyRing *ring,
                                 int64_t now)
{
    CPUState *cpu = ring->owner;
    uint32_t count;

    trace_kvm_dirty_ring_reap_vcpu(cpu->cpu_index);
    count = dirty_ring_harvest(ring, &t->ring.stage);
    if (count && trace_event_get_state_backends(TRACE_KVM_DIRTY_RING_PAGE)) {
        trace_entries(ring, &t->ring.stage, count);
    }

    /* For dirty-limit and dirty-rate, which read it without the lock. */
    cpu->dirty_pages += count;
    dirty_vcpu_harvested(ring->stats, now, count);

    if (t->ring.stage.used >= DIRTY_RING_STAGE_MAX) {
        dirty_ring_stage_commit(&t->ring.stage);
    }
    return count;
}

/*
 * Empty the ring @own, if given, and of the others those that are filled to
 * @others, and publish: one reset for all.
 * Called with the tracker lock held.  Returns the number of pages.
 */
static uint64_t ring_reap(KVMDirtyTracker *t, DirtyRing *own, RingFill others)
{
    int64_t resets = t->ring.reset_time;
    int64_t start = get_clock();
    uint64_t total = 0;
    int64_t took;

    for (guint i = 0; i < t->ring.rings->len; i++) {
        DirtyRing *ring = g_ptr_array_index(t->ring.rings, i);

        if (ring_is_due(t, i, ring == own ? RING_ANY : others)) {
            total += ring_harvest_one(t, ring, start);
        }
    }
    dirty_ring_stage_commit(&t->ring.stage);

    if (total) {
        took = get_clock() - start;
        resets = t->ring.reset_time - resets;
        t->ring.harvest_time += took - resets;
        trace_kvm_dirty_ring_reap(total, took / 1000);
        trace_kvm_dirty_ring_reap_time((took - resets) / 1000, resets / 1000);
    }
    return total;
}

/* Called with the tracker lock held. */
static DirtyRing *ring_find(KVMDirtyTracker *t, unsigned long vcpu_id)
{
    for (guint i = 0; i < t->ring.rings->len; i++) {
        DirtyRing *ring = g_ptr_array_index(t->ring.rings, i);

        if (ring->vcpu_id == vcpu_id) {
            return ring;
        }
    }
    return NULL;
}

/*
 * Not kvm_vm_ioctl(): that waits while vCPUs are kept out of KVM, and who keeps
 * them out may be waiting for us.  The wait protects changes of memslots; the
 * tracker lock, which our caller holds, does so as well.
 */
static int reset_ioctl(void *opaque)
{
    KVMDirtyTracker *t = opaque;
    int64_t start = get_clock();
    int ret;

    if (t->features.overflow) {
        ret = dirty_features_reset(t->s, &t->ring.overflowed);
        dirty_history_see(&t->ring.overflows, start, t->ring.overflowed);
    } else {
        ret = ioctl(t->s->vmfd, KVM_RESET_DIRTY_RINGS);
        ret = ret < 0 ? -errno : ret;
    }
    dirty_ioctl_done(&t->stats.reset_rings, start);
    return ret;
}

/*
 * Linux from 6.16 on stops a reset when a signal, or task work such as that of
 * io_uring, is pending.  Coming at the wrong moment, that leaves up to 64 pages
 * unprotected without showing in the result.  The threads that QEMU creates for
 * itself, such as that of migration, have all signals blocked, and those that
 * sync do not use io_uring while the guest runs.  The main thread and vCPUs are
 * different: they let the reaper thread do it.  What cannot be blocked, such as
 * SIGSTOP or a tracer, remains a risk on those kernels.
 */
static int ring_reset(void *opaque)
{
    KVMDirtyTracker *t = opaque;
    bool main_thread = qemu_get_thread_id() == getpid();
    int64_t start = get_clock();
    int ret;

    if (current_cpu || main_thread) {
        ret = dirty_reaper_call(&t->ring.reaper, reset_ioctl, t);
    } else {
        ret = reset_ioctl(t);
    }
    t->ring.reset_time += get_clock() - start;
    return ret;
}

/*
 * Switching the dirty log off and on write-protects the whole slot, whatever
 * state its pages were in.  What was written between the two is logged by
 * nobody, hence all of the slot is dirty.
 */
static void reprotect_slot(KVMDirtyTracker *t, KVMMemoryListener *kml,
                           KVMSlot *slot)
{
    int flags = slot->flags;
    int ret;

    if (slot->dirty_late) {
        return;
    }
    slot->flags = flags & ~KVM_MEM_LOG_DIRTY_PAGES;
    ret = kvm_set_user_memory_region(kml, slot, false);
    slot->flags = flags;
    if (kvm_set_user_memory_region(kml, slot, false) < 0 || ret < 0) {
        dirty_protection_lost(t);
    }
    dirty_publish_slot(t, slot);
}

/* Make up for what the rings cannot tell of a slot. */
static void publish_untold(KVMDirtyTracker *t, KVMMemoryListener *kml,
                           KVMSlot *slot)
{
    if (kvm_dirty_slot_is_untold(t, slot)) {
        dirty_publish_slot(t, slot);
    }
}

/*
 * Part of the harvested pages may still be writable.  If not even this helps,
 * every sync from now on finds all of memory dirty: such a migration sends a
 * lot while the guest is stopped, but it loses nothing.
 */
static void ring_reprotect(void *opaque)
{
    KVMDirtyTracker *t = opaque;

    warn_report_once("KVM_RESET_DIRTY_RINGS did not finish: protecting all "
                     "logged memory again and treating it as dirty");
    stat64_add(&t->stats.reprotections, 1);
    kvm_dirty_for_each_logged_slot(t, reprotect_slot);
}

static const DirtyRingOps ring_ops = {
    .reset = ring_reset,
    .reprotect = ring_reprotect,
    .publish = dirty_publish_pages,
};

/*
 * The back-up bitmap has what was written without a running vCPU, such as
 * interrupt controller tables on Arm.  x86 has none.
 */
static int ring_enable_bitmap(KVMDirtyTracker *t, Error **errp)
{
    int ret;

    if (kvm_vm_check_extension(t->s, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP) <= 0) {
        return 0;
    }
    ret = kvm_vm_enable_cap(t->s, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP is "
                         "offered but cannot be enabled");
        return ret;
    }
    t->ring.with_bitmap = true;
    return 0;
}

/* Returns the capability to enable, and the largest ring in bytes. */
static uint32_t ring_capability(KVMDirtyTracker *t, int *max_bytes)
{
    static const uint32_t caps[] = {
        KVM_CAP_DIRTY_LOG_RING,
        KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
    };

    *max_bytes = 0;
    for (int i = 0; i < ARRAY_SIZE(caps) && !t->fault.no_ring; i++) {
        *max_bytes = kvm_vm_check_extension(t->s, caps[i]);
        if (*max_bytes > 0) {
            return caps[i];
        }
    }
    return 0;
}

static void ring_enable_overflow(KVMDirtyTracker *t)
{
    int ret = dirty_features_enable_overflow(t->s, false);

    if (ret < 0) {
        warn_report("KVM_CAP_DIRTY_LOG_RING_OVERFLOW is offered but cannot be "
                    "enabled (%s): vCPUs stop when their rings are full",
                    strerror(-ret));
        t->features.overflow = false;
    }
}

/* What is not there is done without. */
static void ring_enable_features(KVMDirtyTracker *t)
{
    int ret;

    if (t->features.overflow) {
        ring_enable_overflow(t);
    }
    if (t->features.wp_all) {
        ret = dirty_features_enable_wp_all(t->s);
        if (ret < 0) {
            warn_report("KVM_CAP_X86_WRITE_PROTECT_ALL_MEM is offered but "
                        "cannot be enabled: %s", strerror(-ret));
            t->features.wp_all = false;
        }
    }
}

static int ring_enable(KVMDirtyTracker *t, Error **errp)
{
    g_autofree char *size = g_strdup_printf("%" PRIu32, t->ring_size);
    uint64_t bytes = t->ring_size * (uint64_t)sizeof(struct kvm_dirty_gfn);
    uint32_t capability, max;
    int max_bytes, ret;

    capability = ring_capability(t, &max_bytes);
    if (!capability) {
        error_setg(errp, "this kernel's KVM does not offer "
                   "KVM_CAP_DIRTY_LOG_RING (Linux 5.11 and later on x86 do)");
        return -ENOTSUP;
    }

    max = max_bytes / sizeof(struct kvm_dirty_gfn);
    if (t->ring_size > max) {
        dirty_options_bad_ring_size(errp, size, max, NULL);
        return -EINVAL;
    }

    ret = kvm_vm_enable_cap(t->s, capability, 0, bytes);
    if (ret < 0) {
        dirty_options_bad_ring_size(errp, size, max, strerror(-ret));
        return ret == -ENOTSUP ? -EINVAL : ret;
    }

    ret = ring_enable_bitmap(t, errp);
    if (ret < 0) {
        return ret == -ENOTSUP ? -EINVAL : ret;
    }

    ring_enable_features(t);

    t->ring.bytes = bytes;
    t->ring.rings = g_ptr_array_new();
    dirty_ring_stage_init(&t->ring.stage, &ring_ops, t);
    dirty_pace_init(&t->ring.pace);
    return 0;
}

/* Called with the tracker lock held, in the reaper's thread. */
static int64_t ring_plan(KVMDirtyTracker *t)
{
    int64_t now = get_clock();
    DirtyPacePlan plan;
    int64_t own, all;

    own = dirty_reaper_own_cpu(&t->ring.reaper, &all);
    plan = dirty_pace_end(&t->ring.pace, now, own, all);
    if (plan.ring >= 0) {
        DirtyRing *ring = g_ptr_array_index(t->ring.rings, plan.ring);

        trace_kvm_dirty_reaper_plan((plan.next - now) / SCALE_US,
                                    ring->vcpu_id, plan.rate, plan.delayed);
    }
    return plan.next;
}

/*
 * KVM has told that a ring reached its watermark.  Being late is no harm: what
 * a ring has no room for goes to the bitmap.
 * Called with the tracker lock held, in the reaper's thread.  Returns when to
 * look again, unless KVM tells before.
 */
static int64_t ring_reap_marked(KVMDirtyTracker *t, int64_t now)
{
    if (ring_reap(t, NULL, RING_MARKED)) {
        t->ring.pace.stats.harvests++;
    }
    for (guint i = 0; i < t->ring.rings->len; i++) {
        DirtyRing *ring = g_ptr_array_index(t->ring.rings, i);

        dirty_vcpu_see(ring->stats, now, dirty_ring_fill(ring));
    }
    dirty_pace_note_cpu(&t->ring.pace, now,
                        dirty_reaper_cpu(&t->ring.reaper));
    /* Nobody tells when a measurement ends. */
    return t->ring.stopped_by_full ? now + RING_LIMIT_SLEEP : INT64_MAX;
}

/*
 * Also just to look at the rings the lock is taken: it keeps them mapped and
 * their indices in step, and costs those who want it meanwhile less than a
 * microsecond a ring.
 * Called with the tracker lock held, in the reaper's thread.
 */
static int64_t ring_look_locked(KVMDirtyTracker *t, const DirtyReaperTurn *turn,
                                int64_t now)
{
    DirtyPace *pace = &t->ring.pace;

    if (!t->ring.watermark) {
        dirty_pace_begin(pace, now, turn->planned);
    }
    if (turn->logging_started || turn->vm_started) {
        dirty_pace_start(pace, now, turn->logging_started,
                         dirty_reaper_cpu(&t->ring.reaper));
    }
    if (t->ring.watermark) {
        return ring_reap_marked(t, now);
    }
    ring_watch_all(t);
    if (dirty_pace_is_due(pace)) {
        ring_reap(t, NULL, RING_DUE);
        dirty_pace_harvested(pace, now, get_clock());
        ring_watch_all(t);
    }
    return ring_plan(t);
}

/*
 * Dirty limits need vCPUs that stop when their rings are full.  Dirty rates
 * count what is harvested from a vCPU's ring: of a page in the bitmap nobody
 * knows who wrote it.
 * Called in the reaper's thread.
 */
static void ring_stop_by_full(KVMDirtyTracker *t, bool stop)
{
    int ret;

    if (t->features.overflow && t->ring.stopped_by_full != stop) {
        ret = dirty_features_enable_overflow(t->s, stop);
        if (ret < 0) {
            error_report_once("dirty limits may have no effect: KVM cannot be "
                              "told to stop vCPUs with full rings: %s",
                              strerror(-ret));
        }
        t->ring.stopped_by_full = stop;
    }
}

/* Monitors have locks of their own: not for the tracker lock's holder. */
static void ring_unlock_and_tell(KVMDirtyTracker *t)
{
    uint64_t news = dirty_events_overflow_news(t);

    kvm_dirty_unlock();
    dirty_events_overflow(news);
}

/*
 * The reaper's turn.  Dirty-limit throttles a vCPU by letting it sleep each
 * time its ring is full, so with it in service nobody else may empty rings.
 */
static bool ring_look(void *opaque, const DirtyReaperTurn *turn, int64_t *next)
{
    KVMDirtyTracker *t = opaque;
    int64_t now = get_clock();
    unsigned tracking;
    bool limited;

    if (dirty_fault_reaper_is_idle(&t->fault)) {
        *next = INT64_MAX;
        return true;
    }
    tracking = qatomic_read(&global_dirty_tracking);
    limited = dirtylimit_in_service() || (tracking & GLOBAL_DIRTY_LIMIT);
    ring_stop_by_full(t, limited || (tracking & GLOBAL_DIRTY_DIRTY_RATE));
    if (limited) {
        *next = now + RING_LIMIT_SLEEP;
        return false;
    }

    /*
     * Never wait for the lock: its holder may be waiting for us to reset, and
     * is most likely about to empty the rings anyway.
     */
    if (!kvm_dirty_trylock()) {
        *next = now + RING_LOCKED_SLEEP;
        return false;
    }
    *next = ring_look_locked(t, turn, now);
    ring_unlock_and_tell(t);
    return true;
}

static void ring_vm_state_changed(void *opaque, bool running, RunState state)
{
    KVMDirtyTracker *t = opaque;

    dirty_reaper_set_running(&t->ring.reaper, running);
}

/* Without overflow to fall back on, predicting when to look is the safer. */
static void ring_enable_watermark(KVMDirtyTracker *t)
{
    uint32_t entries = RING_WATERMARK(t->ring_size);
    int fd = event_notifier_get_fd(&t->ring.reaper.event);
    int ret;

    if (!t->features.overflow || !t->features.watermark) {
        t->features.watermark = false;
        return;
    }
    ret = dirty_features_enable_watermark(t->s, fd, entries);
    if (ret < 0) {
        warn_report("KVM_CAP_DIRTY_LOG_RING_WATERMARK is offered but cannot "
                    "be enabled (%s): looking at rings from time to time",
                    strerror(-ret));
        t->features.watermark = false;
        return;
    }
    t->ring.watermark = entries;
    dirty_reaper_expect_signals(&t->ring.reaper);
}

static void ring_start(KVMDirtyTracker *t)
{
    dirty_reaper_start(&t->ring.reaper, ring_look, t);
    ring_enable_watermark(t);
    qemu_add_vm_change_state_handler(ring_vm_state_changed, t);
}

/* Called with the tracker lock held. */
static void ring_start_history(KVMDirtyTracker *t)
{
    int64_t now = get_clock();

    for (guint i = 0; i < t->ring.rings->len; i++) {
        DirtyRing *ring = g_ptr_array_index(t->ring.rings, i);

        dirty_vcpu_start(ring->stats, now, dirty_ring_fill(ring));
    }
    dirty_history_start(&t->ring.overflows, now, t->ring.overflowed);
}

static bool ring_log_global_start(MemoryListener *listener, Error **errp)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    kvm_dirty_lock();
    dirty_fault_log_start(&t->fault);
    dirty_wp_all_log_start(t);
    ring_start_history(t);
    kvm_dirty_unlock();
    dirty_reaper_set_logging(&t->ring.reaper, true);
    return true;
}

static void ring_log_global_stop(MemoryListener *listener)
{
    dirty_reaper_set_logging(&kvm_state->dirty_tracker->ring.reaper, false);
}

/*
 * Pages that found no room in a ring are in the bitmaps.  KVM counts them, so
 * as long as the count stays the bitmaps need not be looked at.  With vCPUs
 * stopped the count is exact; otherwise what comes later is found later.
 * Called with the tracker lock held.
 */
static void ring_fetch_overflow(KVMDirtyTracker *t)
{
    if (!t->features.overflow) {
        return;
    }
    /* It tells the count, also when no entry is to be reset. */
    if (ring_reset(t) < 0 || t->ring.overflowed != t->ring.fetched) {
        t->ring.fetched = t->ring.overflowed;
        stat64_add(&t->stats.overflow_fetches, 1);
        dirty_log_fetch_all(t);
    }
}

static void do_nothing_on_cpu(CPUState *cpu, run_on_cpu_data arg)
{
}

/*
 * With page modification logging a vCPU in the guest has written pages that it
 * has not told yet, and tells when it leaves.  A stopped one is outside.  Ask
 * each vCPU, not the VM's run state: that changes before the vCPUs have
 * stopped.  Called with the BQL held.
 */
static void flush_vcpus_in_guest(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu->stopped && !cpu->unplug) {
            run_on_cpu(cpu, do_nothing_on_cpu, RUN_ON_CPU_NULL);
        }
    }
}

/*
 * A sync while the guest runs is out of date when it returns, so it leaves
 * vCPUs alone: what they have not told yet comes with the next.  One while it
 * does not run, or is about to stop, may be the last of a migration and must
 * have everything.
 */
static void ring_log_sync_global(MemoryListener *listener, bool last_stage)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    trace_kvm_dirty_ring_flush(0);
    if (last_stage || !runstate_is_running()) {
        flush_vcpus_in_guest();
    }

    kvm_dirty_lock();
    dirty_fault_sync(&t->fault);
    ring_reap(t, NULL, RING_ANY);
    ring_fetch_overflow(t);
    if (t->ring.with_bitmap && last_stage) {
        dirty_log_fetch_all(t);
    }
    kvm_dirty_for_each_logged_slot(t, publish_untold);
    ring_unlock_and_tell(t);
    trace_kvm_dirty_ring_flush(1);
}

/* Whether a page that the display logs is among those that came of late. */
static bool ring_has_display_page(KVMDirtyTracker *t, DirtyRing *ring)
{
    DirtyKey keys[64];
    uint32_t count;
    bool found = false;

    do {
        count = dirty_ring_look(ring, keys, ARRAY_SIZE(keys));
        for (uint32_t i = 0; i < count; i++) {
            const DirtySlot *slot =
                dirty_slots_find(&t->slots, dirty_key_slot(keys[i]),
                                 dirty_key_offset(keys[i]));

            found |= slot && (slot->clients & (1 << DIRTY_MEMORY_VGA));
        }
    } while (count == ARRAY_SIZE(keys));
    return found;
}

/*
 * A refresh of the display.  It must not cost a migration its late resets, so
 * rings are emptied only if there is something in them to be shown.
 */
static void ring_log_sync_region(MemoryListener *listener, MemoryRegion *mr)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;
    bool found = false;

    kvm_dirty_lock();
    for (guint i = 0; i < t->ring.rings->len; i++) {
        found |= ring_has_display_page(t, g_ptr_array_index(t->ring.rings, i));
    }
    if (found) {
        ring_reap(t, NULL, RING_ANY);
    }
    if (t->features.overflow) {
        /* The display's pages, too, may have gone to the bitmap. */
        dirty_log_fetch_display(t);
    }
    kvm_dirty_for_each_logged_slot(t, publish_untold);
    kvm_dirty_unlock();
}

/*
 * Migration is about to sync, and will hold the BQL meanwhile.  Most of what
 * there is can be had without; not worth it if it is little.
 */
static void ring_presync(KVMDirtyTracker *t)
{
    trace_kvm_dirty_presync(0);
    kvm_dirty_lock();
    for (guint i = 0; i < t->ring.rings->len; i++) {
        if (dirty_ring_holds(g_ptr_array_index(t->ring.rings, i),
                             RING_PRESYNC)) {
            ring_reap(t, NULL, RING_ANY);
            ring_fetch_overflow(t);
            break;
        }
    }
    ring_unlock_and_tell(t);
    trace_kvm_dirty_presync(1);
}

/* Rings are of vCPUs, not of address spaces. */
static void ring_setup_listener(KVMDirtyTracker *t, MemoryListener *listener)
{
    listener->log_global_start = ring_log_global_start;
    listener->log_global_stop = ring_log_global_stop;
    listener->log_sync_global = ring_log_sync_global;
    listener->log_sync_region = ring_log_sync_region;
}

static bool ring_attach_vcpu(KVMDirtyTracker *t, CPUState *cpu, Error **errp)
{
    unsigned long vcpu_id = kvm_arch_vcpu_id(cpu);
    DirtyRing *ring;
    void *gfns;

    gfns = mmap(NULL, t->ring.bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                cpu->kvm_fd,
                qemu_real_host_page_size() * KVM_DIRTY_LOG_PAGE_OFFSET);
    if (gfns == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map the dirty ring of vCPU %lu",
                         vcpu_id);
        return false;
    }

    kvm_dirty_lock();
    ring = ring_find(t, vcpu_id);
    if (!ring) {
        ring = dirty_ring_new(vcpu_id, t->ring_size);
        ring->stats = g_new0(DirtyVcpuStats, 1);
        g_ptr_array_add(t->ring.rings, ring);
    }
    dirty_ring_attach(ring, gfns, cpu);
    dirty_vcpu_start(ring->stats, get_clock(), dirty_ring_fill(ring));
    kvm_dirty_unlock();
    return true;
}

static void ring_detach_vcpu(KVMDirtyTracker *t, CPUState *cpu)
{
    struct kvm_dirty_gfn *gfns = NULL;
    DirtyRing *ring;

    kvm_dirty_lock();
    ring = ring_find(t, kvm_arch_vcpu_id(cpu));
    if (ring && ring->gfns) {
        ring_reap(t, ring, RING_NONE);
        gfns = dirty_ring_detach(ring);
    }
    kvm_dirty_unlock();

    if (gfns) {
        munmap(gfns, t->ring.bytes);
    }
}

/*
 * A vCPU stopped at @when as its ring @i is full: learn from it.
 * Called with the tracker lock held.
 */
static void ring_missed(KVMDirtyTracker *t, guint i, int64_t when)
{
    ring_watch(t, i, when);
    ring_watch_all(t);
    dirty_pace_miss(&t->ring.pace, i);
}

/*
 * While a vCPU with a full ring waited for the lock somebody else may have made
 * room, and what came after that can wait; or have harvested, but the reset was
 * cut short.  If the vCPU comes back and nobody has harvested meanwhile, KVM
 * calls that full which we do not: believe it.
 */
static bool ring_needs_room(KVMDirtyTracker *t, DirtyRing *ring)
{
    if (dirty_ring_holds(ring, ring_room(ring) / 2) ||
        t->ring.stage.unfinished || ring->spared == ring->fetch) {
        return true;
    }
    ring->spared = ring->fetch;
    return false;
}

/* Called with the tracker lock held; @reaper: the thread looks at rings. */
static void ring_make_room(KVMDirtyTracker *t, DirtyRing *ring, bool reaper,
                           int64_t when)
{
    guint i;

    if (ring && reaper && g_ptr_array_find(t->ring.rings, ring, &i)) {
        ring_missed(t, i, when);
    }
    if (ring && ring_needs_room(t, ring)) {
        ring_reap(t, ring, reaper ? RING_DUE : RING_NONE);
    }
    if (reaper) {
        ring_watch_all(t);
        dirty_reaper_look_by(&t->ring.reaper,
                             dirty_pace_plan(&t->ring.pace, get_clock()).next);
    }
}

static void ring_full(KVMDirtyTracker *t, CPUState *cpu)
{
    bool limited = dirtylimit_in_service();
    bool reaper = dirty_reaper_is_active(&t->ring.reaper) && !limited;
    int64_t when = get_clock();
    DirtyVcpuFull full = {};
    DirtyRing *ring;
    int64_t took;

    trace_kvm_dirty_ring_full(cpu->cpu_index);

    kvm_dirty_lock();
    ring = ring_find(t, kvm_arch_vcpu_id(cpu));
    ring_make_room(t, ring, reaper, when);
    took = get_clock() - when;
    if (ring) {
        full = dirty_vcpu_was_full(ring->stats, when, when + took, limited);
    }
    kvm_dirty_unlock();

    trace_kvm_dirty_ring_full_done(cpu->cpu_index, took / SCALE_US);
    if (full.often) {
        dirty_events_ring_full(cpu, &full);
    }
    dirtylimit_vcpu_execute(cpu);
}

static void ring_slot_logged(KVMDirtyTracker *t, KVMSlot *slot)
{
    if (t->ring.with_bitmap || t->features.overflow) {
        dirty_log_slot_alloc(t, slot);
    }
}

static void ring_slot_drain(KVMDirtyTracker *t, KVMSlot *slot)
{
    ring_reap(t, NULL, RING_ANY);
    if (t->ring.with_bitmap || t->features.overflow) {
        dirty_log_fetch(t, slot);
    }
    publish_untold(t, NULL, slot);
}

static void ring_joined(KVMDirtyTracker *t)
{
    dirty_reaper_look_by(&t->ring.reaper, 0);
}

const KVMDirtyBackendOps kvm_dirty_backend_ring = {
    .id = KVM_DIRTY_BACKEND_RING,
    .enable = ring_enable,
    .start = ring_start,
    .setup_listener = ring_setup_listener,
    .attach_vcpu = ring_attach_vcpu,
    .detach_vcpu = ring_detach_vcpu,
    .ring_full = ring_full,
    .slot_logged = ring_slot_logged,
    .slot_drain = ring_slot_drain,
    .presync = ring_presync,
    .joined = ring_joined,
    .sync_once = true,
    .late = true,
};
