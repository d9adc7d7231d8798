/*
 * KVM dirty page tracking: what kvm-all.c calls
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tracker lock, named below, is kvm_slots_lock(): see lock.h.
 */

#ifndef ACCEL_KVM_DIRTY_TRACKER_H
#define ACCEL_KVM_DIRTY_TRACKER_H

#include "system/kvm_int.h"
#include "accel/kvm/dirty/kvm-all.h"

/**
 * kvm_dirty_tracker_class_init: add the tracker's properties to -accel kvm
 */
void kvm_dirty_tracker_class_init(ObjectClass *oc);

/**
 * kvm_dirty_tracker_instance_init: give @s a tracker with default settings
 */
void kvm_dirty_tracker_instance_init(KVMState *s);

/**
 * kvm_dirty_tracker_instance_finalize: free the tracker of an accelerator that
 * was not started
 */
void kvm_dirty_tracker_instance_finalize(Object *obj);

/**
 * kvm_dirty_tracker_probe: choose the backend and switch it on in KVM
 *
 * Called once, after the VM is created and before vCPUs and memslots are, as
 * KVM demands for the ring (KVM API, KVM_CAP_DIRTY_LOG_RING).  A fallback is
 * told as a warning, what is not acceptable as an error.
 *
 * Returns: 0, or -ECANCELED after having reported the error: no more need be
 * said.
 */
int kvm_dirty_tracker_probe(KVMState *s);

/**
 * kvm_dirty_tracker_start: start the threads of the chosen backend
 */
void kvm_dirty_tracker_start(KVMState *s);

/**
 * kvm_dirty_tracker_setup_listener: set the callbacks that log dirty pages
 *
 * Called before @kml is registered.
 */
void kvm_dirty_tracker_setup_listener(KVMState *s, KVMMemoryListener *kml);

/**
 * kvm_dirty_tracker_attach_vcpu: @cpu has a descriptor and is about to run
 *
 * Called with the BQL held, from the vCPU's own thread.
 */
bool kvm_dirty_tracker_attach_vcpu(CPUState *cpu, Error **errp);

/**
 * kvm_dirty_tracker_detach_vcpu: @cpu is unplugged and never runs again
 *
 * What its ring still holds is published.  Called with the BQL held.
 */
void kvm_dirty_tracker_detach_vcpu(CPUState *cpu);

/**
 * kvm_dirty_tracker_ring_full: handle KVM_EXIT_DIRTY_RING_FULL
 *
 * Called in the vCPU's thread without the BQL.  On return the ring has room.
 */
void kvm_dirty_tracker_ring_full(CPUState *cpu);

/**
 * kvm_dirty_tracker_slot_set: @slot is about to be given to KVM
 * @mr: the region it maps; says who logs it
 *
 * Also called when the clients of the dirty log change.  Called with the
 * tracker lock held.
 */
void kvm_dirty_tracker_slot_set(KVMMemoryListener *kml, KVMSlot *slot,
                                MemoryRegion *mr);

/**
 * kvm_dirty_tracker_slot_part: what goes into one memory slot
 * @mr: the region to be mapped
 * @start: guest physical address
 * @size: bytes of @mr from there on
 *
 * Returns how many of them, at least 1 page.  The same at any time, so that
 * slots are found again.
 */
hwaddr kvm_dirty_tracker_slot_part(const MemoryRegion *mr, hwaddr start,
                                   hwaddr size);

/**
 * kvm_dirty_tracker_has_slot: whether KVM maps memory at @start
 *
 * Called with the tracker lock not held; an answer for the monitor.
 */
bool kvm_dirty_tracker_has_slot(KVMMemoryListener *kml, hwaddr start);

/**
 * kvm_dirty_tracker_log_late: whether KVM need not be told yet that @slot is
 * logged
 * @mr: the region it maps
 *
 * If so the tracker tells it in time (late.h).  Called with BQL and
 * tracker lock held, after kvm_dirty_tracker_slot_set().
 */
bool kvm_dirty_tracker_log_late(KVMSlot *slot, MemoryRegion *mr);

/**
 * kvm_dirty_tracker_slot_new: give @slot to KVM
 *
 * If KVM refuses to log it, it gets it without a log: the slot is blind then,
 * and the guest goes on.  Called with the tracker lock held, after
 * kvm_dirty_tracker_slot_set().
 *
 * Returns 0, or -errno if KVM does not take it at all.
 */
int kvm_dirty_tracker_slot_new(KVMMemoryListener *kml, KVMSlot *slot);

/**
 * kvm_dirty_tracker_slot_told: KVM was told of the flags of @slot
 * @ret: 0, or -errno if KVM refused
 *
 * Whoever changes the flags of several slots goes on with the next if KVM
 * refuses one: the tracker copes with a slot that is not logged, as long as it
 * knows that it should be.  Called with the tracker lock held, after
 * kvm_dirty_tracker_slot_set().
 */
void kvm_dirty_tracker_slot_told(KVMSlot *slot, int ret);

/**
 * kvm_dirty_tracker_slot_clear: @slot is about to be taken away from KVM
 *
 * Dirty pages not seen so far are published.  Nothing is lost if vCPUs are
 * out of KVM_RUN until the slot is gone, see kvm_dirty_tracker_must_quiesce().
 * Called with the tracker lock held.
 */
void kvm_dirty_tracker_slot_clear(KVMMemoryListener *kml, KVMSlot *slot);

/**
 * kvm_dirty_tracker_must_quiesce: whether the pending removals of @kml
 * concern a slot that is logged
 *
 * The caller then keeps all vCPUs out of KVM (accel_ioctl_inhibit_begin())
 * across the removal: a write between the last look at the dirty log and the
 * removal would be lost.  Called with the tracker lock held.
 */
bool kvm_dirty_tracker_must_quiesce(KVMMemoryListener *kml);

#endif
