#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""migration-report records: whole migrations, ones that go wrong, and QEMUs
that do.  A made-up QMP monitor stands for QEMU."""

import os
import pty
import signal
import subprocess
import sys
import tempfile
import time

import kit
from kit import check, near

from fake import Fake
from simulated import PAGE, Migration, Plan

from dirtylab.qmp import Qmp as LabQmp
from dirtylab.errors import LabError
from migration_report import model
from migration_report.derive import Story
from migration_report.errors import Gone
from migration_report.qmp import Qmp
from migration_report.recorder import MOST, Recorder

# Two looks, and a loaded machine's hiccups.
SLACK = 0.6


def record(fake, before=0.3, interval=0.05, **options):
    """A recording of what `fake` does, from a little before."""
    recorder = Recorder(fake.path, interval=interval, **options)
    recorder.start()
    time.sleep(before)
    fake.begin()
    recorder.wait(30)
    return recorder.stop()


def whole(tap):
    plan = Plan(stall=0.02)
    with Fake(plan) as fake:
        fake.print_load()
        recording = record(fake, load=fake.console, title="t")
    story, sim = Story(recording), fake.migration
    check(tap, story.outcome, "completed", "it ended")
    check(tap, recording.data["end"], "over", "so did the recording, by itself")
    check(tap, round(story.total * 1000), round(sim.total * 1000), "total")
    check(tap, round(story.downtime * 1000), round(sim.downtime * 1000),
          "downtime")
    check(tap, story.pass_count, sim.passes, "passes")
    check(tap, story.final_ram("transferred"), sim.sent, "bytes sent")
    check(tap, story.gained("sync", "count"), sim.passes,
          "syncs, without those of an earlier migration")
    check(tap, sum(s.count for s in story.syncs), sim.passes,
          "and all were seen")
    check(tap, round(story.longest_lock * 1e6), 200 + 40 * sim.passes,
          "the longest lock hold is this migration's")
    check(tap, len(story.vcpus), plan.vcpus, "vCPUs")
    near(tap, story.stalled, 0.02 * sim.total, 0.004, "time stood still")
    check(tap, story.gained("kvm", "ring", "full-exits"),
          round(0.02 * sim.total * 400), "ring-full exits")
    check(tap, story.typical_dirty, plan.dirty, "dirty rate")
    near(tap, story.typical_link, plan.link, 1, "the link's rate")
    check(tap, story.backend, "ring", "backend")
    near(tap, story.writes(0.2, story.pause[0]), 3 * plan.dirty,
         0.35 * plan.dirty, "the guest's writes")
    tap.ok(story.load[0][0] < 0, "they were recorded before it began",
           str(story.load[:1]))
    near(tap, story.pause[0], sim.stopped, 0.02, "the pause begins")
    stops = [e["t"] for e in story.events if e["event"] == "STOP"]
    near(tap, stops[0], sim.stopped, 0.3, "and so does the event say")
    first = story.first_forecast
    near(tap, first[0], story.passes[1][0], SLACK,
         "the first forecast comes with the second pass")
    check(tap, first[1]["total"]["likely"], round(sim.total * 1000),
          "and is the one that was told")


def waits(tap):
    """What is over before the recording begins is not its business."""
    earlier = {"status": "completed", "total-time": 77777, "downtime": 7,
               "ram": {"total": PAGE, "remaining": 0, "transferred": 7 * PAGE,
                       "dirty-sync-count": 7, "page-size": PAGE, "mbps": 1}}
    with Fake(Plan(pages=8192), earlier=earlier) as fake:
        recorder = Recorder(fake.path, interval=0.05)
        recorder.start()
        tap.ok(not recorder.wait(0.5) and not recorder.began,
               "an earlier migration is not taken for this one")
        fake.begin()
        recorder.wait(30)
        story = Story(recorder.stop())
    check(tap, round(story.total * 1000), round(fake.migration.total * 1000),
          "the next one is recorded")


def under_way(tap):
    with Fake() as fake:
        fake.begin()
        time.sleep(0.6)
        recorder = Recorder(fake.path, interval=0.05)
        recorder.start()
        tap.ok(recorder.began, "it knows at once")
        recorder.wait(30)
        story = Story(recorder.stop())
    near(tap, story.looks[0].t, 0.6, SLACK, "times are the migration's own")
    check(tap, round(story.total * 1000), round(fake.migration.total * 1000),
          "its total is told")


def endings(tap):
    for outcome in ("failed", "cancelled"):
        with Fake(Plan(outcome=outcome, ends=0.9)) as fake:
            story = Story(record(fake))
        check(tap, story.outcome, outcome, f"{outcome}")
        near(tap, story.total, 0.9, SLACK, f"{outcome}: when")
        tap.ok(story.final_ram("transferred") > 0
               and story.downtime is None,
               f"{outcome}: what was sent is kept, no downtime is made up")
    check(tap, Story(record_of("failed")).error,
          "Unable to write to socket: Broken pipe", "QEMU's reason is kept")
    with Fake(Plan(dirty=30000, postcopy=True, ends=1.6)) as fake:
        story = Story(record(fake))
    check(tap, story.outcome, "completed", "post-copy completes")
    near(tap, story.postcopy, 1.6, SLACK, "when it began")
    near(tap, story.pause[1] - story.pause[0], 0.05, 0.001,
         "its pause is as long as the downtime")
    tap.ok(story.pause[1] < story.total - 0.05, "and not at the end",
           f"{story.pause} of {story.total}")


def record_of(outcome):
    return Migration(Plan(outcome=outcome, ends=0.9)).recording()


def dies(tap):
    with Fake(dies=0.8) as fake:
        recording = record(fake)
    story = Story(recording)
    check(tap, story.outcome, "gone", "QEMU is gone")
    near(tap, story.last.t, 0.8, SLACK, "until then all is kept")
    tap.ok("monitor" in recording.data["reason"], "the reason is kept",
           recording.data["reason"])
    sim = Migration(Plan())
    # libvirt ends QEMU at once; its last word is then an event.
    data = sim.recording(end="gone", until=sim.total - 0.02).data
    data["events"].append({"t": sim.total + 0.5, "event": "MIGRATION",
                           "data": {"status": "completed"}})
    story = Story(model.Recording(data))
    check(tap, story.outcome, "completed", "unless an event told the end")
    near(tap, story.total, sim.total, 0.02, "and when")


def stops(tap):
    """The user ends the recording, also while QEMU does not answer."""
    with Fake() as fake:
        recorder = Recorder(fake.path)
        recorder.start()
        fake.begin()
        time.sleep(0.5)
        story = Story(recorder.stop())
    check(tap, story.outcome, "unfinished", "stopped in the middle")
    tap.ok(story.last.t < 1.0 and story.during, "what there was is kept")
    with Fake() as fake:
        recorder = Recorder(fake.path)
        recorder.start()
        fake._answer = lambda request: time.sleep(20)
        time.sleep(0.3)
        began = time.monotonic()
        recording = recorder.stop()
        tap.ok(time.monotonic() - began < 3, "a QEMU that hangs holds nobody")
        check(tap, recording.data["end"], "interrupted", "nor is it gone")


def degrades(tap):
    with Fake(Plan(supported=False)) as fake:
        recording = record(fake)
    story = Story(recording)
    check(tap, (recording.supported, story.has_tracking), (False, False),
          "without our command")
    check(tap, round(story.total * 1000), round(fake.migration.total * 1000),
          "query-migrate is recorded")
    check(tap, story.typical_dirty, Plan().dirty,
          "the dirty rate is QEMU's own")


def thins(tap):
    sim = Migration(Plan(pages=131072))
    samples = sim.recording(interval=0.01).samples
    thin = model.thin(samples)
    tap.ok(len(thin) < 0.6 * len(samples), "long recordings are thinned",
           f"{len(thin)} of {len(samples)}")
    check(tap, len(Story(model.Recording(dict(
        sim.recording().data, samples=thin))).syncs), sim.passes,
        "without losing a sync")
    changed = [s for old, s in zip(samples, samples[1:])
               if s["migrate"].get("status") != old["migrate"].get("status")
               or s["tracking"]["sync"] != old["tracking"]["sync"]]
    tap.ok(len(changed) > 5 and all(s in thin for s in changed),
           "nor a look at which something had changed")
    check(tap, thin[-1], samples[-1], "or the end")
    recorder = Recorder("")
    recorder._data = model.new(samples=samples * (MOST // len(samples) + 1))
    recorder._thin()
    near(tap, recorder.interval, 0.2, 0, "and the recorder slows down")


def program(tap):
    """The command line, end to end, from another directory."""
    with tempfile.TemporaryDirectory() as where, \
            Fake(Plan(pages=16384)) as fake:
        out, data = (os.path.join(where, name) for name in ("r.html", "r.json"))
        fake.print_load()
        tool = subprocess.Popen(
            kit.command("record", "--qmp", fake.path, "-o", out, "--data",
                        data, "--load", fake.console), cwd="/", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = tool.stdout.readline()
        fake.begin()
        said, wrong = tool.communicate(timeout=kit.TIMEOUT)
        check(tap, (tool.returncode, wrong), (0, ""), "record succeeds")
        tap.ok("waiting" in first, "it says that it waits", first)
        tap.ok("\x1b" not in said and "remaining" in said and "pass 1" in said,
               "plain lines where there is no terminal", said)
        total = f"{round(fake.migration.total * 1000):,} ms"
        with open(out, encoding="utf-8") as page:
            text = page.read()
        tap.ok(total in text and "web-1" in text, f"the page has {total}")
        check(tap, model.load(data).data["end"], "over", "--data is kept")
        done = kit.run("show", data, "-o", out + "2", "--svg", out + ".svg")
        check(tap, (done.returncode, done.stderr), (0, ""), "show succeeds")
        with open(out + "2", encoding="utf-8") as page:
            check(tap, page.read(), text, "and makes the same page")
        check(tap, sorted(os.listdir(where)),
              ["r.html", "r.html.svg", "r.html2", "r.json"],
              "nothing else is left")


def interrupted(tap):
    """Ctrl-C in the middle, on a terminal: the page is written."""
    for number in (signal.SIGINT, signal.SIGTERM):
        interrupted_by(tap, number)


def interrupted_by(tap, number):
    with tempfile.TemporaryDirectory() as where, Fake() as fake:
        out = os.path.join(where, "r.html")
        ours, theirs = pty.openpty()
        env = dict(os.environ, TERM="xterm", COLUMNS="90", LANG="C.UTF-8")
        tool = subprocess.Popen(
            kit.command("record", "--qmp", fake.path, "-o", out),
            stdout=theirs, stderr=subprocess.PIPE, text=True, env=env)
        os.close(theirs)
        shown = read_until(ours, b"Waiting")
        fake.begin()
        shown += read_until(ours, b"pass 2")
        tool.send_signal(number)
        shown += read_until(ours, b"Report: ")
        status = tool.wait(kit.TIMEOUT)
        os.close(ours)
        check(tap, (status, tool.stderr.read()), (0, ""),
              f"{number.name} is no error")
        text = shown.decode(errors="replace")
        tap.ok("\x1b[" in text and "█" in text and "dirtied" in text,
               "a live view was shown", text[-500:])
        with open(out, encoding="utf-8") as page:
            tap.ok("The recording was ended" in page.read(),
                   "the page says how it ended")


def read_until(fd, words):
    """What a terminal shows, up to `words`."""
    shown, end = b"", time.monotonic() + kit.TIMEOUT
    while words not in shown:
        if time.monotonic() > end:
            raise TimeoutError(f"no {words!r} in {shown[-400:]!r}")
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if not data:
            raise EOFError(f"no {words!r} in {shown[-400:]!r}")
        shown += data
    return shown


def errors(tap):
    with tempfile.TemporaryDirectory() as where:
        out = os.path.join(where, "r.html")
        missing = os.path.join(where, "none")
        for command in ("record", "prometheus"):
            kit.one_line(tap, kit.run(command, "--qmp", missing, "-o", out),
                         "No such file", f"{command}: no such socket")
        with Fake(mute=True) as fake:
            kit.one_line(tap, kit.run("record", "--qmp", fake.path, "-o", out),
                         "another client", "a monitor in use")
        check(tap, os.listdir(where), [], "nothing was written")
        with open(missing, "w", encoding="utf-8") as f:
            f.write("{}")
        kit.one_line(tap, kit.run("show", missing, "-o", out),
                     "not a recording", "show: another file")
        kit.one_line(tap, kit.run("show", missing + "2", "-o", out),
                     "No such file", "show: no file")
        good = os.path.join(where, "good")
        record_of("failed").save(good)
        kit.one_line(tap, kit.run("show", good, good, good, "-o", out), "two",
                     "show: three recordings")
        kit.one_line(tap, kit.run("show", good, "-o", where + "/no/r.html"),
                     "cannot be written", "show: no such directory")
        with Fake(dies=0.6) as fake:
            program_dies(tap, fake, out)
        with Fake(Plan(pages=8192, supported=False)) as fake:
            program_degrades(tap, fake, out)


def program_dies(tap, fake, out):
    tool = start(fake, out)
    fake.begin()
    said, wrong = tool.communicate(timeout=kit.TIMEOUT)
    check(tap, tool.returncode, 0, "QEMU dies: no failure of ours")
    tap.ok(len(wrong.splitlines()) == 1 and "closed its monitor" in wrong,
           "it is said in one line", wrong)
    tap.ok("QEMU went away" in said and os.path.exists(out),
           "the page is written", said)


def program_degrades(tap, fake, out):
    tool = start(fake, out)
    fake.begin()
    _, wrong = tool.communicate(timeout=kit.TIMEOUT)
    tap.ok(tool.returncode == 0 and len(wrong.splitlines()) == 1
           and "qemu-dirtytrack" in wrong,
           "without our command: one line says which QEMU has it", wrong)
    with open(out, encoding="utf-8") as page:
        tap.ok("no query-dirty-tracking" in page.read(),
               "and the page says what is missing")


def start(fake, out):
    """The tool, once it records."""
    tool = subprocess.Popen(
        kit.command("record", "--qmp", fake.path, "-o", out),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tool.stdout.readline()
    return tool


FAKE_VIRSH = """#!/usr/bin/python3
import json, os, sys
sys.path[:0] = %r
from migration_report.qmp import Qmp
wanted, domain, message = sys.argv[-3:]
if domain != "web":
    sys.exit("error: failed to get domain '%%s'" %% domain)
