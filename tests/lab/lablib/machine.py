# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated KVM host: command line and process of the outer emulator."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import clock, paths
from .errors import LabError

PR_SET_PDEATHSIG = 1
# panic=-1 and -no-reboot: a panic ends the emulator at once.
KERNEL_ARGS = ('console=ttyS0 panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=60 '
               'mitigations=off audit=0 apparmor=0 no_timer_check tsc=reliable '
               'random.trust_cpu=on cryptomgr.notests')


class Machine:
    """Started at once; console and port are what it says."""

    def __init__(self, args, layers):
        self.port, port = socket.socketpair()
        initrd = join(layers)
        command = command_line(args, port.fileno(), initrd)
        if args.verbose:
            print('lab: ' + ' '.join(command), file=sys.stderr)
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, pass_fds=(port.fileno(), initrd),
                preexec_fn=die_with_parent)
        except OSError as e:
            raise LabError(f'starting the outer emulator {command[0]}: {e}') from e
        finally:
            port.close()
            os.close(initrd)
        self.console = self.process.stdout
        os.set_blocking(self.console.fileno(), False)
        self.port.setblocking(False)

    def stop(self):
        """Nothing in it is worth a clean shutdown."""
        self.process.kill()
        self.process.wait()
        self.console.close()
        self.port.close()


def command_line(args, port, initrd):
    kernel = Path(args.kernel or paths.KERNELS[args.linux]) / 'vmlinux'
    if not kernel.is_file():
        raise LabError(f'--kernel: {kernel} is not there')
    kernel_args = (f'{KERNEL_ARGS} tsc_early_khz={clock.tsc_khz(args.icount)} '
                   f'loglevel={7 if args.verbose else 5}')
    if args.kernel:
        # Else they are given to the modules as these are loaded.
        kernel_args += ''.join(f' {module}.{setting}' for module, setting in args.kvm_param)
    accel = ['-accel', 'tcg,thread=multi']
    if args.icount:
        accel = ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off']
    firmware = [word for d in paths.FIRMWARE_DIRS for word in ('-L', str(d))]
    return [str(paths.outer_qemu()), '-nodefaults', '-no-user-config', '-no-reboot',
            '-display', 'none', '-name', 'lab-l1', *firmware,
            '-machine', 'q35,hpet=off,smm=off', *accel,
            '-cpu', 'EPYC,+svm,+npt,check=off', '-smp', str(args.smp), '-m', str(args.mem),
            '-kernel', str(kernel), '-initrd', f'/proc/self/fd/{initrd}',
            '-append', kernel_args,
            '-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console',
            '-device', 'virtio-serial-pci,max_ports=2',
            '-chardev', f'socket,id=lab,fd={port}',
            '-device', 'virtserialport,chardev=lab,name=lab', *network(args)]


def network(args):
    """A host's end of the cable between two; a unix socket for each end."""
    if args.hosts == 1:
        return []
    local, remote = (f'{args.cable}/{n}' for n in (args.host, 3 - args.host))
    return ['-netdev', 'dgram,id=n0,local.type=unix,remote.type=unix,'
                       f'local.path={local},remote.path={remote}',
            '-device', f'virtio-net-pci,netdev=n0,mac=52:54:00:0a:00:{args.host:02x},romfile=']


def join(layers):
    """One initrd of all layers, in memory: nothing to clean up."""
    fd = os.memfd_create('lab-initrd', 0)
    for layer in layers:
        if isinstance(layer, bytes):
            os.write(fd, layer)
            continue
        done, size = 0, os.fstat(layer.file.fileno()).st_size
        while done < size:
            done += os.sendfile(fd, layer.file.fileno(), done, size - done)
    return fd


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
