/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onliner - brings a CPU into service when one is plugged in.
 *
 * Linux leaves that to user space.  Waits for the kernel's events, so that an
 * idle guest stays idle.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void online(const char *cpu)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/sys%s/online", cpu);
    fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        fprintf(stderr, "onliner: %s: %s\n", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

int main(void)
{
    static const char what[] = "add@/devices/system/cpu/cpu";
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
    char event[8192];
    ssize_t n;

    if (s < 0 || bind(s, (void *)&addr, sizeof(addr))) {
        perror("onliner: listening to the kernel's events");
        return 1;
    }
    while ((n = recv(s, event, sizeof(event) - 1, 0)) > 0 || errno == EINTR ||
           errno == ENOBUFS) {
        if (n <= 0) {
            continue;
        }
        event[n] = '\0';
        if (!strncmp(event, what, sizeof(what) - 1)) {
            online(event + strlen("add@"));
        }
    }
    perror("onliner: recv");
    return 1;
}
