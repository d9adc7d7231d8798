/*
 * What surrounds the tracker: kvm-all.c, memslots and vCPUs
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Does with the tracker what QEMU's kvm-all.c, with patches/qemu, does; see
 * tracker.h for what it owes.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "exec/ramlist.h"
#include "exec/dirty-summary.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "kvm-world.h"

/* Where RAM seems to be; nobody looks there. */
#define HOST_RAM (1ULL << 40)

World *world;
KVMState *kvm_state;
RAMList ram_list;
unsigned int global_dirty_tracking;

static void dirty_memory_init(void)
{
    for (int i = 0; i < DIRTY_MEMORY_NUM; i++) {
        size_t words = DIRTY_SUMMARY_BLOCK_WORDS + DIRTY_SUMMARY_WORDS;
        DirtyMemoryBlocks *blocks;

        blocks = g_malloc0(sizeof(*blocks) + sizeof(blocks->blocks[0]));
        blocks->blocks[0] = g_new0(unsigned long, words);
        ram_list.dirty_memory[i] = blocks;
    }
}

static void dirty_memory_free(void)
{
    for (int i = 0; i < DIRTY_MEMORY_NUM; i++) {
        g_free(ram_list.dirty_memory[i]->blocks[0]);
        g_free(ram_list.dirty_memory[i]);
        ram_list.dirty_memory[i] = NULL;
    }
}

/* kvm_region_commit() without changes of the memory map */
static void nothing_to_commit(MemoryListener *listener)
{
}

static void listener_init(World *w, int as)
{
    KVMMemoryListener *kml = &w->kml[as];

    kml->as_id = as;
    kml->nr_slots_allocated = RING_MODEL_SLOT_MAX;
    kml->slots = g_new0(KVMSlot, RING_MODEL_SLOT_MAX);
    for (int i = 0; i < RING_MODEL_SLOT_MAX; i++) {
        kml->slots[i].slot = i;
    }
    QSIMPLEQ_INIT(&kml->transaction_add);
    QSIMPLEQ_INIT(&kml->transaction_del);
    kml->listener.commit = nothing_to_commit;
    kvm_dirty_tracker_setup_listener(&w->state, kml);
    w->state.as[as].ml = kml;
}

World *world_new(const WorldConfig *config)
{
    World *w = g_new0(World, 1);
    KvmModelConfig kvm = {
        .offer = config->offer,
        .guest = {
            .vcpus = config->vcpus,
            .pml_size = config->pml_size,
            .pages = config->pages,
            .fault = config->fault,
            .interleave = config->interleave,
            .opaque = w,
        },
        .userspace_addr = HOST_RAM,
        .enter = config->enter,
    };

    g_assert_null(world);
    world = w;
    w->config = *config;
    w->kvm = kvm_model_new(&kvm);
    w->said = g_string_new(NULL);
    w->cpus = g_new0(CPUState *, config->vcpus);
    w->plugged = g_new0(bool, config->vcpus);
    w->bmap = g_new0(bool, config->pages);
    w->chunk = g_new0(bool, DIV_ROUND_UP(config->pages, WORLD_CHUNK));
    w->copy = g_new0(uint64_t, config->pages);
    w->runstate = RUN_STATE_RUNNING;
    dirty_memory_init();
    global_dirty_tracking = 0;
    qemu_mutex_init(&kml_slots_lock);
    pthread_rwlock_init(&w->run_lock, NULL);

    kvm_state = &w->state;
    w->state.nr_as = RING_MODEL_AS_MAX;
    w->state.as = g_new0(struct KVMAs, RING_MODEL_AS_MAX);
    w->state.vmfd = -1;
    kvm_dirty_tracker_instance_init(&w->state);
    w->state.dirty_tracker->mode = config->mode;
    w->state.dirty_tracker->ring_size = config->ring_size;
    world_set_role(WORLD_MAIN, NULL);
    return w;
}

int world_probe(World *w)
{
    return kvm_dirty_tracker_probe(&w->state);
}

