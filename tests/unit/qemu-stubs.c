/*
 * What the tracker needs of QEMU, for its tests
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks are real, errors are written down, KVM is the model, and the rest is as
 * little as will do.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "block/aio.h"
#include "qemu/main-loop.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "system/dirtylimit.h"
#include "system/runstate.h"
#include "accel/kvm/dirty/ioctl.h"
#include "accel/kvm/dirty/kvm-all.h"
#include "kvm-world.h"

bool kvm_allowed = true;
bool tcg_allowed;
int use_rt_clock = 1;
uint64_t total_dirty_pages;
unsigned long rcu_gp_ctr = 1;
QemuEvent rcu_gp_event;
QEMU_DEFINE_CO_TLS(struct rcu_reader_data, rcu_reader)
QemuMutex kml_slots_lock;
MachineState *current_machine;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;

static __thread WorldRole role;
static __thread bool lock_held;

WorldRole world_role(void)
{
    return role;
}

void world_set_role(WorldRole as, CPUState *cpu)
{
    role = as;
    current_cpu = cpu;
}

bool world_lock_is_held(void)
{
    return lock_held;
}

/* Locks */

void qemu_mutex_init(QemuMutex *mutex)
{
    pthread_mutex_init(&mutex->lock, NULL);
}

void qemu_mutex_destroy(QemuMutex *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
}

void qemu_mutex_lock_impl(QemuMutex *mutex, const char *file, const int line)
{
    if (lock_held) {
        g_error("%s:%d: takes the tracker lock, but holds it", file, line);
    }
    pthread_mutex_lock(&mutex->lock);
    lock_held = true;
    if (world) {
        world->lock_turns++;
    }
}

int qemu_mutex_trylock_impl(QemuMutex *mutex, const char *file, const int line)
{
    int ret = lock_held ? EBUSY : pthread_mutex_trylock(&mutex->lock);

    lock_held |= !ret;
    return ret;
}

void qemu_mutex_unlock_impl(QemuMutex *mutex, const char *file, const int line)
{
    lock_held = false;
    pthread_mutex_unlock(&mutex->lock);
}

QemuMutexLockFunc qemu_mutex_lock_func = qemu_mutex_lock_impl;
QemuMutexTrylockFunc qemu_mutex_trylock_func = qemu_mutex_trylock_impl;

void qemu_event_set(QemuEvent *ev)
{
    g_assert_not_reached();
}

/* Errors */

static void say(const char *fmt, va_list ap)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    g_string_append_vprintf(world->said, fmt, ap);
    g_string_append_c(world->said, '\n');
    pthread_mutex_unlock(&lock);
}

void error_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void warn_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void info_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

bool error_report_once_cond(bool *printed, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return true;
}

bool warn_report_once_cond(bool *printed, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return true;
}

int error_printf(const char *fmt, ...)
{
    return 0;
}

/* KVM */

/* A vCPU is kicked by SIGUSR1; task work comes from io_uring. */
static bool is_interruptible(void)
{
    sigset_t blocked;

    if (role == WORLD_VCPU) {
        pthread_sigmask(SIG_SETMASK, NULL, &blocked);
        return !sigismember(&blocked, SIGUSR1) || world->io_uring;
    }
    return role == WORLD_MAIN;
}

/* From Linux 6.17 on a signal or task work spoils a reset. */
static void check_caller(unsigned long request)
{
    if ((request == KVM_RESET_DIRTY_RINGS ||
         request == KVM_RESET_DIRTY_RING) && is_interruptible()) {
        g_error("rings are reset in a thread that may be interrupted");
    }
    if (request != KVM_CHECK_EXTENSION && request != KVM_ENABLE_CAP &&
        !lock_held) {
        g_error("an ioctl changes logs without the tracker lock");
    }
}

int dirty_ioctl_vm(KVMState *s, unsigned long request, void *arg)
{
    check_caller(request);
    return kvm_model_ioctl(world->kvm, request, arg);
}

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    void *arg;
    va_list ap;

    va_start(ap, type);
    arg = va_arg(ap, void *);
    va_end(ap);
    check_caller(type);
    return kvm_model_ioctl(world->kvm, type, arg);
}

