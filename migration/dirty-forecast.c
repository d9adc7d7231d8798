/*
 * Will a migration's pre-copy come to its end, and when
 *
 * Copyright (c) 2026 The qemu-dirtytrack authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model.  A guest writes at random to W pages, its working set, @rate
 * times a second.  In t seconds it makes
 *
 *     written(t) = W * (1 - exp(-rate * t / W))
 *
 * different pages dirty: rate * t of them for small t, and never more than W.
 * Both are unknown.  What is known is how many pages were found dirty after
 * passes, and harvests of rings, of different length.  For a given W each such
 * observation yields a rate; the W for which they agree best is taken as
 * likely, and all for which they do not disagree much more are possible.
 *
 * Pre-copy is then played to its end: pages are sent until no more are left
 * than can be sent within the downtime limit, a sync finds those that were
 * written meanwhile, and so on.  With the likely numbers that yields what is
 * likely; with each possible W, and rate and throughput at the ends of their
 * own ranges, the least and the most.
 *
 * When W fits into what may be left the end always comes.  Otherwise it comes
 * if pages become dirty more slowly than they are sent; the nearer the two are,
 * the longer it takes, and the less certain it is.
 *
 * Cost: some 10,000 exp() a forecast; 100,000 where guest and sender are about
 * equally fast, so that an end is long in coming.
 */

#include "qemu/osdep.h"
#include <math.h>
#include "dirty-forecast.h"

/* Working sets that are tried, from the least possible to all of memory */
#define SETS 32

/* An observation of this share of a working set says no more than "all". */
#define ALL 0.98

/*
 * Pages of the first pass were logged for between none and all of its time: for
 * half of it on average.  But once all are logged a guest that writes fast is
 * slower than it was then, which evens that out.
 */
#define FIRST_LOGGED 1.0

/*
 * How far off an observed rate may be, as a factor's logarithm: of the first
 * pass little is known, see above; guests change, so old passes count less; a
 * very short one has seen little of the guest.
 */
#define ERROR_FIRST 0.7
#define ERROR_PASS 0.2
#define ERROR_AGE 0.15
#define ERROR_SHORT 0.4
#define SHORT 0.02

/* Sums of squared errors, in units of the above, that are still possible */
#define POSSIBLE 2.0

/* What the guest may do more or less than it did */
#define RATE_MARGIN 0.2
#define MUCH_MORE 1000

/*
 * To say "never" is grave: not unless some passes in a row have left as much to
 * be sent as before, and a guest that writes less would see no end, either.
 */
#define NEVER_RATE 0.9
#define NEVER_PASSES 4
#define NO_FEWER 0.95

/*
 * Between two looks at what is left, QEMU sends for up to a tenth of a second:
 * usually half, and the less the later the end comes.
 */
#define STEP_LEAST 0.02
#define STEP_LIKELY 0.05
#define STEP_MOST 0.1

#define PASSES_MAX 2000

typedef struct Observation {
    double seconds;
    double unsent;
    double pages;
    double error;
} Observation;

typedef struct Observations {
    Observation seen[DIRTY_FORECAST_PASSES + 1];
    unsigned count;
    double most;                /* pages that any of them has found */
} Observations;

/* A guest, and a sender. */
typedef struct Play {
    double rate;
    double set;
    double throughput;
    double switchover;
    double limit;
    double step;
} Play;

typedef struct Outcome {
    double total;
    double downtime;
} Outcome;

typedef struct Fit {
    double rate;
    double error;
    bool at_least;              /* no observation says how much more */
} Fit;

/* A pass like the last one tells more about that, not more passes. */
void dirty_forecast_add_pass(DirtyForecastInput *in,
                             const DirtyForecastPass *pass)
{
    DirtyForecastPass *last = in->used ? &in->passes[in->used - 1] : NULL;
    double left = pass->unsent + pass->found;

    in->count++;
    in->stuck = in->count > 1 && left > in->left * NO_FEWER ? in->stuck + 1
                                                            : 0;
    in->left = left;
    if (last && !last->first && pass->seconds < last->seconds * 1.25 &&
        pass->seconds > last->seconds * 0.8) {
        last->seconds = (last->seconds + pass->seconds) / 2;
        last->unsent = (last->unsent + pass->unsent) / 2;
        last->found = (last->found + pass->found) / 2;
        return;
    }
    if (in->used == DIRTY_FORECAST_PASSES) {
        memmove(in->passes, in->passes + 1,
                sizeof(*pass) * (DIRTY_FORECAST_PASSES - 1));
        in->used--;
    }
    in->passes[in->used++] = *pass;
}

static void observe(Observations *o, double seconds, double unsent,
                    double pages, double error)
{
    if (seconds > 0 && pages >= 1) {
        o->seen[o->count++] = (Observation) {
            .seconds = seconds,
            .unsent = unsent,
            .pages = pages,
            .error = hypot(error, 1 / sqrt(pages)) +
                     (seconds < SHORT ? ERROR_SHORT : 0),
        };
        o->most = fmax(o->most, pages);
    }
}

