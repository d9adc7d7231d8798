# SPDX-License-Identifier: GPL-2.0-or-later
"""One scrape of a running QEMU, as Prometheus reads it.

Base units are seconds, bytes and shares of 1; counters end in _total.
"""

from .look import MICRO, MILLI, dig
from .recorder import COMMAND, guest_name

PREFIX = "qemu_dirty_tracking_"
CLIENTS = ("migration", "dirty-rate", "dirty-limit")
VERDICTS = ("unknown", "converges", "uncertain", "diverges")
STATES = ("none", "setup", "active", "device", "pre-switchover",
          "postcopy-active", "postcopy-paused", "postcopy-recover-setup",
          "postcopy-recover", "wait-unplug", "cancelling", "cancelled",
          "failed", "completed")


def quote(value):
    """A label's value."""
    return (str(value).replace("\\", "\\\\").replace('"', '\\"')
            .replace("\n", "\\n"))


def number(value):
    value = float(value)
    return str(int(value)) if value.is_integer() else repr(value)


class Exposition:
    """Metrics in order; `common` are labels of all of them."""

    def __init__(self, **common):
        self.common = common
        self._lines = []
        self._last = None

    def add(self, name, kind, text, value, **labels):
        """One sample; those of one metric must follow each other.  What is
        not known is left out."""
        if value is None:
            return
        name = PREFIX + name
        if name != self._last:
            self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            self._last = name
        pairs = ",".join(f'{key}="{quote(v)}"'
                         for key, v in {**self.common, **labels}.items())
        self._lines.append(f"{name}{{{pairs}}} {number(value)}")

    def gauge(self, name, text, value, **labels):
        self.add(name, "gauge", text, value, **labels)

    def counter(self, name, text, value, **labels):
        self.add(name + "_total", "counter", text, value, **labels)

    def choice(self, name, text, label, chosen, of):
        """One of several states: 1 for it, 0 for the others."""
        for state in dict.fromkeys(of + (chosen,)):
            self.gauge(name, text, state == chosen, **{label: state})

    def text(self):
        return "\n".join(self._lines) + "\n"


def scaled(value, factor):
    """In base units, without the noise of binary fractions."""
    return None if value is None else round(value * factor, 9)


def general(out, told):
    kvm = told.get("kvm", {})
    out.gauge("info", "How dirty pages are tracked, in labels; always 1.", 1,
              accelerator=told["accelerator"], backend=kvm.get("backend", ""),
              mode=kvm.get("mode", ""), reason=kvm.get("reason", ""))
    out.gauge("fallback", "Whether something else was asked for.",
              kvm.get("fallback"))
    for client in CLIENTS:
        out.gauge("logging", "Who wants to know of dirty pages now.",
                  client in told["logging"], client=client)
    out.gauge("page_size_bytes", "Size of a page of the guest.",
              told["page-size"])
    for window in ("1s", "10s"):
        out.gauge("dirty_bytes_per_second", "Memory that becomes dirty, "
                  "average over the window.",
                  told["rate"][f"bytes-{window}"], window=window)


def syncs(out, sync):
    out.counter("syncs", "Dirty log syncs of migrations.", sync["count"])
    for name, key, text in (
            ("sync", "time", "How long dirty log syncs take."),
            ("sync_lock_hold", "locked",
             "How long dirty log syncs hold the big lock.")):
        for which in ("last", "mean", "max"):
            out.gauge(f"{name}_seconds", text,
                      scaled(sync[f"{key}-{which}"], MICRO), statistic=which)
    out.gauge("sync_found_pages", "Pages the last sync found dirty.",
              sync["pages-last"])


def kvm(out, told):
    out.counter("published_pages", "Dirty pages handed to migration and other "
                "readers.", told["published-pages"])
    out.gauge("late_slots", "Parts of memory that migration has not begun to "
              "send and that are not logged yet.", told["late-slots"])
    for name, info in told["ioctls"].items():
        out.counter("ioctls", "Calls of KVM.", info["count"], ioctl=name)
    for name, info in told["ioctls"].items():
        out.counter("ioctl_seconds", "Time spent in calls of KVM.",
                    scaled(info["time"], MICRO), ioctl=name)


# Of the rings: key, name, what it is.
RING_COUNTERS = (
    ("harvested-pages", "ring_harvested_pages", "Entries taken off the rings."),
    ("overflowed-pages", "ring_overflowed_pages",
     "Pages that found no room in a ring."),
    ("overflow-fetches", "ring_overflow_fetches",
     "Times bitmaps were fetched because of that."),
    ("resets", "ring_resets", "Calls of KVM_RESET_DIRTY_RINGS."),
    ("short-resets", "ring_short_resets",
     "Resets that did not handle all entries."),
    ("reprotections", "ring_reprotections",
     "Times all logged memory was protected again."),
    ("stray-entries", "ring_stray_entries",
     "Entries that named a page that does not exist."))