int kvm_check_extension(KVMState *s, unsigned int extension)
{
    return kvm_model_ioctl(world->kvm, KVM_CHECK_EXTENSION,
                           (void *)(uintptr_t)extension);
}

int kvm_vm_check_extension(KVMState *s, unsigned int extension)
{
    return kvm_check_extension(s, extension);
}

/* Not the number of the vCPU, so that the two are not mixed up */
unsigned long kvm_arch_vcpu_id(CPUState *cpu)
{
    return cpu->cpu_index * 2 + 1;
}

/* The rest of QEMU */

AioContext *qemu_get_aio_context(void)
{
    static AioContext context;

    context.linux_io_uring = world->io_uring ? (void *)&context : NULL;
    return &context;
}

int qemu_get_thread_id(void)
{
    return role == WORLD_MAIN ? getpid() : getpid() + 1;
}

uint8_t memory_region_get_dirty_log_mask(MemoryRegion *mr)
{
    return world_log_mask(container_of(mr, WorldRegion, mr));
}

size_t qemu_ram_pagesize(RAMBlock *block)
{
    return block->page_size;
}

void ram_block_notifier_add(RAMBlockNotifier *n)
{
    world->blocks = n;
}

void world_block_removed(World *w, const RAMBlock *block)
{
    w->blocks->ram_block_removed(w->blocks, block->host, block->max_length,
                                 block->max_length);
}

bool runstate_check(RunState state)
{
    return world->runstate == state;
}

bool runstate_is_running(void)
{
    return world->runstate == RUN_STATE_RUNNING;
}

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb,
                                                     void *opaque)
{
    world->run_handler = cb;
    return NULL;
}

/* Who waits for a vCPU must not hold what it may wait for. */
void run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    g_assert_false(lock_held);
    ring_model_exit(kvm_model_guest(world->kvm), cpu->cpu_index);
    func(cpu, data);
}

bool dirtylimit_in_service(void)
{
    return world->limited;
}

uint64_t dirtylimit_vcpu_quota(int cpu_index)
{
    return cpu_index == 0 ? world->quota : 0;
}

/* World's test has it run. */
void async_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    g_assert_null(world->work);
    world->work = func;
    world->work_cpu = cpu;
    world->work_data = data;
}

bool cpu_work_list_empty(CPUState *cpu)
{
    return !world->other_work;
}

/* Who sleeps for a limit */
void qemu_cond_timedwait_bql(QemuCond *cond, int ms)
{
    g_assert_false(lock_held);
    g_assert_cmpint(ms, >, 0);
    world->slept += ms;
    g_usleep(ms * 1000);
}

Object *object_dynamic_cast_assert(Object *obj, const char *type,
                                   const char *file, int line,
                                   const char *func)
{
    return obj;
}

const char *qapi_enum_lookup(const QEnumLookup *lookup, int val)
{
    g_assert_cmpint(val, >=, 0);
    g_assert_cmpint(val, <, lookup->size);
    return lookup->array[val];
}

const QEnumLookup KvmDirtyBackend_lookup = {
    .array = (const char *const[]) {
        [KVM_DIRTY_BACKEND_RING] = "ring",
        [KVM_DIRTY_BACKEND_LOG] = "log",
        [KVM_DIRTY_BACKEND_WP_ALL] = "wp-all",
    },
    .size = KVM_DIRTY_BACKEND__MAX,
};

const QEnumLookup KvmDirtyTrackingMode_lookup = {
    .array = (const char *const[]) {
        [KVM_DIRTY_TRACKING_MODE_AUTO] = "auto",
        [KVM_DIRTY_TRACKING_MODE_RING] = "ring",
        [KVM_DIRTY_TRACKING_MODE_LOG] = "log",
        [KVM_DIRTY_TRACKING_MODE_WP_ALL] = "wp-all",
    },
    .size = KVM_DIRTY_TRACKING_MODE__MAX,
};

int event_notifier_get_fd(const EventNotifier *e)
{
    return -1;
}