void world_start(World *w)
{
    kvm_dirty_tracker_start(&w->state);
    if (w->state.dirty_tracker->rings) {
        /* Whatever kernel the tests run on. */
        w->state.dirty_tracker->rings->interruptible = false;
    }
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        listener_init(w, as);
    }
    for (unsigned i = 0; i < w->config.vcpus; i++) {
        CPUState *cpu = g_new0(CPUState, 1);

        cpu->cpu_index = i;
        cpu->kvm_fd = kvm_model_create_vcpu(w->kvm, i);
        w->cpus[i] = cpu;
        world_plug(w, i);
    }
    if (w->run_handler) {
        w->run_handler(w->state.dirty_tracker, true, RUN_STATE_RUNNING);
    }
}

World *world_boot(const WorldConfig *config)
{
    World *w = world_new(config);

    if (world_probe(w) < 0) {
        g_error("the tracker does not start: %s", w->said->str);
    }
    world_start(w);
    return w;
}

void world_free(World *w)
{
    for (unsigned i = 0; i < w->config.vcpus; i++) {
        if (w->plugged[i]) {
            world_unplug(w, i);
        }
        g_free(w->cpus[i]);
    }
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        for (int i = 0; w->kml[as].slots && i < RING_MODEL_SLOT_MAX; i++) {
            g_free(w->kml[as].slots[i].dirty_bmap);
        }
        g_free(w->kml[as].slots);
    }
    kvm_dirty_tracker_instance_finalize((Object *)&w->state);
    qemu_mutex_destroy(&kml_slots_lock);
    pthread_rwlock_destroy(&w->run_lock);
    g_free(w->state.as);
    kvm_model_free(w->kvm);
    dirty_memory_free();
    g_string_free(w->said, true);
    g_free(w->cpus);
    g_free(w->plugged);
    g_free(w->bmap);
    g_free(w->chunk);
    g_free(w->copy);
    g_free(w);
    world = NULL;
    kvm_state = NULL;
}

void world_plug(World *w, unsigned vcpu)
{
    CPUState *cpu = w->cpus[vcpu];
    WorldRole role = world_role();
    Error *err = NULL;

    world_set_role(WORLD_VCPU, cpu);
    if (!kvm_dirty_tracker_attach_vcpu(cpu, &err)) {
        g_error("vCPU %u is not attached: %s", vcpu, error_get_pretty(err));
    }
    world_set_role(role, NULL);
    QTAILQ_INSERT_TAIL_RCU(&cpus_queue, cpu, node);
    w->plugged[vcpu] = true;
}

void world_unplug(World *w, unsigned vcpu)
{
    CPUState *cpu = w->cpus[vcpu];
    WorldRole role = world_role();

    w->plugged[vcpu] = false;
    QTAILQ_REMOVE_RCU(&cpus_queue, cpu, node);
    ring_model_exit(kvm_model_guest(w->kvm), vcpu);
    world_set_role(WORLD_VCPU, cpu);
    kvm_dirty_tracker_detach_vcpu(cpu);
    world_set_role(role, NULL);
}

void world_set_running(World *w, bool running)
{
    w->runstate = running ? RUN_STATE_RUNNING : RUN_STATE_FINISH_MIGRATE;
    /* It says so before all vCPUs have stopped. */
    for (unsigned i = 0; i < w->config.vcpus; i++) {
        bool stopped = !running && i % 2 == 0;

        if (stopped) {
            ring_model_exit(kvm_model_guest(w->kvm), i);
        }
        w->cpus[i]->stopped = stopped;
    }
    if (w->run_handler) {
        w->run_handler(w->state.dirty_tracker, running, w->runstate);
    }
}

uint8_t world_log_mask(const WorldRegion *region)
{
    uint8_t mask = region->mr.dirty_log_mask;

    if (global_dirty_tracking) {
        mask |= 1 << DIRTY_MEMORY_MIGRATION;
    }
    return mask;
}

static int region_flags(const WorldRegion *region)
{
    return world_log_mask(region) ? KVM_MEM_LOG_DIRTY_PAGES : 0;
}

