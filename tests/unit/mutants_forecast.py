# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to break the forecast, and what is told of rings, that the unit tests
have to notice.

As in mutants.py.
"""

SOURCES = ['migration/dirty-forecast', 'util/dirty-history',
           'accel/kvm/dirty/stats/vcpu']
SUPPORT = []

FORECAST = ('test-dirty-forecast', 'plain', None)
HISTORY = ('test-dirty-history', 'plain', None)

F = 'migration/dirty-forecast.c'
H = 'util/dirty-history.c'
V = 'accel/kvm/dirty/stats/vcpu.c'

CHANCES = {}

MUTANTS = [
    # name, tests that all have to fail, edits

    # Model
    ('no-saturation', [FORECAST], [
        (F, '-expm1(-p->rate * (since + seconds) / p->set)',
         'fmin(p->rate * (since + seconds) / p->set, 1)')]),
    ('since-forgotten', [FORECAST], [
        (F, '    double since = in->since_sync;\n', '    double since = 1;\n')]),
    ('unsent-written-twice', [FORECAST], [
        (F, 'fmax(p->set - left, 0)', 'p->set')]),
    ('downtime-not-counted', [FORECAST], [
        (F, 'return (Outcome) { now + downtime, downtime };',
         'return (Outcome) { now - downtime, downtime };')]),
    ('rate-wrong', [FORECAST], [
        (F, '    return -log1p(-fmin(share, ALL)) * set / seen->seconds;',
         '    return seen->pages / seen->seconds;')]),
    ('first-pass-logged-whole', [FORECAST], [
        (F, 'observe(o, pass->seconds * FIRST_LOGGED, 0, pass->found,\n'
            '                    ERROR_FIRST',
         'observe(o, pass->seconds * 50, 0, pass->found,\n'
         '                    ERROR_FIRST')]),
    ('no-harvests', [FORECAST], [
        (F, '    observe(o, in->harvest_seconds, 0, in->harvest_pages, '
            'ERROR_PASS);\n', '')]),
    # What may be
    ('one-fit-only', [FORECAST], [
        (F, 'best + POSSIBLE', 'best - 1')]),
    ('no-worse-luck', [FORECAST], [
        (F, '    bad.rate *= at_least ? MUCH_MORE : 1 + RATE_MARGIN;\n'
            '    set_speed(in, &bad, in->slow);\n    bad.step = STEP_LEAST;\n', '')]),
    ('always-certain', [FORECAST], [
        (F, '    result->certain = isfinite(result->total.most) || never;',
         '    result->certain = true;')]),
    ('never-said-of-all', [FORECAST], [
        (F, 'in->stuck >= NEVER_PASSES', 'in->stuck > 1000')]),
    ('stuck-for-ever', [FORECAST], [
        (F, 'in->stuck + 1\n'
            '                                                            : 0;',
         'in->stuck + 1 : in->stuck;')]),
    ('switchover-forgotten', [FORECAST], [
        (F, 'double room = p->limit * p->switchover;',
         'double room = p->limit * p->throughput;')]),
    ('needs-too-little', [FORECAST], [
        (F, '    return high;\n}\n\nstatic double find_throttle',
         '    return high / 2;\n}\n\nstatic double find_throttle')]),
    ('throttle-too-weak', [FORECAST], [
        (F, '        p.rate = rate * (1 - middle);',
         '        p.rate = rate * (1 - middle) / 3;')]),
    # Passes
    ('passes-not-merged', [FORECAST], [
        (F, 'pass->seconds < last->seconds * 1.25', 'false')]),
    ('first-pass-merged', [FORECAST], [
        (F, 'last && !last->first &&', 'last &&'),
        (F, 'pass->seconds > last->seconds * 0.8', 'true')]),
    ('oldest-kept', [FORECAST], [
        (F, 'memmove(in->passes, in->passes + 1,',
         'memmove(in->passes, in->passes,')]),

    # History
    ('span-not-reached', [HISTORY], [
        (H, '.when >= span) {', '.when >= span / 2) {')]),
    ('every-look-kept', [HISTORY], [
        (H, '>= DIRTY_HISTORY_STEP', '>= 0')]),
    ('forgets-nothing', [HISTORY], [(H, '    h->used = 0;\n', '')]),
    ('too-short', [HISTORY], [(H, 'took < SHORTEST', 'took < 1')]),
    ('starts-by-itself', [HISTORY], [
        (H, 'if (h->used && now', 'if (!h->used || now')]),

    # Rings
    ('high-water-kept', [HISTORY], [
        (V, '    stats->high_water = fill;\n', '')]),
    ('span-kept', [HISTORY], [
        (V, '    stats->harvested_at = 0;\n', '')]),
    ('limit-told', [HISTORY], [
        (V, '.often = !meant && is', '.often = is')]),
    ('harvest-below-water', [HISTORY], [
        (V, '    stats->high_water = MAX(stats->high_water, count);\n', '')]),
    ('harvested-forgotten', [HISTORY], [
        (V, '    stats->harvested += count;\n', '')]),
    ('full-told-at-once', [HISTORY], [
        (V, '    if (now - stats->full_from < FULL_OFTEN ||\n        (',
         '    if ((')]),
    ('full-told-always', [HISTORY], [
        (V, 'now - stats->told < TELL_AGAIN', 'false')]),
    ('quiet-not-seen', [HISTORY], [
        (V, '!stats->full_last || since', '!stats->full_last && since')]),
]
