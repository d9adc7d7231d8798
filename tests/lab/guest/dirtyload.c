/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirtyload - write to memory at a chosen speed and in a chosen pattern.
 *
 * Every write stamps its page, so that whoever compares two copies of this
 * machine's memory can tell which write one of them lacks (struct stamp, at
 * the start of the page, little endian).  A page that does not carry the stamp
 * that was last written there is reported when its turn comes:
 *
 *     dirtyload CORRUPT thread=0 page=17 have=1234 want=1240
 *
 * and once per interval there is a line with the guest's milliseconds, writes
 * a second since the last line, and writes since the start:
 *
 *     dirtyload t=12345 w=2300000 total=27412345
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define STAMP_MAGIC UINT64_C(0x3150414d44544451) /* "QDTDMAP1" in memory */
#define NS_PER_SEC INT64_C(1000000000)
#define MAX_THREADS 64
#define MAX_COMPLAINTS 50   /* of one thread */

enum pattern { RANDOM, SEQUENTIAL, HOTSET, ONEPAGE };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const pattern_names[] = {
    [RANDOM] = "random", [SEQUENTIAL] = "sequential",
    [HOTSET] = "hotset", [ONEPAGE] = "onepage",
};

struct options {
    uint64_t threads;
    uint64_t mib;           /* per thread */
    uint64_t rate;          /* pages a second, all threads together */
    uint64_t seed;
    uint64_t hot_pages;     /* per cent of the pages that are hot */
    uint64_t hot_writes;    /* per cent of the writes that go there */
    uint64_t interval;      /* ms between two lines */
    uint64_t seconds;       /* 0: for ever */
    uint64_t cpu;           /* of the first thread; the others: the next */
    enum pattern pattern;
};

struct stamp {
    uint64_t magic;
    uint32_t thread;
    uint32_t page;
    uint64_t seq;
    uint64_t ms;
    uint64_t sum;
};

struct worker {
    /* Alone in its cache lines: read by the reporter, written all the time. */
    _Alignas(128) uint64_t writes;
    _Alignas(128) uint64_t rng;
    const struct options *opt;
    uint8_t *mem;
    uint32_t *last;         /* low bits of each page's last sequence number */
    uint64_t rate;
    uint32_t complaints;
    uint32_t pages;
    uint32_t hot;
    uint32_t next;
    uint32_t id;
    pthread_t thread;
};

/* Coarse time for the stamps: asking the clock at each write would be slow. */
static uint64_t now_ms;
static bool stopping;

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec ts = { ns / NS_PER_SEC, ns % NS_PER_SEC };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)) {
        continue;
    }
}

static void die(const char *what)
{
    fprintf(stderr, "dirtyload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t stamp_sum(uint32_t thread, uint32_t page,
                          uint64_t seq, uint64_t ms)
{
    return STAMP_MAGIC ^ ((uint64_t)page << 32 | thread) ^ seq ^ ms;
}

static volatile struct stamp *stamp_of(struct worker *w, uint32_t page)
{
    return (void *)(w->mem + (size_t)page * PAGE);
}

/* Is this page as we left it? */
static void check_page(struct worker *w, uint32_t page)
{
    volatile struct stamp *s = stamp_of(w, page);
    uint64_t seq = s->seq;

    if ((uint32_t)seq == w->last[page] && s->magic == STAMP_MAGIC &&
        s->sum == stamp_sum(w->id, page, seq, s->ms)) {
        return;
    }
    if (w->complaints++ < MAX_COMPLAINTS) {
        printf("dirtyload CORRUPT thread=%" PRIu32 " page=%" PRIu32
               " have=%" PRIu64 " want=%" PRIu32 "%s\n",
               w->id, page, seq, w->last[page],
               s->magic == STAMP_MAGIC ? "" : " (no stamp)");
    }
}

static void write_page(struct worker *w, uint32_t page, uint64_t seq)
{
    volatile struct stamp *s = stamp_of(w, page);
    uint64_t ms = __atomic_load_n(&now_ms, __ATOMIC_RELAXED);

    s->magic = STAMP_MAGIC;
    s->thread = w->id;
    s->page = page;
    s->seq = seq;
    s->ms = ms;
    s->sum = stamp_sum(w->id, page, seq, ms);
    w->last[page] = seq;
}

static uint64_t rnd(struct worker *w)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return w->rng;
}

