# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers as people read them; what is not known is a dash."""

UNKNOWN = "-"
BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"),
          (1 << 10, "KiB"))


def count(n):
    """1234567 -> 1,234,567."""
    return UNKNOWN if n is None else f"{round(n):,}"


def short(n):
    """1234567 -> 1.23 M."""
    if n is None:
        return UNKNOWN
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= limit:
            return f"{n / limit:.3g} {unit}"
    return f"{n:.0f}"


def three(n):
    """Three digits that count, with thousands separators: 8.29, 143, 1,230."""
    if n >= 100:
        return f"{round(n):,}"
    return f"{n:.{1 if n >= 10 else 2}f}"


def size(n):
    """Bytes."""
    if n is None:
        return UNKNOWN
    for limit, unit in BINARY:
        if n >= limit:
            return f"{three(n / limit)} {unit}"
    return f"{n:.0f} bytes"


def seconds(s):
    """8.29 -> 8.29 s, 0.143 -> 143 ms, 0.00041 -> 410 µs."""
    if s is None:
        return UNKNOWN
    if s >= 0.9995:
        return f"{three(s)} s"
    if s >= 0.000999 or s == 0:
        ms = s * 1e3
        return f"{ms:.0f} ms" if ms >= 10 or s == 0 else f"{ms:.2g} ms"
    return f"{s * 1e6:.0f} µs"


def milliseconds(s):
    """As QEMU tells them, unless it is minutes: 8,290 ms, 312.5 s."""
    if s is None:
        return UNKNOWN
    return f"{round(s * 1000):,} ms" if s < 100 else f"{s:,.1f} s"


def percent(share):
    """0.0312 -> 3.1 %."""
    if share is None:
        return UNKNOWN
    return f"{share * 100:.{0 if share >= 0.1 or not share else 1}f} %"


def plural(n, noun, many=None):
    """1 pass, 3 passes."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"
