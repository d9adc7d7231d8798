/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tcg-race - does the emulated host keep its vCPUs apart?
 *
 * CPU 0 enters and leaves a tiny guest as often as it can, CPU 1 loads x87
 * state in a loop.  An emulator in which the one can disturb the other's SVM
 * state runs the guest without nested paging sooner or later: it then fetches
 * from the host's memory, and ends in something else than the one exit it
 * asks for.  Such ends are counted; the guest is started anew after each.
 *
 * Usage: tcg-race SECONDS        exit status 0: none, 1: some, 2: cannot tell
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEM_SIZE 0x10000        /* all that real mode reaches from segment 0 */
#define CODE 0x1000
#define PORT 0x10
#define ENTRIES_PER_EXIT 1000
#define HLT 0xf4

/* Real mode: CPUID, which always exits, 1000 times; then one byte to PORT. */
static const uint8_t code[] = {
    0xbe, ENTRIES_PER_EXIT & 0xff, ENTRIES_PER_EXIT >> 8,  /* mov si, N */
    0x66, 0x31, 0xc0,                                      /* xor eax, eax */
    0x0f, 0xa2,                                            /* cpuid */
    0x4e,                                                  /* dec si */
    0x75, 0xf8,                                            /* jnz to xor */
    0xe6, PORT,                                            /* out PORT, al */
    0xeb, 0xf1,                                            /* jmp to mov */
};

static bool stopping;

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "tcg-race: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void pin(int cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
        die("CPUs 0 and 1 are needed (--smp 2)");
    }
}

static void *load_x87(void *arg)
{
    uint8_t env[28];

    pin(1);
    __asm__ volatile("fnstenv %0" : "=m" (env));
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        for (int i = 0; i < 1000; i++) {
            __asm__ volatile("fldenv %0" : : "m" (env));
        }
    }
    return arg;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

struct guest {
    int vm, vcpu;
    uint8_t *mem;
    struct kvm_run *run;
    size_t run_size;
};

static void start(struct guest *g, int kvm)
{
    struct kvm_userspace_memory_region region = { .memory_size = MEM_SIZE };
    struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
    struct kvm_sregs sregs;

    g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (g->vm < 0) {
        die("KVM_CREATE_VM");
    }
    g->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->mem == MAP_FAILED) {
        die("mmap");
    }
    /* Wherever else it gets to, it stops. */
    memset(g->mem, HLT, MEM_SIZE);
    memcpy(g->mem + CODE, code, sizeof(code));
    region.userspace_addr = (uintptr_t)g->mem;
    g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
    g->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                  g->vcpu, 0);
    if (g->run == MAP_FAILED ||
        ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) ||
        ioctl(g->vcpu, KVM_GET_SREGS, &sregs)) {
        die("setting up the guest");
    }
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(g->vcpu, KVM_SET_SREGS, &sregs) ||
        ioctl(g->vcpu, KVM_SET_REGS, &regs)) {
        die("setting the guest's registers");
    }
}

static void stop(struct guest *g)
{
    munmap(g->run, g->run_size);
    close(g->vcpu);
    close(g->vm);
    munmap(g->mem, MEM_SIZE);
}

/* Runs until the time is up (true) or the guest ends otherwise (false). */
static bool run(struct guest *g, uint64_t until, uint64_t *entries)
{
    struct kvm_regs regs;

    while (now_ms() < until) {
        if (ioctl(g->vcpu, KVM_RUN, 0) && errno != EINTR) {
            die("KVM_RUN");
        }
        if (g->run->exit_reason != KVM_EXIT_IO || g->run->io.port != PORT) {
            ioctl(g->vcpu, KVM_GET_REGS, &regs);
            printf("guest died: exit reason %u, rip 0x%llx, "
                   "about %" PRIu64 " entries in\n",
                   g->run->exit_reason, (unsigned long long)regs.rip, *entries);
            return false;
        }
        *entries += ENTRIES_PER_EXIT;
    }
    return true;
}

int main(int argc, char **argv)
{
    int seconds = argc == 2 ? atoi(argv[1]) : 0;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    uint64_t entries = 0, until;
    unsigned deaths = 0;
    pthread_t loader;
    struct guest g;
    bool in_time;

    if (seconds < 1) {
        fprintf(stderr, "usage: tcg-race SECONDS (a number above 0)\n");
        return 2;
    }
    if (kvm < 0) {
        die("/dev/kvm");
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    errno = pthread_create(&loader, NULL, load_x87, NULL);
    if (errno) {
        die("pthread_create");
    }
    pin(0);
    until = now_ms() + seconds * UINT64_C(1000);
    do {
        start(&g, kvm);
        in_time = run(&g, until, &entries);
        deaths += !in_time;
        stop(&g);
    } while (!in_time);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    pthread_join(loader, NULL);
    printf("tcg-race: entries=%" PRIu64 " deaths=%u\n", entries, deaths);
    if (!entries && !deaths) {
        fprintf(stderr, "tcg-race: the guest was not entered at all\n");
        return 2;
    }
    return deaths ? 1 : 0;
}