/* A number below @limit, from the upper half: the better bits of xorshift. */
static uint32_t rnd_below(struct worker *w, uint32_t limit)
{
    return (rnd(w) >> 32) * limit >> 32;
}

static uint32_t pick_page(struct worker *w)
{
    uint32_t page;

    switch (w->opt->pattern) {
    case RANDOM:
        return rnd_below(w, w->pages);
    case SEQUENTIAL:
        page = w->next;
        w->next = page + 1 < w->pages ? page + 1 : 0;
        return page;
    case HOTSET:
        if (rnd_below(w, 100) < w->opt->hot_writes) {
            return rnd_below(w, w->hot);
        }
        return rnd_below(w, w->pages);
    case ONEPAGE:
        return 0;
    }
    return 0;
}

static void write_some(struct worker *w, uint64_t count)
{
    uint64_t writes = w->writes;

    while (count--) {
        uint32_t page = pick_page(w);

        check_page(w, page);
        write_page(w, page, ++writes);
        __atomic_store_n(&w->writes, writes, __ATOMIC_RELAXED);
    }
}

/*
 * At a fixed rate: every millisecond as much as is due.  After a pause (the
 * machine was stopped, or starved) what was missed is dropped, as a real load
 * would have been delayed and not have doubled.
 */
static void write_paced(struct worker *w)
{
    const int64_t tick = NS_PER_SEC / 1000;
    const int64_t forgive = 20 * tick;
    int64_t start = now_ns(), next = start;
    uint64_t done = 0;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        int64_t now;
        uint64_t due;

        next += tick;
        sleep_until(next);
        now = now_ns();
        if (now - next > forgive) {
            start += now - next;
            next = now;
        }
        due = (uint64_t)((next - start) / 1000) * w->rate / 1000000;
        if (due > done) {
            write_some(w, due - done);
            done = due;
        }
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    if (w->opt->rate) {
        write_paced(w);
    } else {
        while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
            write_some(w, 64);
        }
    }
    return NULL;
}

static void start_worker(struct worker *w, const struct options *opt,
                         uint32_t id, long ncpus)
{
    size_t size = (size_t)opt->mib << 20;
    pthread_attr_t attr;
    cpu_set_t cpus;

    w->opt = opt;
    w->id = id;
    w->pages = size / PAGE;
    w->hot = w->pages * opt->hot_pages / 100;
    w->hot += !w->hot;
    /* Shares that add up to the rate, whatever the number of threads. */
    w->rate = opt->rate * (id + 1) / opt->threads -
              opt->rate * id / opt->threads;
    w->rng = (opt->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + id;
    w->rng += !w->rng;
    w->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->mem == MAP_FAILED) {
        die("mmap");
    }
    w->last = calloc(w->pages, sizeof(*w->last));
    if (!w->last) {
        die("calloc");
    }
    /* A first stamp everywhere, so that every page says whose it is. */
    for (uint32_t p = 0; p < w->pages; p++) {
        write_page(w, p, 0);
    }

    CPU_ZERO(&cpus);
    CPU_SET((opt->cpu + id) % ncpus, &cpus);
    pthread_attr_init(&attr);
    pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
    errno = pthread_create(&w->thread, &attr, work, w);
    if (errno) {
        die("pthread_create");
    }
}