static void collect(const DirtyForecastInput *in, Observations *o)
{
    o->count = 0;
    o->most = 0;
    for (unsigned i = 0; i < in->used; i++) {
        const DirtyForecastPass *pass = &in->passes[i];
        unsigned age = in->used - 1 - i;

        if (pass->first) {
            observe(o, pass->seconds * FIRST_LOGGED, 0, pass->found,
                    ERROR_FIRST + ERROR_AGE * age);
        } else {
            observe(o, pass->seconds, pass->unsent, pass->found,
                    ERROR_PASS + ERROR_AGE * age);
        }
    }
    observe(o, in->harvest_seconds, 0, in->harvest_pages, ERROR_PASS);
}

/*
 * How many pages of a working set were written, if so many were found that
 * were not going to be sent anyway.
 */
static double written(const Observation *seen, double set)
{
    return seen->pages / (1 - fmin(seen->unsent / set, 0.9));
}

/* The rate that makes a guest with that working set write so many pages. */
static double rate_of(const Observation *seen, double set, bool *at_least)
{
    double share = written(seen, set) / set;

    *at_least = share >= ALL;
    return -log1p(-fmin(share, ALL)) * set / seen->seconds;
}

/* The rate on which observations agree best, and how well they do. */
static Fit fit(const Observations *o, double set)
{
    double logs[G_N_ELEMENTS(o->seen)], sum = 0, weights = 0;
    bool at_least[G_N_ELEMENTS(o->seen)];
    Fit found = { .at_least = true };

    for (unsigned i = 0; i < o->count; i++) {
        const Observation *seen = &o->seen[i];
        double weight = 1 / (seen->error * seen->error);

        logs[i] = log(rate_of(seen, set, &at_least[i]));
        sum += weight * logs[i];
        weights += weight;
    }
    found.rate = exp(sum / weights);
    for (unsigned i = 0; i < o->count; i++) {
        double off = (sum / weights - logs[i]) / o->seen[i].error;

        if (off < 0 || !at_least[i]) {
            found.error += off * off;
        }
        found.at_least &= at_least[i];
    }
    return found;
}

static void set_speed(const DirtyForecastInput *in, Play *p, double throughput)
{
    p->throughput = throughput;
    p->switchover = in->switchover;
    if (!in->switchover_fixed) {
        p->switchover *= throughput / in->throughput;
    }
}

/* Send what @in says is left, and on to the end. */
static Outcome play(const DirtyForecastInput *in, const Play *p)
{
    double room = p->limit * p->switchover;
    double remaining = in->remaining;
    double since = in->since_sync;
    double now = in->elapsed;

    for (int i = 0; i < PASSES_MAX; i++) {
        double send = fmin(fmax(remaining - room, 0) + p->step * p->throughput,
                           remaining);
        double seconds = send / p->throughput;
        double left = remaining - send;
        double fresh = fmax(p->set - left, 0) *
                       -expm1(-p->rate * (since + seconds) / p->set);
        double next = left + fresh;

        now += seconds;
        since = 0;
        if (next <= room) {
            double downtime = next / p->throughput;

            return (Outcome) { now + downtime, downtime };
        }
        if (i && fabs(next - remaining) < remaining * 0.000001) {
            break;
        }
        remaining = next;
    }
    return (Outcome) { INFINITY, INFINITY };
}

static void widen(DirtyForecastSpan *range, double value)
{
    range->least = fmin(range->least, value);
    range->most = fmax(range->most, value);
}

static void play_range(const DirtyForecastInput *in, const Play *likely,
                       bool at_least, DirtyForecastResult *result)
{
    Play good = *likely, bad = *likely;
    Outcome end;

    good.rate *= 1 - RATE_MARGIN;
    set_speed(in, &good, in->fast);
    good.step = STEP_MOST;
    end = play(in, &good);
    widen(&result->total, end.total);
    widen(&result->downtime, end.downtime);

    bad.rate *= at_least ? MUCH_MORE : 1 + RATE_MARGIN;
    set_speed(in, &bad, in->slow);
    bad.step = STEP_LEAST;
    end = play(in, &bad);
    widen(&result->total, end.total);
    widen(&result->downtime, end.downtime);
}

static bool ends(const DirtyForecastInput *in, const Play *p)
{
    return isfinite(play(in, p).total);
}

static bool may_end(const DirtyForecastInput *in, Play p)
{
    p.rate *= NEVER_RATE;
    p.step = STEP_MOST;
    return ends(in, &p);
}

/* The least limit that also does for less luck. */
static double find_limit(const DirtyForecastInput *in, Play p)
{
    double low = p.limit, high;

    set_speed(in, &p, in->slow);
    p.step = STEP_LEAST;
    high = in->memory / MIN(p.throughput, p.switchover);
    p.limit = high;
    if (!ends(in, &p)) {
        return INFINITY;
    }
    for (int i = 0; i < 20; i++) {
        p.limit = (low + high) / 2;
        if (ends(in, &p)) {
            high = p.limit;
        } else {
            low = p.limit;
        }
    }
    return high;
}

