/* Preloaded into a process: the Nth call that writes or syncs a file below one folder fails, or kills the process.

   cc -shared -fPIC -O1 -o faults.so faults.c -ldl;  LD_PRELOAD=faults.so;  faults_arm(...) through ctypes
   SQLite reaches the file system through these functions of the C library, and Python does too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { FAIL = 0, SHORT = 1, KILL = 2, TORN_KILL = 3 };

static char folder[4096];
static atomic_long calls, strikes, target;  /* target 0: nothing fails */
static int mode, code;
static double lasts_ms;                     /* after the first strike; 0: that call alone, below 0: for ever */
static _Atomic double struck_s;
static char struck_call[32], struck_file[256];

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

void faults_arm(const char *below, long nth, int what, int error, double ms) {
    strncpy(folder, below, sizeof folder - 1);
    atomic_store(&calls, 0);
    atomic_store(&strikes, 0);
    mode = what, code = error, lasts_ms = ms;
    atomic_store(&struck_s, 0.0);
    atomic_store(&target, nth);
}
long faults_calls(void) { return atomic_load(&calls); }
long faults_strikes(void) { return atomic_load(&strikes); }
double faults_struck_s(void) { return atomic_load(&struck_s); }
const char *faults_struck_call(void) { return struck_call; }
const char *faults_struck_file(void) { return struck_file; }

static int is_ours(int descriptor, char *path, size_t size) {
    char link[64];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, size - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int strikes_now(int descriptor, const char *call) {
    char path[4096];
    if (!is_ours(descriptor, path, sizeof path)) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1, nth = atomic_load(&target);
    if (!nth || number < nth) return 0;
    double first = atomic_load(&struck_s);
    if (number == nth) {
        strncpy(struck_call, call, sizeof struck_call - 1);
        const char *name = strrchr(path, '/');
        strncpy(struck_file, name ? name + 1 : path, sizeof struck_file - 1);
        atomic_store(&struck_s, now_s());
    } else if (lasts_ms == 0 || (lasts_ms > 0 && first > 0 && (now_s() - first) * 1000 > lasts_ms)) {
        return 0;
    }
    atomic_fetch_add(&strikes, 1);
    return 1;
}

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*pwrite_t)(int, const void *, size_t, off_t);
typedef ssize_t (*write_t)(int, const void *, size_t);
typedef int (*sync_t)(int);
typedef int (*truncate_t)(int, off_t);

static ssize_t struck_pwrite(pwrite_t real, int d, const void *data, size_t n, off_t at) {
    if ((mode == SHORT || mode == TORN_KILL) && n > 1) {
        ssize_t done = real(d, data, n / 2, at);
        if (mode == TORN_KILL) raise(SIGKILL);
        return done;
    }
    if (mode >= KILL) raise(SIGKILL);
    errno = code;
    return -1;
}

ssize_t pwrite64(int d, const void *data, size_t n, off_t at) {
    REAL("pwrite64", pwrite_t);
    return strikes_now(d, "pwrite") ? struck_pwrite(real, d, data, n, at) : real(d, data, n, at);
}
ssize_t pwrite(int d, const void *data, size_t n, off_t at) {
    REAL("pwrite", pwrite_t);
    return strikes_now(d, "pwrite") ? struck_pwrite(real, d, data, n, at) : real(d, data, n, at);
}
ssize_t write(int d, const void *data, size_t n) {
    REAL("write", write_t);
    if (!strikes_now(d, "write")) return real(d, data, n);
    if ((mode == SHORT || mode == TORN_KILL) && n > 1) {
        ssize_t done = real(d, data, n / 2);
        if (mode == TORN_KILL) raise(SIGKILL);
        return done;
    }
    if (mode >= KILL) raise(SIGKILL);
    errno = code;
    return -1;
}
static int plain(void) {
    if (mode >= KILL) raise(SIGKILL);
    errno = code;
    return -1;
}
int fsync(int d) { REAL("fsync", sync_t); return strikes_now(d, "fsync") ? plain() : real(d); }
int fdatasync(int d) { REAL("fdatasync", sync_t); return strikes_now(d, "fdatasync") ? plain() : real(d); }
int ftruncate64(int d, off_t n) { REAL("ftruncate64", truncate_t); return strikes_now(d, "ftruncate") ? plain() : real(d, n); }
int ftruncate(int d, off_t n) { REAL("ftruncate", truncate_t); return strikes_now(d, "ftruncate") ? plain() : real(d, n); }