message = json.loads(message)
answer = Qmp(%r).cmd(message["execute"])
print(json.dumps({"return": answer, "id": "libvirt-1"}))
"""


def domains(tap):
    """--domain, by a virsh of ours that asks the fake."""
    with tempfile.TemporaryDirectory() as where, Fake() as fake:
        virsh = os.path.join(where, "virsh")
        with open(virsh, "w", encoding="utf-8") as script:
            script.write(FAKE_VIRSH % ([str(kit.TOP / "scripts")], fake.path))
        os.chmod(virsh, 0o755)
        env = dict(os.environ, PATH=f"{where}:{os.environ['PATH']}")
        out = os.path.join(where, "r.html")
        kit.one_line(tap, kit.run("record", "--domain", "db", "-o", out,
                                  env=env), "failed to get domain",
                     "what virsh says is told")
        fake.begin()
        done = kit.run("record", "--domain", "web", "-o", out, env=env)
        check(tap, (done.returncode, done.stderr), (0, ""), "it records")
        tap.ok("converged" in done.stdout, "to the end", done.stdout)
        env["PATH"] = "/nonexistent"
        kit.one_line(tap, kit.run("record", "--domain", "web", "-o", out,
                                  env=env), "libvirt-clients",
                     "virsh is not there")


def client(tap):
    """The lab's client is this one, with errors of its own."""
    with Fake() as fake:
        for kind, error in ((lambda: Qmp(fake.path), Gone),
                            (lambda: LabQmp(fake.path, lambda: None),
                             LabError)):
            qmp = kind()
            check(tap, qmp.cmd("query-name"), {"name": "web-1"}, "an answer")
            try:
                qmp.cmd("no-such-command")
                tap.ok(False, "a refusal is an error")
            except qmp.refused as err:
                tap.ok(err.error_class == "CommandNotFound",
                       "a refusal is an error")
            event = {"event": "RESUME", "timestamp": {}}
            fake.interject = [{"return": "late", "id": -1}, event]
            check(tap, qmp.cmd("query-name"), {"name": "web-1"},
                  "an answer to what was given up is passed over")
            check(tap, qmp.take_events(), [event],
                  "an event before an answer is kept")
            fake_events(tap, fake, qmp)
            qmp.close()
            try:
                qmp.cmd("query-name")
                tap.ok(False, "a closed monitor is an error")
            except error:
                tap.ok(True, "a closed monitor is an error")


def fake_events(tap, fake, qmp):
    fake.begin()
    event = qmp.wait_event("MIGRATION", 10,
                           lambda e: e["data"]["status"] == "active")
    check(tap, event["data"], {"status": "active"}, "an event is waited for")
    tap.ok([e["event"] for e in qmp.events] == ["MIGRATION"],
           "others are kept", str(qmp.events))
    try:
        qmp.wait_event("NEVER", 0.2)
        tap.ok(False, "an event that does not come is an error")
    except qmp.late:
        tap.ok(True, "an event that does not come is an error")


if __name__ == "__main__":
    kit.tests(whole, waits, under_way, endings, dies, stops, degrades, thins,
              program, interrupted, errors, domains, client, named=sys.argv[1:])
