# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of scripts/migration-report."""

import argparse
import os
import signal
import sys

from . import files, findings, model, page, picture, plots, prometheus
from .derive import Story
from .errors import ReportError
from .live import View
from .qmp import Qmp
from .recorder import GREETING, Recorder
from .virsh import Virsh

NEEDED = ("this QEMU has no query-dirty-tracking; build QEMU with "
          "qemu-dirtytrack for the ring, syncs and the forecast")
SLOWEST_BY_VIRSH = 0.25     # seconds: virsh is a process each time


def note(words):
    print(f"migration-report: {words}", file=sys.stderr)


def monitor(args):
    """What --qmp or --domain names."""
    if args.domain:
        return Virsh(args.domain, args.connect)
    return Qmp(args.qmp, timeout=GREETING)


def interval(args):
    return max(args.interval, SLOWEST_BY_VIRSH) if args.domain \
        else args.interval


# --- record

def watch(recorder):
    """Until the migration is over or the user has seen enough."""
    # To be ended by a service manager is no worse than by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while not recorder.wait(0.2):
            pass
    except KeyboardInterrupt:
        pass
    return recorder.stop()


def record(args):
    view = View(sys.stdout, live=False if args.no_live else None)
    recorder = Recorder(monitor(args), interval(args), args.load, args.title)
    recorder.start()
    data = recorder.recording
    if not data.supported:
        note(f"{NEEDED}. Recording what query-migrate tells")
    view.say(f"{data.data['guest']}, QEMU {data.data['qemu']}: "
             + ("a migration is under way, watching it" if recorder.began
                else "waiting for a migration to begin"))
    recorder.on_sample = view.update
    recording = watch(recorder)
    view.done()
    if not recorder.began or not recording.samples:
        raise ReportError("no migration was seen, nothing is written"
                          + (f": {recording.data['reason']}"
                             if recording.data["reason"] else ""))
    if args.data:
        recording.save(args.data)
    page.write_page(args.output, [recording])
    finish(recording, args)
    return 0


def finish(recording, args):
    """The page's first words, and where it is."""
    story = Story(recording)
    if recording.data["end"] == "gone":
        note(f"{recording.data['reason']}; what was recorded is kept")
    for sentence in findings.all_of(story):
        print(sentence)
    print(f"Report: {args.output}"
          + (f", recording: {args.data}" if args.data else ""), flush=True)


# --- show, prometheus

def show(args):
    if len(args.recordings) > 2:
        raise ReportError("one recording or two, not "
                          f"{len(args.recordings)}")
    if not args.output and not args.svg:
        raise ReportError("say what to write: -o FILE for the page, "
                          "--svg FILE for a picture")
    recordings = [model.load(path) for path in args.recordings]
    for recording, path in zip(recordings, args.recordings):
        if len(recordings) > 1 and not recording.data["title"]:
            name = os.path.basename(path)
            recording.data["title"] = os.path.splitext(name)[0]
    if args.output:
        page.write_page(args.output, recordings)
    if args.svg:
        picture.write_picture(args.svg, recordings, args.plots)
    return 0


def expose(args):
    connection = monitor(args)
    text, supported = prometheus.scrape(connection)
    connection.close()
    if not supported:
        note(NEEDED)
    if args.output in (None, "-"):
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        files.replace(args.output, text)
    return 0


# --- arguments

def seconds(text):
    value = float(text)
    if not 0.01 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text}: from 0.01 to 60 seconds")
    return value


def plot_names(text):
    found = text.split(",")
    wrong = [name for name in found if name not in plots.ALL]
    if wrong:
        raise argparse.ArgumentTypeError(
            f"no plot {', '.join(wrong)}: there are {', '.join(plots.ALL)}")
    return found


def add_monitor(p):
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--qmp", metavar="SOCKET",
                       help="QEMU's QMP monitor, a unix socket")
    which.add_argument("--domain", metavar="NAME",
                       help="libvirt's domain, through virsh")
    p.add_argument("--connect", metavar="URI", help="libvirt's, for virsh -c")


def parser():
    p = argparse.ArgumentParser(
        prog="migration-report",
        description="Record a QEMU's live migration and show it as a page.")
    commands = p.add_subparsers(dest="command", required=True,
                                metavar="COMMAND")

    r = commands.add_parser("record", help="watch the next migration, or the "
                            "one under way, and write a page about it")
    add_monitor(r)
    r.add_argument("-o", "--output", default="migration-report.html",
                   metavar="FILE", help="the page (default: %(default)s)")
    r.add_argument("--data", metavar="FILE",
                   help="keep the recording, for 'show'")
    r.add_argument("--load", metavar="FILE",
                   help="the guest's console, with lines 'dirtyload t=<ms> "
                   "w=<writes per second> total=<writes>'")
    r.add_argument("--title", help="what to call it")
    r.add_argument("--interval", type=seconds, default=0.1, metavar="S",
                   help="seconds between looks (default: %(default)s)")
    r.add_argument("--no-live", action="store_true",
                   help="plain lines, also on a terminal")
    r.set_defaults(run=record)

    s = commands.add_parser("show", help="make a page of one recording, or of "
                            "two side by side")
    s.add_argument("recordings", nargs="+", metavar="FILE")
    s.add_argument("-o", "--output", metavar="FILE", help="the page")
    s.add_argument("--svg", metavar="FILE", help="a picture of some plots")
    s.add_argument("--plots", type=plot_names, default=plots.MAIN,
                   metavar="NAME,...", help="which plots the picture has: "
                   f"{', '.join(plots.ALL)} (default: "
                   f"{','.join(plots.MAIN)})")
    s.set_defaults(run=show)

    m = commands.add_parser("prometheus", help="tell what QEMU tells now, for "
                            "node_exporter's textfile collector")
    add_monitor(m)
    m.add_argument("-o", "--output", metavar="FILE", help="replaced in one "
                   "step; '-' is standard output, the default")
    m.set_defaults(run=expose)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except ReportError as err:
        note(err)
        return 1
    except BrokenPipeError:
        # Whoever read our output has enough; spare them Python's complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
