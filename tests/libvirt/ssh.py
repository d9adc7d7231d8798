# SPDX-License-Identifier: GPL-2.0-or-later
"""ssh between the hosts, for qemu+ssh, without anybody being asked."""

KEY = "/root/.ssh/id_ed25519"
# No PAM: there is no session to be had here.
START = ("umask 077; mkdir -p /run/sshd /root/.ssh; /usr/sbin/sshd -o UsePAM=no; "
         f"ssh-keygen -q -t ed25519 -N '' -f {KEY}")
TRUST = ('umask 077; printf %s "$1" > /root/.ssh/authorized_keys; '
         "ssh-keyscan -t ed25519 host1 host2 > /root/.ssh/known_hosts 2>/dev/null")


def set_up(hosts):
    for host in hosts:
        host.run("sh", "-ec", START)
    keys = "".join(host.run("cat", f"{KEY}.pub") for host in hosts)
    for host in hosts:
        host.run("sh", "-ec", TRUST, "sh", keys)
