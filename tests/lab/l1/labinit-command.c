/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * labinit's command: start it, pass on its input and output, wait for it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "labinit.h"

#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct job {
    pid_t pid;
    int out, err;       /* read ends; -1: closed */
    int tty;            /* terminal's master side, -1: none */
};

static void __attribute__((noreturn)) exec_command(char **argv, char **env)
{
    sigset_t nothing;

    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    if (chdir("/tmp")) {
        dprintf(2, "labinit: /tmp: %s\n", strerror(errno));
    }
    setenv("PATH", PATH, 1);
    for (; *env; env++) {
        putenv(*env);
    }
    execvp(argv[0], argv);
    dprintf(2, "labinit: %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static void set_window(int tty, const char *rows_cols)
{
    struct winsize ws = { 0 };

    if (sscanf(rows_cols, "%hu %hu", &ws.ws_row, &ws.ws_col) == 2) {
        ioctl(tty, TIOCSWINSZ, &ws);
    }
}

static void start_on_terminal(struct job *job, char **argv, char **env)
{
    char *size = read_file(RUN_DIR "tty", NULL), *slave;

    job->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (job->tty < 0 || grantpt(job->tty) || unlockpt(job->tty)) {
        fail("opening a terminal: %s", strerror(errno));
    }
    slave = ptsname(job->tty);
    set_window(job->tty, size);
    free(size);
    job->pid = fork();
    if (!job->pid) {
        int fd;

        setsid();
        fd = open(slave, O_RDWR);
        for (int i = 0; i < 3; i++) {
            dup2(fd, i);
        }
        exec_command(argv, env);
    }
    job->out = job->tty;
}

static void start_on_pipes(struct job *job, char **argv, char **env)
{
    int out[2], err[2];

    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        fail("pipe: %s", strerror(errno));
    }
    job->pid = fork();
    if (!job->pid) {
        int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

        setsid();
        dup2(in, 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        exec_command(argv, env);
    }
    close(out[1]);
    close(err[1]);
    job->out = out[0];
    job->err = err[0];
}

/* Passes on what is there.  False: nothing was. */
static bool pass_on(int *fd, char type)
{
    static char buf[CHUNK];
    ssize_t n;

    if (*fd < 0) {
        return false;
    }
    n = read(*fd, buf, sizeof(buf));
    if (n > 0) {
        send_frame(type, buf, n);
        return true;
    }
    if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        close(*fd);
        *fd = -1;
    }
    return false;
}

static void send_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
        send_frame('N', name, strlen(name));
        while (pass_on(&fd, 'D')) {
            continue;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void send_files(void)
{
    DIR *dir = opendir(OUT_DIR);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        send_file(dirfd(dir), entry->d_name);
    }
    if (dir) {
        closedir(dir);
    }
}

static bool readable(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };

    return fd >= 0 && poll(&p, 1, 0) == 1;
}

/* Input frames from the host; they may come in pieces. */
static void take_input(struct job *job)
{
    static char buf[5 + CHUNK + 1];
    static size_t have;
    ssize_t n = read(port, buf + have, 5 + CHUNK - have);

    if (n <= 0) {
        return;
    }
    have += n;
    while (have >= 5) {
        uint32_t len = 0;
        char after;

        for (int i = 0; i < 4; i++) {
            len |= (uint32_t)(uint8_t)buf[1 + i] << (8 * i);
        }
        if (len > CHUNK) {
            fail("frame of %u bytes from the host", len);
        }
        if (have < 5 + len) {
            return;
        }
        after = buf[5 + len];
        buf[5 + len] = '\0';
        if (job->tty >= 0 && buf[0] == 'I') {
            write_all(job->tty, buf + 5, len);
        } else if (job->tty >= 0 && buf[0] == 'W') {
            set_window(job->tty, buf + 5);
        }
        buf[5 + len] = after;
        have -= 5 + len;
        memmove(buf, buf + 5 + len, have);
    }
}

/* From now on the end of a child can be read from the file returned. */
static int watch_children(void)
{
    sigset_t chld;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    return signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Whether the command was among the children that have ended */
static bool reap(struct job *job, int children, int *status)
{
    struct signalfd_siginfo info;
    bool ended = false;
    pid_t pid;
    int st;

    while (read(children, &info, sizeof(info)) > 0) {
        continue;
    }
    while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
        if (pid == job->pid) {
            ended = true;
            *status = st;
        }
    }
    return ended;
}

static int wait_for(struct job *job, int children)
{
    bool ended = false;
    int status = 0;

    while (!ended) {
        struct pollfd fds[] = {
            { job->out, POLLIN, 0 }, { job->err, POLLIN, 0 },
            { job->tty >= 0 ? port : -1, POLLIN, 0 }, { children, POLLIN, 0 },
        };

        if (poll(fds, 4, -1) < 0) {
            continue;
        }
        if (fds[0].revents) {
            pass_on(&job->out, 'O');
        }
        if (fds[1].revents) {
            pass_on(&job->err, 'E');
        }
        if (fds[2].revents & POLLIN) {
            take_input(job);
        }
        ended = reap(job, children, &status);
    }
    /* What it left in the pipes; what others may yet write, we do not await. */
    while (readable(job->out) && pass_on(&job->out, 'O')) {
        continue;
    }
    while (readable(job->err) && pass_on(&job->err, 'E')) {
        continue;
    }
    return status;
}

void run_command(char **argv, char **env)
{
    struct job job = { .out = -1, .err = -1, .tty = -1 };
    int children = watch_children();
    char text[16];
    int status;

    if (access(RUN_DIR "tty", F_OK)) {
        start_on_pipes(&job, argv, env);
    } else {
        start_on_terminal(&job, argv, env);
    }
    if (job.pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    status = wait_for(&job, children);
    send_files();
    status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    send_frame('S', text, snprintf(text, sizeof(text), "%d", status));
}