int kvm_set_user_memory_region(KVMMemoryListener *kml, KVMSlot *slot, bool new)
{
    struct kvm_userspace_memory_region mem = {
        .slot = slot->slot | kml->as_id << 16,
        .guest_phys_addr = slot->start_addr,
        .userspace_addr = (uintptr_t)slot->ram,
        .memory_size = slot->memory_size,
        .flags = slot->flags,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &mem);
    bool log = slot->flags & KVM_MEM_LOG_DIRTY_PAGES;

    if (ret >= 0) {
        slot->old_flags = slot->flags;
    }
    world->refused[kml->as_id][slot->slot] = log && ret < 0;
    return ret;
}

/* What one slot has of a region, from page @offset of it on */
static uint64_t part_of(const WorldRegion *region, uint64_t offset)
{
    return MIN(region->part, region->npages - offset);
}

KVMSlot *world_slot(World *w, const WorldRegion *region, uint64_t offset)
{
    KVMMemoryListener *kml = &w->kml[region->as];
    hwaddr addr = (region->gpa + offset) * KVM_MODEL_PAGE;

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        KVMSlot *slot = &kml->slots[i];

        if (slot->memory_size && slot->start_addr <= addr &&
            addr < slot->start_addr + slot->memory_size) {
            return slot;
        }
    }
    return NULL;
}

uint32_t world_key(World *w, const WorldRegion *region, uint64_t *offset)
{
    const KVMSlot *slot = world_slot(w, region, *offset);

    g_assert_nonnull(slot);
    *offset = region->gpa + *offset - slot->start_addr / KVM_MODEL_PAGE;
    return RING_MODEL_KEY(region->as, slot->slot);
}

static KVMSlot *free_slot(KVMMemoryListener *kml)
{
    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        if (!kml->slots[i].memory_size) {
            return &kml->slots[i];
        }
    }
    g_error("there are no slots left");
}

/* kvm_set_phys_mem(), to add */
static void map_part(World *w, WorldRegion *region, uint64_t offset)
{
    KVMMemoryListener *kml = &w->kml[region->as];
    KVMSlot *slot = free_slot(kml);
    uint64_t page = region->page + offset;

    slot->as_id = region->as;
    slot->memory_size = part_of(region, offset) * KVM_MODEL_PAGE;
    slot->start_addr = (region->gpa + offset) * KVM_MODEL_PAGE;
    slot->ram_start_offset = page * KVM_MODEL_PAGE;
    slot->ram = (void *)(uintptr_t)(HOST_RAM + page * KVM_MODEL_PAGE);
    slot->flags = region_flags(region);
    kvm_dirty_tracker_slot_set(kml, slot, &region->mr);
    if (kvm_dirty_tracker_slot_new(kml, slot) < 0) {
        g_error("KVM does not take a new slot");
    }
    /* It may have been taken without the log that was asked for. */
    w->refused[region->as][slot->slot] =
        (slot->flags ^ slot->old_flags) & KVM_MEM_LOG_DIRTY_PAGES;
}

WorldRegion *world_map(World *w, int as, uint64_t gpa, uint64_t page,
                       uint64_t npages, uint64_t part)
{
    WorldRegion *region = w->regions;

    while (region->npages) {
        region++;
        g_assert_cmpuint(region - w->regions, <, WORLD_REGIONS);
    }
    *region = (WorldRegion) {
        .as = as, .gpa = gpa, .page = page, .npages = npages, .part = part,
    };
    region->told = world_log_mask(region);
    qemu_mutex_lock(&kml_slots_lock);
    for (uint64_t at = 0; at < npages; at += part_of(region, at)) {
        map_part(w, region, at);
    }
    qemu_mutex_unlock(&kml_slots_lock);
    return region;
}

/* kvm_set_phys_mem(), to remove */
static void unmap_part(World *w, WorldRegion *region, uint64_t offset)
{
    KVMMemoryListener *kml = &w->kml[region->as];
    KVMSlot *slot = world_slot(w, region, offset);

    kvm_dirty_tracker_slot_clear(kml, slot);
    slot->memory_size = 0;
    slot->flags = 0;
    if (kvm_set_user_memory_region(kml, slot, false) < 0) {
        g_error("KVM does not give a slot back");
    }
}

static void vcpus_keep_out(World *w, bool out)
{
    if (w->vcpus_out == out) {
        return;
    }
    if (out) {
        pthread_rwlock_wrlock(&w->run_lock);
        for (unsigned i = 0; i < w->config.vcpus; i++) {
            ring_model_exit(kvm_model_guest(w->kvm), i);
        }
    } else {
        pthread_rwlock_unlock(&w->run_lock);
    }
    w->vcpus_out = out;
}

