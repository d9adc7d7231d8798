/*
 * KVM dirty page tracking: the ring backend
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "backend.h"
#include "full.h"
#include "limit.h"
#include "reset.h"
#include "set.h"
#include "signals.h"
#include "sync.h"
#include "turn.h"
#include "accel/kvm/dirty/fault.h"
#include "accel/kvm/dirty/features.h"
#include "accel/kvm/dirty/late.h"
#include "accel/kvm/dirty/lock.h"
#include "accel/kvm/dirty/log/log.h"
#include "accel/kvm/dirty/log/wp-all.h"
#include "accel/kvm/dirty/memslots.h"
#include "accel/kvm/dirty/options.h"
#include "accel/kvm/dirty/publish.h"
#include "accel/kvm/dirty/stats/vcpu.h"

/* Of a ring's entries, those that wake the reaper where KVM can do that */
#define RING_WATERMARK(size) ((size) / 4 * 3)

static const DirtyRingOps ring_ops = {
    .reset = dirty_reset_rings,
    .reprotect = dirty_reset_reprotect,
    .publish = dirty_publish_pages,
};

/*
 * The back-up bitmap has what was written without a running vCPU, such as
 * interrupt controller tables on Arm.  x86 has none.
 */
static int enable_bitmap(KVMDirtyTracker *t, bool *with_bitmap, Error **errp)
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
    *with_bitmap = true;
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
    bool with_bitmap = false;
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

    ret = enable_bitmap(t, &with_bitmap, errp);
    if (ret < 0) {
        return ret == -ENOTSUP ? -EINVAL : ret;
    }

    ring_enable_features(t);

    t->rings = dirty_rings_new(&ring_ops, t, bytes);
    t->rings->with_bitmap = with_bitmap;
    return 0;
}

static void ring_disable(KVMDirtyTracker *t)
{
    dirty_rings_free(t->rings);
    t->rings = NULL;
}

static void ring_vm_state_changed(void *opaque, bool running, RunState state)
{
    KVMDirtyTracker *t = opaque;

    /* Something else than a vCPU may write where there is a back-up bitmap. */
    if (!t->rings->with_bitmap) {
        dirty_late_set_running(t, running);
    }
    dirty_reaper_set_running(&t->rings->reaper, running);
}

/* Without overflow to fall back on, predicting when to look is the safer. */
static void ring_enable_watermark(KVMDirtyTracker *t)
{
    uint32_t entries = RING_WATERMARK(t->ring_size);
    int fd = event_notifier_get_fd(&t->rings->reaper.event);
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
    t->rings->watermark = entries;
    dirty_reaper_expect_signals(&t->rings->reaper);
}

static void ring_start(KVMDirtyTracker *t)
{
    t->rings->interruptible = dirty_signals_stop_resets();
    dirty_reaper_start(&t->rings->reaper, dirty_turn_look, t);
    ring_enable_watermark(t);
    qemu_add_vm_change_state_handler(ring_vm_state_changed, t);
}

static bool ring_log_global_start(MemoryListener *listener, Error **errp)
{
    KVMDirtyTracker *t = kvm_state->dirty_tracker;

    dirty_lock_acquire();
    dirty_fault_log_start(&t->fault);
    dirty_wp_all_log_start(t);
    dirty_rings_start_history(t->rings);
    dirty_lock_release();
    dirty_reaper_set_logging(&t->rings->reaper, true);
    return true;
}

static void ring_log_global_stop(MemoryListener *listener)
{
    dirty_reaper_set_logging(&kvm_state->dirty_tracker->rings->reaper, false);
}

/* Rings are of vCPUs, not of address spaces. */
static void ring_setup_listener(KVMDirtyTracker *t, MemoryListener *listener)
{
    listener->log_global_start = ring_log_global_start;
    listener->log_global_stop = ring_log_global_stop;
    listener->log_sync_global = dirty_sync_all;
    listener->log_sync_region = dirty_sync_display;
}

static bool ring_attach_vcpu(KVMDirtyTracker *t, CPUState *cpu, Error **errp)
{
    unsigned long vcpu_id = kvm_arch_vcpu_id(cpu);
    DirtyRing *ring;
    void *gfns;

    gfns = mmap(NULL, t->rings->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                cpu->kvm_fd,
                qemu_real_host_page_size() * KVM_DIRTY_LOG_PAGE_OFFSET);
    if (gfns == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map the dirty ring of vCPU %lu",
                         vcpu_id);
        return false;
    }

    dirty_lock_acquire();
    ring = dirty_rings_find(t->rings, vcpu_id);
    if (!ring) {
        ring = dirty_ring_new(vcpu_id, t->ring_size);
        ring->stats = g_new0(DirtyVcpuStats, 1);
        g_ptr_array_add(t->rings->list, ring);
    }
    dirty_ring_attach(ring, gfns, cpu);
    dirty_limit_attached(ring);
    dirty_vcpu_start(ring->stats, get_clock(), dirty_ring_fill(ring));
    dirty_lock_release();
    return true;
}

static void ring_detach_vcpu(KVMDirtyTracker *t, CPUState *cpu)
{
    struct kvm_dirty_gfn *gfns = NULL;
    DirtyRing *ring;

    dirty_lock_acquire();
    ring = dirty_rings_find(t->rings, kvm_arch_vcpu_id(cpu));
    if (ring && ring->gfns) {
        dirty_rings_reap(t->rings, ring, DIRTY_RINGS_NONE);
        gfns = dirty_ring_detach(ring);
    }
    dirty_lock_release();

    if (gfns) {
        munmap(gfns, t->rings->bytes);
    }
}

static bool ring_has_bitmaps(const KVMDirtyTracker *t)
{
    return t->rings->with_bitmap || t->features.overflow;
}

static void ring_slot_logged(KVMDirtyTracker *t, KVMSlot *slot)
{
    if (ring_has_bitmaps(t)) {
        dirty_log_slot_alloc(t, slot);
    }
}

/* Invariant 5 of docs/protocol.md: nothing of the slot is left in a ring. */
static void ring_slot_drain(KVMDirtyTracker *t, KVMSlot *slot)
{
    dirty_rings_reap(t->rings, NULL, DIRTY_RINGS_ANY);
    if (ring_has_bitmaps(t)) {
        dirty_log_fetch(t, slot);
    }
    dirty_publish_untold(t, NULL, slot);
}

static void ring_joined(KVMDirtyTracker *t)
{
    dirty_reaper_look_by(&t->rings->reaper, 0);
}

const KVMDirtyBackendOps dirty_ring_backend = {
    .id = KVM_DIRTY_BACKEND_RING,
    .enable = ring_enable,
    .disable = ring_disable,
    .start = ring_start,
    .setup_listener = ring_setup_listener,
    .attach_vcpu = ring_attach_vcpu,
    .detach_vcpu = ring_detach_vcpu,
    .ring_full = dirty_full_exit,
    .slot_logged = ring_slot_logged,
    .slot_drain = ring_slot_drain,
    .presync = dirty_sync_prepare,
    .joined = ring_joined,
    .sync_once = true,
    .late = true,
};