static double find_throttle(const DirtyForecastInput *in, Play p)
{
    double low = 0, high = 1, rate = p.rate;

    set_speed(in, &p, in->slow);
    p.step = STEP_LEAST;
    for (int i = 0; i < 10; i++) {
        double middle = (low + high) / 2;

        p.rate = rate * (1 - middle);
        if (ends(in, &p)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return high;
}

static double set_size(double least, double most, unsigned i)
{
    return least * pow(most / least, (double)i / (SETS - 1));
}

/*
 * Of working sets that fit equally well, which happens when little was
 * observed, the one in the middle.
 */
static unsigned choose(const Fit *fits, double best)
{
    unsigned first = SETS, last = 0;

    for (unsigned i = 0; i < SETS; i++) {
        if (fits[i].error <= best + 0.1) {
            first = MIN(first, i);
            last = i;
        }
    }
    return (first + last) / 2;
}

static void play_likely(const DirtyForecastInput *in, const Play *p,
                        DirtyForecastResult *result)
{
    Outcome end = play(in, p);

    result->write_rate = p->rate;
    result->working_set = p->set;
    result->total = (DirtyForecastSpan) { end.total, end.total, end.total };
    result->downtime =
        (DirtyForecastSpan) { end.downtime, end.downtime, end.downtime };
}

/*
 * Different guests explain what was seen: what is needed must do for the first
 * and the last that are possible.
 */
static void find_needs(const DirtyForecastInput *in, const Play *p,
                       DirtyForecastResult *result)
{
    result->needed_limit = fmax(result->needed_limit, find_limit(in, *p));
    result->needed_throttle = fmax(result->needed_throttle,
                                   find_throttle(in, *p));
}

/* Nothing was written that is not going to be sent anyway. */
static bool forecast_idle(const DirtyForecastInput *in,
                          DirtyForecastResult *result)
{
    double left = fmin(in->remaining, in->limit * in->switchover);

    *result = (DirtyForecastResult) {
        .total = { in->elapsed + in->remaining / in->fast,
                   in->elapsed + in->remaining / in->throughput,
                   in->elapsed + in->remaining / in->slow },
        .downtime = { 0, left / in->throughput, left / in->slow },
        .certain = true,
    };
    return true;
}

/* Each working set with what explains best what was seen; which are likely. */
typedef struct Fits {
    double least, most;         /* the first and the last working set */
    Fit fits[SETS];
    double best;
} Fits;

static void fit_all(const DirtyForecastInput *in, const Observations *o,
                    Fits *f)
{
    f->least = o->most;
    f->most = fmax(in->memory, f->least * 1.01);
    f->best = INFINITY;
    for (unsigned i = 0; i < SETS; i++) {
        f->fits[i] = fit(o, set_size(f->least, f->most, i));
        f->best = fmin(f->best, f->fits[i].error);
    }
}

static void set_guest(const Fits *f, unsigned i, Play *p)
{
    p->set = set_size(f->least, f->most, i);
    p->rate = f->fits[i].rate;
}

/*
 * Play all that is possible.  Returns whether it is certain that there is no
 * end.
 */
static bool play_possible(const DirtyForecastInput *in, const Fits *f, Play *p,
                          DirtyForecastResult *result)
{
    bool endless = !isfinite(result->total.likely);
    bool never = endless && in->stuck >= NEVER_PASSES;
    int first = -1, last = -1;

    for (unsigned i = 0; i < SETS; i++) {
        if (f->fits[i].error <= f->best + POSSIBLE) {
            set_guest(f, i, p);
            play_range(in, p, f->fits[i].at_least, result);
            never = never && !may_end(in, *p);
            first = first < 0 ? i : first;
            last = i;
        }
    }
    if (endless && first >= 0) {
        set_guest(f, first, p);
        find_needs(in, p, result);
        set_guest(f, last, p);
        find_needs(in, p, result);
    }
    return never;
}

bool dirty_forecast(const DirtyForecastInput *in, DirtyForecastResult *result)
{
    Play p = { .limit = in->limit, .step = STEP_LIKELY };
    Observations o;
    bool never;
    Fits f;

    if (!in->count || in->slow <= 0 || in->switchover <= 0) {
        return false;
    }
    collect(in, &o);
    if (!o.count) {
        return forecast_idle(in, result);
    }
    set_speed(in, &p, in->throughput);
    fit_all(in, &o, &f);
    set_guest(&f, choose(f.fits, f.best), &p);

    *result = (DirtyForecastResult) {};
    play_likely(in, &p, result);
    never = play_possible(in, &f, &p, result);
    result->certain = isfinite(result->total.most) || never;
    return true;
}
