#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests want of a host besides libvirt: run a command, read a file, look
at a guest's memory. XML-RPC, on the private network of the two hosts."""

import subprocess
import sys
from xmlrpc.server import SimpleXMLRPCServer

from dirtylab import digest

PORT = 8000

held = {}


def run(command, timeout=180):
    """[status, output] of a list of words."""
    done = subprocess.run(command, check=False, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace")
    return [done.returncode, done.stdout]


def read(path, offset=0):
    """What a file has from that byte on."""
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read()


def hold(path):
    """Keep a file of memory, even if it is deleted; returns its handle."""
    handle = f"m{len(held)}"
    held[handle] = digest.Memory(path)
    return handle


def release(handle):
    held.pop(handle).close()


def chunks(handle):
    return held[handle].chunks()


def pages(handle, chunk):
    return held[handle].pages(chunk)


def main():
    server = SimpleXMLRPCServer(("0.0.0.0", PORT), logRequests=False,
                                allow_none=True)
    for function in (run, read, hold, release, chunks, pages):
        server.register_function(function)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
