# SPDX-License-Identifier: GPL-2.0-or-later
"""Live migration between two QEMU processes on one host."""

import dataclasses
import os
import time

from .errors import LabError, Timeout, TooSoon
from . import patience, stats

OVER = ("completed", "failed", "cancelled")


@dataclasses.dataclass
class Options:
    bandwidth: int = 200            # MB/s; 0 is no limit
    downtime: int = 300             # ms
    timeout: float = 120
    # When the guest dirties faster than the link carries, QEMU goes round for
    # ever. After so many passes the pause may take as long as it needs.
    passes: int = 12
    capabilities: tuple = ()
    parameters: dict = dataclasses.field(default_factory=dict)
    scheme: str = "unix"


def held():
    """Options of a migration that goes on until it is released: too slow to
    come to an end by itself."""
    return Options(bandwidth=4, downtime=1, passes=1 << 30)


def release(src, options):
    """Let a held migration come to its end, however much the guest writes."""
    free = Options()
    configure(src, free)
    options.passes = free.passes


@dataclasses.dataclass
class Progress:
    """One look at a migration under way."""

    stage: str
    seconds: float
    remaining: int                  # bytes
    total: int
    sent: int
    dirty_rate: int                 # pages a second, QEMU's own estimate
    passes: int
    wps: int | None                 # the guest's last load line


@dataclasses.dataclass
class Result:
    total_ms: int = 0
    downtime_ms: int = 0
    setup_ms: int = 0
    sent: int = 0                   # bytes
    passes: int = 0
    again: int = 0                  # pages sent more than once
    forced: bool = False            # the downtime limit had to be lifted
    began: float = 0.0              # time.monotonic()
    ended: float = 0.0
    # Counters of the source during the migration.
    tracking: stats.Tracking | None = None


class MigrationFailed(LabError):
    pass


def configure(vm, options):
    if options.capabilities:
        vm.qmp.cmd("migrate-set-capabilities", {"capabilities": [
            {"capability": c, "state": True} for c in options.capabilities]})
    parameters = {
        "max-bandwidth": options.bandwidth * 1000000 or 1 << 40,
        "downtime-limit": options.downtime,
    }
    parameters.update(options.parameters)
    vm.qmp.cmd("migrate-set-parameters", parameters)


def listen(dst, options):
    """Have the destination wait for a stream; returns the address."""
    configure(dst, options)
    if os.path.exists(dst.migration_path):
        os.unlink(dst.migration_path)
    uri = f"{options.scheme}:{dst.migration_path}"
    dst.qmp.cmd("migrate-incoming", {"uri": uri})
    return uri


def look(src, began):
    info = src.qmp.cmd("query-migrate")
    ram = info.get("ram", {})
    sample = src.console.poll()
    return info, Progress(
        stage=info.get("status", "none"), seconds=time.monotonic() - began,
        remaining=ram.get("remaining", 0), total=ram.get("total", 0),
        sent=ram.get("transferred", 0),
        dirty_rate=ram.get("dirty-pages-rate", 0),
        passes=ram.get("dirty-sync-count", 0),
        wps=sample.wps if sample else None)


def _delta(before, after):
    def sub(x, y):
        return None if x is None or y is None else y - x
    return stats.Tracking(backend=after.backend,
                          ring_full=sub(before.ring_full, after.ring_full),
                          harvested=sub(before.harvested, after.harvested),
                          syncs=sub(before.syncs, after.syncs),
                          raw=after.raw)