REAPER_COUNTERS = (
    ("wakeups", "Times the reaper woke up."),
    ("harvests", "Times it harvested of its own accord."),
    ("misses", "Rings that were full although it was at work."),
    ("delays", "Times it put off its work."))
# Of each vCPU: key, name, kind, factor, what it is.
VCPU = (
    ("occupancy", "ring_entries", "gauge", 1, "Entries that wait in the ring."),
    ("high-water", "ring_high_water_entries", "gauge", 1,
     "The most entries seen since dirty logging started."),
    ("harvested-pages", "vcpu_harvested_pages_total", "counter", 1,
     "Entries taken off the vCPU's ring."),
    ("full-exits", "ring_full_exits_total", "counter", 1,
     "Times the vCPU stopped because its ring was full."),
    ("full-time", "ring_full_seconds_total", "counter", MICRO,
     "Time the vCPU stood still because its ring was full."))


def ring(out, told):
    out.gauge("ring_size_entries", "Entries of each vCPU's ring.", told["size"])
    for key, name, text in RING_COUNTERS:
        out.counter(name, text, told[key])
    out.counter("ring_harvest_seconds", "Time spent harvesting, without "
                "resets.", scaled(told["harvest-time"], MICRO))
    for key, text in REAPER_COUNTERS:
        out.counter(f"reaper_{key}", text, told["reaper"][key])
    out.gauge("reaper_cpu_ratio", "Share of a CPU the reaper used in the last "
              "second.", scaled(told["reaper"]["cpu-share"], 1e-3))
    for key, name, kind, factor, text in VCPU:
        for vcpu in told["vcpus"]:
            out.add(name, kind, text, scaled(vcpu[key], factor),
                    vcpu=vcpu["cpu-index"])
    for vcpu in told["vcpus"]:
        for window in ("1s", "10s"):
            out.gauge("vcpu_dirty_bytes_per_second",
                      "Memory the vCPU makes dirty, average over the window.",
                      vcpu["rate"][f"bytes-{window}"], window=window,
                      vcpu=vcpu["cpu-index"])


def forecast(out, told, page_size):
    out.choice("forecast_verdict", "Whether the migration will converge.",
               "verdict", told["verdict"], VERDICTS)
    for what in ("total", "downtime"):
        for which in ("least", "likely", "most"):
            out.gauge(f"forecast_{what}_seconds", "What the migration's "
                      f"{what} time will be.",
                      scaled(told[what].get(which), MILLI), estimate=which)
    out.gauge("forecast_throughput_bytes_per_second",
              "RAM the migration sends.", told["throughput"])
    out.gauge("forecast_working_set_bytes", "Memory the guest writes to again "
              "and again.", told["working-set"] * page_size)
    out.gauge("forecast_write_bytes_per_second", "Memory the guest would make "
              "dirty if each write went to another page.",
              told["write-rate"] * page_size)
    out.gauge("forecast_needed_downtime_limit_seconds",
              "The downtime limit with which it would converge.",
              scaled(told.get("needed-downtime-limit"), MILLI))
    out.gauge("forecast_needed_throttle_ratio", "How much vCPUs would have to "
              "be slowed down instead.",
              scaled(told.get("needed-throttle"), 0.01))


def migration(out, told):
    out.choice("migration_status", "State of the outgoing migration.",
               "status", told.get("status", "none"), STATES)
    ram = told.get("ram", {})
    for key in ("total", "remaining", "transferred"):
        out.gauge(f"migration_ram_{key}_bytes", f"query-migrate's {key} of "
                  "RAM.", ram.get(key))
    out.gauge("migration_passes", "Passes over memory that have begun.",
              ram.get("dirty-sync-count"))
    out.gauge("migration_elapsed_seconds", "Time since the migration began, "
              "or that it took.", scaled(told.get("total-time"), MILLI))
    out.gauge("migration_downtime_seconds", "How long the guest stood still.",
              scaled(told.get("downtime"), MILLI))


def scrape(monitor):
    """(text, whether QEMU has our command)."""
    supported = monitor.has(COMMAND)
    out = Exposition(guest=guest_name(monitor))
    out.gauge("supported", "Whether this QEMU tells of dirty tracking.",
              supported)
    if supported:
        told = monitor.cmd(COMMAND)
        general(out, told)
        syncs(out, told["sync"])
        if "kvm" in told:
            kvm(out, told["kvm"])
        if dig(told, "kvm", "ring"):
            ring(out, told["kvm"]["ring"])
        if "forecast" in told:
            forecast(out, told["forecast"], told["page-size"])
    migration(out, monitor.cmd("query-migrate"))
    return out.text(), supported
