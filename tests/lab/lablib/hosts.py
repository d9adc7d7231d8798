# SPDX-License-Identifier: GPL-2.0-or-later
"""Two emulated hosts, joined by a cable.

The second runs in a thread of ours; it ends when the first one's command does.
Should it end before, that is the lab's failure.
"""

import argparse
import sys
import tempfile
import threading

from . import image, nested, runlayer
from .errors import EXIT_LAB

UP = f'{runlayer.LAB_ROOT}/hosts/up'


def run(args):
    nested.end_on_signals()
    layers = image.host_layers(args.linux, args.libvirt, args.deb)
    with tempfile.TemporaryDirectory(prefix='lab-') as cable:
        second = Second(of_host(args, 2, cable, []), layers)
        second.start()
        try:
            first = of_host(args, 1, cable, args.command)
            status = nested.Session(first).run(
                [*layers, nested.own_layer(first, layers)])
        finally:
            failed = second.end()
    return EXIT_LAB if failed else status


def of_host(args, number, cable, command):
    """Options of one of them."""
    one = argparse.Namespace(**vars(args))
    one.where = 'nested'
    one.host, one.cable = number, cable
    one.command = [UP, str(number), *command]
    if number != 1:
        one.tty, one.timeout = False, None
    return one


class Second(threading.Thread):
    def __init__(self, args, layers):
        super().__init__(daemon=True)
        self.session = nested.Session(args, name='host2')
        self.layers = [*layers, nested.own_layer(args, layers)]
        self.ended = False

    def run(self):
        self.session.run(self.layers)
        if not self.ended:
            print('lab: host2 ended before the command on host1', file=sys.stderr, flush=True)

    def end(self):
        """Whether it had ended already."""
        early = not self.is_alive()
        self.ended = True
        self.session.end()
        self.join(10)
        return early
