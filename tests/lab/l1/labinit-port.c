/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * labinit's stream to the host, and the files of the run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "labinit.h"

#define MAX_ARGS 4096

int port = -1;

void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);

        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return;     /* nobody is left to tell */
        }
        p += done;
        n -= done;
    }
}

void send_frame(char type, const void *data, uint32_t len)
{
    static char buf[5 + CHUNK];

    buf[0] = type;
    for (int i = 0; i < 4; i++) {
        buf[1 + i] = len >> (8 * i);
    }
    memcpy(buf + 5, data, len);
    write_all(port, buf, 5 + len);
}

void __attribute__((noreturn)) give_up(void)
{
    /* The host stops us; should it not be there, the console still tells. */
    for (;;) {
        pause();
    }
}

void fail(const char *fmt, ...)
{
    char msg[1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    dprintf(2, "labinit: %s\n", msg);
    if (port >= 0) {
        send_frame('F', msg, n < (int)sizeof(msg) ? n : (int)sizeof(msg) - 1);
    }
    give_up();
}

char *read_file(const char *path, size_t *len)
{
    size_t n = 0, room = 65536;
    char *buf = malloc(room);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        free(buf);
        return NULL;
    }
    for (;;) {
        ssize_t got = read(fd, buf + n, room - n - 1);

        if (got <= 0) {
            break;
        }
        n += got;
        if (n + 1 == room) {
            buf = realloc(buf, room *= 2);
        }
    }
    close(fd);
    buf[n] = '\0';
    if (len) {
        *len = n;
    }
    return buf;
}

char **read_list(const char *path, char sep)
{
    char **list = calloc(MAX_ARGS + 1, sizeof(*list));
    size_t len = 0;
    char *buf = read_file(path, &len), *p = buf;

    for (int n = 0; buf && p < buf + len && n < MAX_ARGS; n++) {
        char *end = memchr(p, sep, buf + len - p);

        list[n] = p;
        if (!end) {
            break;
        }
        *end = '\0';
        p = end + 1;
    }
    return list;
}
