/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * labinit - what its parts have in common; see labinit.c.
 */
#ifndef LAB_LABINIT_H
#define LAB_LABINIT_H

#include <stddef.h>
#include <stdint.h>

/* argv, env: each ended by NUL; modules, sysctl: lines; tty: its size */
#define RUN_DIR "/lab/run/"
#define OUT_DIR "/lab/out"
/* The longest payload of a frame */
#define CHUNK 32768

/* labinit-port.c: the stream to the host, and files of the run */

/* Its file descriptor, -1 before it is open */
extern int port;

void write_all(int fd, const char *p, size_t n);
void send_frame(char type, const void *data, uint32_t len);
void __attribute__((noreturn)) give_up(void);
void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...);

/* All of it, with a NUL after it; NULL: there is no such file */
char *read_file(const char *path, size_t *len);
/* Pieces of a file, each ended by @sep; NULL at the end of the list. */
char **read_list(const char *path, char sep);

/* labinit-command.c */

/* Run it, and pass on its output, the files it leaves, and its status. */
void run_command(char **argv, char **env);

#endif
