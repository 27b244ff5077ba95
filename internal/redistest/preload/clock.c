// A clock of the time of day that a test sets. redis-server is started with this library
// in LD_PRELOAD. The monotonic clock stays as it is, as when the clock of a machine is set.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t second = 1000000000;

// In nanoseconds, in a file that the test writes.
static const volatile int64_t *ahead;

__attribute__((constructor)) static void map_file(void) {
	const char *name = getenv("REDISTEST_CLOCK");
	int file = name ? open(name, O_RDONLY) : -1;
	if (file < 0)
		return;
	void *page = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (page != MAP_FAILED)
		ahead = page;
}

int clock_gettime(clockid_t id, struct timespec *at) {
	int failed = (int)syscall(SYS_clock_gettime, id, at);
	if (failed || !ahead || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return failed;
	int64_t by = *ahead, ns = at->tv_nsec + by % second;
	at->tv_sec += by / second;
	if (ns < 0) {
		ns += second;
		at->tv_sec--;
	} else if (ns >= second) {
		ns -= second;
		at->tv_sec++;
	}
	at->tv_nsec = ns;
	return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
	struct timespec now;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at) {
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}
