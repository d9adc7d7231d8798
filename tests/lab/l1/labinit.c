/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * labinit - first process of the lab's L1 machine.
 *
 * Sets the machine up, runs one command and passes its output and its exit
 * status to the host over a virtio-serial port, as frames:
 *
 *     type (1 byte)  length (4 bytes, little endian)  payload
 *
 * to the host:   H  machine is up, the command starts (payload: what runs)
 *                O  standard output        E  standard error
 *                N  name of a file the command left in /lab/out, before
 *                D  its content, in pieces
 *                S  exit status (decimal); nothing comes after it
 *                F  set-up failed (payload: why)
 * from the host: I  input for the terminal W  "ROWS COLUMNS" of the terminal
 *
 * One stream for all of it keeps output and status in order, and the host
 * stops the machine when it has the status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "labinit.h"

#define PORT_NAME "lab"

static void mount_one(const char *type, const char *where, const char *opts)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, opts) && errno != EBUSY) {
        fail("mounting %s on %s: %s", type, where, strerror(errno));
    }
}

static void mount_all(void)
{
    mount_one("devtmpfs", "/dev", NULL);
    mount_one("proc", "/proc", NULL);
    mount_one("sysfs", "/sys", NULL);
    mount_one("devpts", "/dev/pts", "ptmxmode=0666");
    mount_one("tmpfs", "/dev/shm", "size=100%,mode=1777");
    mount_one("tmpfs", "/tmp", "size=100%,mode=1777");
    mount_one("tmpfs", "/run", "mode=0755");
    symlink("/proc/self/fd", "/dev/fd");
    symlink("/proc/self/fd/0", "/dev/stdin");
    symlink("/proc/self/fd/1", "/dev/stdout");
    symlink("/proc/self/fd/2", "/dev/stderr");
}

/* The port gets its number late: look for its name until it is there. */
static void open_port(void)
{
    for (int tries = 0; tries < 2000; tries++) {
        for (int n = 0; n < 4; n++) {
            char path[64], *name;

            snprintf(path, sizeof(path),
                     "/sys/class/virtio-ports/vport%dp1/name", n);
            name = read_file(path, NULL);
            if (name && !strcmp(strtok(name, "\n") ?: "", PORT_NAME)) {
                snprintf(path, sizeof(path), "/dev/vport%dp1", n);
                port = open(path, O_RDWR | O_CLOEXEC);
            }
            free(name);
            if (port >= 0) {
                return;
            }
        }
        usleep(5000);
    }
    fail("no virtio-serial port named '%s'", PORT_NAME);
}

static void load_modules(void)
{
    char **list = read_list(RUN_DIR "modules", '\n');

    for (; *list; list++) {
        char *params = strchr(*list, ' ');
        int fd;

        if (params) {
            *params++ = '\0';
        }
        fd = open(*list, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, params ?: "", 0)) {
            fail("loading %s: %s", *list, strerror(errno));
        }
        close(fd);
    }
}

static void set_sysctls(void)
{
    char **list = read_list(RUN_DIR "sysctl", '\n');

    for (; *list; list++) {
        char *value = strchr(*list, '=');
        char path[256];
        int fd;

        if (!value) {
            continue;
        }
        *value++ = '\0';
        snprintf(path, sizeof(path), "/proc/sys/%s", *list);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, value, strlen(value)) < 0) {
            fail("setting %s to %s: %s", path, value, strerror(errno));
        }
        close(fd);
    }
}

static void loopback_up(void)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = { .ifr_name = "lo" };

    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    if (s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr)) {
        fail("bringing up loopback: %s", strerror(errno));
    }
    close(s);
    sethostname("lab", 3);
}

static void set_limits(void)
{
    const struct rlimit many = { 1048576, 1048576 };
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_NOFILE, &many);
    setrlimit(RLIMIT_MEMLOCK, &all);
    setrlimit(RLIMIT_CORE, &none);
}

int main(void)
{
    char **argv, **env;

    umask(022);
    mount_all();
    open_port();
    set_limits();
    set_sysctls();
    loopback_up();
    load_modules();
    argv = read_list(RUN_DIR "argv", '\0');
    env = read_list(RUN_DIR "env", '\0');
    if (!argv[0]) {
        fail("no command in " RUN_DIR "argv");
    }
    send_frame('H', argv[0], strlen(argv[0]));
    run_command(argv, env);
    give_up();
}