static void report(struct worker *workers, const struct options *opt)
{
    const int64_t tick = opt->interval * (NS_PER_SEC / 1000);
    const struct sched_param prio = { .sched_priority = 1 };
    int64_t start = now_ns(), last = start, next = start;
    uint64_t last_total = 0;

    /* So that the load does not delay the lines; not root: then it may. */
    if (sched_setscheduler(0, SCHED_FIFO, &prio) && errno != EPERM) {
        die("sched_setscheduler");
    }
    while (!opt->seconds || last - start < (int64_t)opt->seconds * NS_PER_SEC) {
        uint64_t total = 0;
        int64_t now;

        next += tick;
        sleep_until(next);
        now = now_ns();
        if (now - next > tick) {
            next = now;
        }
        __atomic_store_n(&now_ms, now / 1000000, __ATOMIC_RELAXED);
        for (uint64_t i = 0; i < opt->threads; i++) {
            total += __atomic_load_n(&workers[i].writes, __ATOMIC_RELAXED);
        }
        printf("dirtyload t=%" PRId64 " w=%" PRIu64 " total=%" PRIu64 "\n",
               now / 1000000,
               (uint64_t)((double)(total - last_total) * 1e9 / (now - last)),
               total);
        last_total = total;
        last = now;
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
}

static void bad(const char *key, const char *value, const char *want)
{
    fprintf(stderr, "dirtyload: %s=%s: want %s\n", key, value, want);
    exit(2);
}

static uint64_t number(const char *key, const char *value,
                       uint64_t min, uint64_t max)
{
    char want[80], *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (errno || end == value || *end || *value == '-' || n < min || n > max) {
        snprintf(want, sizeof(want), "a number from %" PRIu64 " to %" PRIu64,
                 min, max);
        bad(key, value, want);
    }
    return n;
}

static enum pattern parse_pattern(const char *key, const char *value)
{
    for (size_t i = 0; i < COUNT(pattern_names); i++) {
        if (!strcmp(value, pattern_names[i])) {
            return i;
        }
    }
    bad(key, value, "random, sequential, hotset or onepage");
    return RANDOM;
}

static void parse(struct options *opt, char *spec)
{
    static const uint64_t any = UINT64_MAX;
    struct { const char *key; uint64_t *to, min, max; } keys[] = {
        { "threads", &opt->threads, 1, MAX_THREADS },
        { "mib", &opt->mib, 1, 1 << 20 },
        { "rate", &opt->rate, 0, 1000000000 },
        { "seed", &opt->seed, 0, any },
        { "hot-pages", &opt->hot_pages, 1, 100 },
        { "hot-writes", &opt->hot_writes, 0, 100 },
        { "interval", &opt->interval, 1, 60000 },
        { "seconds", &opt->seconds, 0, 1000000 },
        { "cpu", &opt->cpu, 0, 4095 },
    };
    char *save = NULL;

    for (char *item = strtok_r(spec, ",", &save); item;
         item = strtok_r(NULL, ",", &save)) {
        char *value = strchr(item, '=');
        size_t i;

        if (!value) {
            bad(item, "", "KEY=VALUE");
        }
        *value++ = '\0';
        if (!strcmp(item, "pattern")) {
            opt->pattern = parse_pattern(item, value);
            continue;
        }
        for (i = 0; i < COUNT(keys); i++) {
            if (!strcmp(item, keys[i].key)) {
                *keys[i].to = number(item, value, keys[i].min, keys[i].max);
                break;
            }
        }
        if (i == COUNT(keys)) {
            bad(item, value, "threads, mib, rate, pattern, seed, hot-pages, "
                "hot-writes, interval, seconds or cpu as the key");
        }
    }
}

int main(int argc, char **argv)
{
    struct options opt = {
        .threads = 1, .mib = 64, .seed = 1, .interval = 100,
        .hot_pages = 10, .hot_writes = 90,
    };
    struct worker *workers;
    long ncpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (argc > 2) {
        fprintf(stderr, "usage: dirtyload [KEY=VALUE,...]\n");
        return 2;
    }
    if (argc == 2) {
        parse(&opt, argv[1]);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    workers = aligned_alloc(128, opt.threads * sizeof(*workers));
    if (!workers) {
        die("aligned_alloc");
    }
    memset(workers, 0, opt.threads * sizeof(*workers));
    now_ms = now_ns() / 1000000;
    for (uint64_t i = 0; i < opt.threads; i++) {
        start_worker(&workers[i], &opt, i, ncpus);
    }
    printf("dirtyload ready threads=%" PRIu64 " mib=%" PRIu64 " rate=%" PRIu64
           " pattern=%s cpus=%ld\n", opt.threads, opt.mib, opt.rate,
           pattern_names[opt.pattern], ncpus);
    report(workers, &opt);
    for (uint64_t i = 0; i < opt.threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    return 0;
}
