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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* argv, env: each ended by NUL; modules, sysctl: lines; tty: its size */
#define RUN_DIR "/lab/run/"
#define OUT_DIR "/lab/out"
#define PORT_NAME "lab"
#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CHUNK 32768
#define MAX_ARGS 4096

static int port = -1;

/* --- frames ------------------------------------------------------------- */

static void write_all(int fd, const char *p, size_t n)
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

static void send_frame(char type, const void *data, uint32_t len)
{
    static char buf[5 + CHUNK];

    buf[0] = type;
    for (int i = 0; i < 4; i++) {
        buf[1 + i] = len >> (8 * i);
    }
    memcpy(buf + 5, data, len);
    write_all(port, buf, 5 + len);
}

static void __attribute__((noreturn)) give_up(void)
{
    /* The host stops us; should it not be there, the console still tells. */
    for (;;) {
        pause();
    }
}

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
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

/* --- files of the run --------------------------------------------------- */

static char *read_file(const char *path, size_t *len)
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

/* Pieces of a file, each ended by @sep; NULL at the end of the list. */
static char **read_list(const char *path, char sep)
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

/* --- the machine -------------------------------------------------------- */

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

/* --- the command -------------------------------------------------------- */

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

static int run_command(char **argv, char **env)
{
    struct job job = { .out = -1, .err = -1, .tty = -1 };
    struct signalfd_siginfo info;
    bool ended = false;
    char text[16];
    int status = 0, children;
    sigset_t chld;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    children = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (access(RUN_DIR "tty", F_OK)) {
        start_on_pipes(&job, argv, env);
    } else {
        start_on_terminal(&job, argv, env);
    }
    if (job.pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    while (!ended) {
        struct pollfd fds[] = {
            { job.out, POLLIN, 0 }, { job.err, POLLIN, 0 },
            { job.tty >= 0 ? port : -1, POLLIN, 0 }, { children, POLLIN, 0 },
        };
        pid_t pid;
        int st;

        if (poll(fds, 4, -1) < 0) {
            continue;
        }
        if (fds[0].revents) {
            pass_on(&job.out, 'O');
        }
        if (fds[1].revents) {
            pass_on(&job.err, 'E');
        }
        if (fds[2].revents & POLLIN) {
            take_input(&job);
        }
        while (read(children, &info, sizeof(info)) > 0) {
            continue;
        }
        while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
            if (pid == job.pid) {
                ended = true;
                status = st;
            }
        }
    }
    /* What it left in the pipes; what others may yet write, we do not await. */
    while (readable(job.out) && pass_on(&job.out, 'O')) {
        continue;
    }
    while (readable(job.err) && pass_on(&job.err, 'E')) {
        continue;
    }
    send_files();
    status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    send_frame('S', text, snprintf(text, sizeof(text), "%d", status));
    return status;
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
