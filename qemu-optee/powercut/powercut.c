/*
 * Preloaded under the stock tee-supplicant: power loss, or a failing disk, at a chosen call.
 *
 * /run/tapvault/powercut holds one line, read at every call that changes the store:
 *   "cut N"   the machine stops before the N-th such call is made, with nothing flushed
 *   "fail N"  the N-th such call returns EIO instead
 *   "count"   calls are counted only
 * The count starts anew whenever the line changes, and stands in /run/tapvault/powercut.count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char armed[32];
static unsigned long count;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static size_t slurp(const char *path, char *out, size_t size)
{
	int fd = REAL(open64)(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : REAL(read)(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = 0;
	return n > 0 ? n : 0;
}

static void spill(const char *path, const char *text)
{
	int fd = REAL(open64)(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0) {
		if (REAL(write)(fd, text, strlen(text)) < 0)
			perror(path);
		close(fd);
	}
}

/* Returns nonzero when the call is to fail. */
static int event(void)
{
	char line[32], text[32];
	unsigned long n = 0;
	int fail = 0;

	pthread_mutex_lock(&lock);
	if (!slurp("/run/tapvault/powercut", line, sizeof(line))) {
		/* Disarmed: the same line later counts from the beginning. */
		armed[0] = 0;
		pthread_mutex_unlock(&lock);
		return 0;
	}
	if (strcmp(line, armed)) {
		strcpy(armed, line);
		count = 0;
	}
	count++;
	snprintf(text, sizeof(text), "%lu\n", count);
	spill("/run/tapvault/powercut.count", text);
	if (sscanf(line, "cut %lu", &n) == 1 && n == count) {
		/* 'b' resets at once: no sync, no unmount; QEMU runs with -no-reboot. */
		spill("/proc/sysrq-trigger", "b");
		for (;;)
			pause();
	}
	if (sscanf(line, "fail %lu", &n) == 1 && n == count)
		fail = 1;
	pthread_mutex_unlock(&lock);
	if (fail)
		errno = EIO;
	return fail;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	return event() ? -1 : REAL(pwrite64)(fd, buf, len, at);
}

int ftruncate64(int fd, off64_t len)
{
	return event() ? -1 : REAL(ftruncate64)(fd, len);
}

int fsync(int fd)
{
	return event() ? -1 : REAL(fsync)(fd);
}

int rename(const char *from, const char *to)
{
	return event() ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path)
{
	return event() ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
	return event() ? -1 : REAL(mkdir)(path, mode);
}

int rmdir(const char *path)
{
	return event() ? -1 : REAL(rmdir)(path);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if ((flags & O_CREAT) && event())
		return -1;
	return REAL(open64)(path, flags, mode);
}