void world_unmap(World *w, WorldRegion *region)
{
    KVMMemoryListener *kml = &w->kml[region->as];
    KVMMemoryUpdate update = {
        .section = {
            .mr = &region->mr,
            .size = int128_make64(region->npages * KVM_MODEL_PAGE),
            .offset_within_address_space = region->gpa * KVM_MODEL_PAGE,
        },
    };

    QSIMPLEQ_INSERT_TAIL(&kml->transaction_del, &update, next);
    qemu_mutex_lock(&kml_slots_lock);
    vcpus_keep_out(w, kvm_dirty_tracker_must_quiesce(kml));
    QSIMPLEQ_REMOVE_HEAD(&kml->transaction_del, next);
    for (uint64_t at = 0; at < region->npages; at += part_of(region, at)) {
        unmap_part(w, region, at);
    }
    region->npages = 0;
    vcpus_keep_out(w, false);
    qemu_mutex_unlock(&kml_slots_lock);
}

/* kvm_section_update_flags(): all parts, also after one that was refused */
static void update_region(World *w, WorldRegion *region)
{
    KVMMemoryListener *kml = &w->kml[region->as];

    qemu_mutex_lock(&kml_slots_lock);
    for (uint64_t at = 0; at < region->npages; at += part_of(region, at)) {
        KVMSlot *slot = world_slot(w, region, at);

        slot->flags = region_flags(region);
        kvm_dirty_tracker_slot_set(kml, slot, &region->mr);
        if (slot->flags != slot->old_flags &&
            !kvm_dirty_tracker_log_late(slot, &region->mr)) {
            kvm_dirty_tracker_slot_told(
                slot, kvm_set_user_memory_region(kml, slot, false));
        }
    }
    qemu_mutex_unlock(&kml_slots_lock);
}

void world_commit(World *w)
{
    for (int i = 0; i < WORLD_REGIONS; i++) {
        WorldRegion *region = &w->regions[i];

        if (region->npages && region->told != world_log_mask(region)) {
            region->told = world_log_mask(region);
            update_region(w, region);
        }
    }
    for (int as = 0; as < RING_MODEL_AS_MAX; as++) {
        w->kml[as].listener.commit(&w->kml[as].listener);
    }
}

void world_leave_view(WorldRegion *region)
{
    region->unseen = true;
}

void world_set_display(World *w, WorldRegion *region, bool on)
{
    region->mr.dirty_log_mask = on << DIRTY_MEMORY_VGA;
    world_commit(w);
}

RingModelExit world_store_once(World *w, unsigned vcpu,
                               const WorldRegion *region, uint64_t offset,
                               uint64_t value)
{
    uint32_t key = world_key(w, region, &offset);

    return ring_model_store(kvm_model_guest(w->kvm), vcpu, key, offset, value);
}

bool world_store(World *w, unsigned vcpu, const WorldRegion *region,
                 uint64_t offset, uint64_t value)
{
    WorldRole role = world_role();

    for (int tries = 0; tries < 1000; tries++) {
        switch (world_store_once(w, vcpu, region, offset, value)) {
        case RING_MODEL_DONE:
            return true;
        case RING_MODEL_MMIO:
            return false;
        case RING_MODEL_RING_FULL:
            world_set_role(WORLD_VCPU, w->cpus[vcpu]);
            kvm_dirty_tracker_ring_full(w->cpus[vcpu]);
            world_set_role(role, NULL);
        }
    }
    g_error("vCPU %u is stuck with its ring full", vcpu);
}

bool world_reaper_turn(World *w)
{
    DirtyReaperTurn turn = { .logging_started = true };
    WorldRole role = world_role();
    int64_t next;
    bool did;

    if (!w->look || !qatomic_read(&w->reaper_logging) ||
        !qatomic_read(&w->reaper_running)) {
        return false;
    }
    world_set_role(WORLD_REAPER, NULL);
    did = w->look(w->state.dirty_tracker, &turn, &next);
    world_set_role(role, NULL);
    return did;
}
