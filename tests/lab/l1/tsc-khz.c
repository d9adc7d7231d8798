/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tsc-khz - prints how fast this machine's time stamp counter runs, in kHz.
 *
 * The emulated host's counter is this one.  Told the figure, its kernel need
 * not calibrate, which on a busy machine can go wrong by a factor of two.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct sample {
    uint64_t tsc, ns;
};

/* Counter and clock at the same time: of some attempts the tightest. */
static struct sample sample(void)
{
    struct sample best = { 0 };
    uint64_t tightest = UINT64_MAX;

    for (int i = 0; i < 50; i++) {
        uint64_t before = __rdtsc(), after;
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
        after = __rdtsc();
        if (after - before < tightest) {
            tightest = after - before;
            best.tsc = before + (after - before) / 2;
            best.ns = ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
        }
    }
    return best;
}

int main(void)
{
    struct sample a = sample(), b;

    usleep(20000);
    b = sample();
    printf("%.0f\n", (b.tsc - a.tsc) * 1e6 / (b.ns - a.ns));
    return 0;
}
