/*
 * Benchmarks without a VM: what our code costs, and upstream's way
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real code of the dirty summary and of the ring is linked in; what it
 * runs against is made up.
 */

#include "qemu/osdep.h"
#include "native.h"

#define HARVEST_GIB 64
#define HARVEST_ENTRIES (4 * 65536)

static gboolean json;
static gint runs = 21;
static gint pages = 1000;
static gint only_gib;

static const GOptionEntry options[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json,
      "print one JSON object", NULL },
    { "runs", 0, 0, G_OPTION_ARG_INT, &runs,
      "how often to measure each thing (21); medians count", "N" },
    { "pages", 0, 0, G_OPTION_ARG_INT, &pages,
      "dirty pages a sync (1000)", "N" },
    { "gib", 0, 0, G_OPTION_ARG_INT, &only_gib,
      "one size of memory only", "N" },
    { NULL }
};

double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(values[0]), compare);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* xorshift64 */
uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void wrong(const char *what)
{
    fprintf(stderr, "native: %s\n", what);
    exit(1);
}

static void print_sync(unsigned gib, const SyncTimes *ours,
                       const SyncTimes *upstream, bool first)
{
    if (json) {
        printf("%s\"%u\": {\"ours_us\": %.2f, \"upstream_us\": %.2f, "
               "\"ours_set_us\": %.2f, \"upstream_set_us\": %.2f, "
               "\"ours_find_us\": %.2f, \"upstream_find_us\": %.2f}",
               first ? "" : ", ", gib, ours->sync, upstream->sync, ours->set,
               upstream->set, ours->find, upstream->find);
        return;
    }
    if (first) {
        printf("%d dirty pages; times in us, ours and upstream's\n"
               "%6s %10s %10s %7s %10s %10s %10s %10s\n", pages, "GiB",
               "sync", "", "ratio", "set", "", "find", "");
    }
    printf("%6u %10.1f %10.1f %7.1f %10.1f %10.1f %10.1f %10.1f\n", gib,
           ours->sync, upstream->sync, upstream->sync / ours->sync,
           ours->set, upstream->set, ours->find, upstream->find);
    fflush(stdout);
}

static void all_syncs(void)
{
    static const unsigned sizes[] = { 1, 4, 16, 64, 256, 1024 };
    bool first = true;

    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        SyncTimes ours, upstream;

        if (only_gib && only_gib != sizes[i]) {
            continue;
        }
        bench_sync(sizes[i], pages, runs, &ours, &upstream);
        print_sync(sizes[i], &ours, &upstream, first);
        first = false;
    }
    if (first) {
        wrong("--gib is one of 1, 4, 16, 64, 256, 1024");
    }
}

static void all_harvests(void)
{
    static const uint32_t sizes[] = { 4096, 65536 };

    if (!json) {
        printf("pages at random in %d GiB; harvest to published\n%6s %10s\n",
               HARVEST_GIB, "ring", "million/s");
    }
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        /* As many entries in all, whatever the ring. */
        unsigned rounds = runs * (HARVEST_ENTRIES / sizes[i]);
        double rate = bench_harvest(HARVEST_GIB, sizes[i], rounds);

        if (json) {
            printf(", \"ring%u\": {\"entries_per_s\": %.0f}", sizes[i], rate);
        } else {
            printf("%6u %10.1f\n", sizes[i], rate / 1e6);
        }
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        wrong(error->message);
    }
    if (runs < 1 || pages < 1 || argc > 1) {
        wrong("see --help");
    }
    if (json) {
        printf("{\"sync\": {");
    }
    all_syncs();
    if (json) {
        printf("}");
    }
    all_harvests();
    if (json) {
        printf("}\n");
    }
    return 0;
}