def send(src, uri, options, progress=None, during=None, hint=lambda: ""):
    """Migrate to there, and wait for the end on the source's side.

    `progress` gets a Progress several times a second; `during` is called with
    the seconds elapsed and may talk to the machines while the stream runs.
    `hint` may know more of why it failed.
    """
    result = Result()
    configure(src, options)
    before = stats.tracking(src)
    src.console.poll()
    result.began = time.monotonic()
    src.qmp.cmd("migrate", {"uri": uri})
    while True:
        info, now = look(src, result.began)
        if progress:
            progress(now)
        if now.stage in OVER:
            break
        if now.passes > options.passes and not result.forced:
            result.forced = True
            src.qmp.cmd("migrate-set-parameters", {"downtime-limit": 600000})
        if now.seconds > patience.seconds(options.timeout):
            raise Timeout(f"migration still {now.stage} after "
                          f"{now.seconds:.0f} s, pass {now.passes}, "
                          f"{now.remaining >> 20} MiB remaining")
        if during:
            during(now.seconds)
        time.sleep(0.1)
    result.ended = time.monotonic()
    if info["status"] != "completed":
        raise MigrationFailed(f"migration {info['status']}: "
                              f"{info.get('error-desc', 'no reason given')}"
                              + hint())
    _check_summary(src)
    ram = info["ram"]
    result.total_ms = info["total-time"]
    result.downtime_ms = info["downtime"]
    result.setup_ms = info["setup-time"]
    result.sent = ram["transferred"]
    result.passes = ram["dirty-sync-count"]
    result.again = (ram["normal"] + ram["duplicate"]
                    - ram["total"] // ram["page-size"])
    result.tracking = _delta(before, stats.tracking(src))
    return result


def migrate(src, dst, options, progress=None, during=None):
    """Migrate from machine to machine and wait for the end on both sides; the
    destination stays stopped, for the oracle."""
    result = send(src, listen(dst, options), options, progress, during,
                  lambda: f"; destination said: {dst.stderr()[-400:]}")
    wait_destination(dst)
    return result


def receive(dst, uri, options):
    """Have the destination read a stream that is complete, to its end."""
    configure(dst, options)
    dst.qmp.cmd("migrate-incoming", {"uri": uri})
    wait_destination(dst)


def _check_summary(src):
    """The recount mends what it finds, so memory alone would not show it."""
    found = src.hidden_pages()
    if found:
        raise MigrationFailed("the source said: " + "; ".join(found[:4]))


def wait_destination(dst, timeout=30):
    end = time.monotonic() + patience.seconds(timeout)
    while True:
        info = dst.qmp.cmd("query-migrate")
        if info.get("status") == "completed" and dst.status() == "paused":
            return
        if info.get("status") == "failed":
            raise MigrationFailed("the destination failed: "
                                  f"{info.get('error-desc', '')} "
                                  f"{dst.stderr()[-400:]}")
        if time.monotonic() > end:
            raise Timeout(f"the destination is {dst.status()}, migration "
                          f"{info.get('status')}, {timeout} s after the "
                          "source had completed")
        time.sleep(0.05)


def start_and_lose(src, dst, options):
    """Start a migration and have the destination vanish while the source,
    stopped, sends its last pass; wait until it goes on. Returns the error it
    tells.

    That pass begins when little was sent yet, so that it takes a while.
    """
    configure(src, held())
    src.qmp.cmd("migrate", {"uri": listen(dst, options)})
    began = time.monotonic()
    while look(src, began)[1].passes < 1:
        time.sleep(0.02)
    src.qmp.drain_events()
    configure(src, dataclasses.replace(options, downtime=600000))
    src.qmp.wait_event("STOP", options.timeout)
    dst.proc.kill()
    src.qmp.wait_event("RESUME", options.timeout)
    info, last = look(src, began)
    if last.stage != "failed":
        raise LabError(f"with its destination gone the migration is "
                       f"{last.stage}")
    return info.get("error-desc", "")


def _start_and_reach(src, dst, options, passes):
    """Start a migration and wait until `passes` passes have begun; returns the
    last look and when it started.

    Towards the end of the first pass the link is made so slow that even a
    guest that hardly writes cannot be done before that.
    """
    configure(src, options)
    uri = listen(dst, options)
    began = time.monotonic()
    slow = False
    src.qmp.cmd("migrate", {"uri": uri})
    while True:
        _, now = look(src, began)
        if now.stage in OVER:
            raise TooSoon(f"migration {now.stage} before it was cancelled")
        if now.passes >= passes and now.stage == "active":
            return now, began
        if not slow and 0 < now.remaining < now.total // 4:
            slow = True
            configure(src, dataclasses.replace(held(), bandwidth=16))
        if now.seconds > patience.seconds(options.timeout):
            raise Timeout(f"no pass {passes} in {now.seconds:.0f} s")
        time.sleep(0.02)


def _wait_end(src, began, options, stage):
    """Wait until the migration has ended in that way."""
    while True:
        _, last = look(src, began)
        if last.stage == stage:
            _check_summary(src)
            return
        if last.stage == "completed":
            raise TooSoon("migration completed all the same")
        if last.stage in OVER or \
                last.seconds > patience.seconds(options.timeout):
            raise LabError(f"the migration is {last.stage}, not {stage}, after "
                           f"{last.seconds:.0f} s")
        time.sleep(0.05)


def start_and_cancel(src, dst, options, passes=2):
    """Start a migration, cancel it once `passes` passes have begun, and wait
    until the source is its own again. Returns the last look before that."""
    now, began = _start_and_reach(src, dst, options, passes)
    src.qmp.cmd("migrate_cancel")
    _wait_end(src, began, options, "cancelled")
    return now


def start_and_break(src, dst, options, breaks, passes=1):
    """The same, but `breaks` is called, which makes the migration fail."""
    now, began = _start_and_reach(src, dst, options, passes)
    breaks()
    _wait_end(src, began, options, "failed")
    return now
