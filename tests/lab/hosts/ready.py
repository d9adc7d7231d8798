# SPDX-License-Identifier: GPL-2.0-or-later
"""Succeeds if libvirt and the agent of both hosts answer."""

import itertools
import socket
import sys

LIBVIRT, AGENT = 16509, 8000

try:
    for place in itertools.product(("host1", "host2"), (LIBVIRT, AGENT)):
        socket.create_connection(place, timeout=2).close()
except OSError:
    sys.exit(1)
