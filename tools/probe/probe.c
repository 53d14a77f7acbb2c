/* The instrument of `make bench-spine`, and the loop that dancer is held
 * against. It is in C so that the measuring does not add what it measures.
 *
 *   probe measure SECONDS
 *       Plays a robot's microcontroller on two pseudo-terminals, whose names it
 *       prints first: 1,000 frames a second on the one, every fifth of which
 *       crosses the threshold of a reflex; the answer is the next lamp line on
 *       the other. Waits for a line on standard input before it begins. Prints
 *       "samples lost p50 p99 p99.9 max", times in microseconds from the write of
 *       the frame to the read of the answer.
 *   probe loop IN OUT
 *       The least that answers like this: epoll, a hundred comparisons, one
 *       write, at the priority and with the locked memory that dancer's spine
 *       asks for. IN and OUT are terminals, or - for standard input and output;
 *       it ends with its input. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 100, FRAME_NS = 1000000, FRAMES_PER_CROSSING = 5, ANSWER_MS = 200 };

__attribute__((noreturn)) static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void be_realtime(int priority)
{
	struct sched_param p = {.sched_priority = priority};
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p))
		perror("probe: no real-time priority");
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		perror("probe: memory not locked");
}

static void make_raw(int fd)
{
	struct termios t;
	if (tcgetattr(fd, &t))
		die("read terminal");
	cfmakeraw(&t);
	if (tcsetattr(fd, TCSANOW, &t))
		die("set terminal");
}

/* A terminal's master end; its other end is kept open by us. */
static int open_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) || unlockpt(master))
		die("open terminal");
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0)
		die("open terminal");
	make_raw(slave);
	printf("%s\n", ptsname(master));
	return master;
}

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

/* Waits for the lamp's line and gives its time, or 0 when none came. */
static long long answer(int fd, char want)
{
	static char line[64];
	static size_t length;
	long long until = now_ns() + ANSWER_MS * 1000000LL;
	while (now_ns() < until) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, 1) <= 0)
			continue;
		char chunk[512];
		ssize_t n = read(fd, chunk, sizeof chunk);
		long long at = now_ns();
		int seen = 0;
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] == '\n') {
				seen |= length >= 3 && line[0] == 'L' && line[2] == want;
				length = 0;
			} else if (length < sizeof line)
				line[length++] = chunk[i];
		}
		if (seen)
			return at;
	}
	return 0;
}

static int measure(int seconds)
{
	int in = open_terminal(), out = open_terminal();
	fflush(stdout);
	long crossings = seconds * 1000L / FRAMES_PER_CROSSING, samples = 0, lost = 0;
	long long *took = calloc(crossings, sizeof *took);
	char line[64];
	/* Something to read while the robot starts, so that nothing goes stale. */
	struct pollfd go = {.fd = 0, .events = POLLIN};
	while (poll(&go, 1, 50) == 0)
		if (write(in, "{\"range\": 2.00}\n", 16) != 16)
			die("write frame");
	if (!fgets(line, sizeof line, stdin))
		return 1;
	be_realtime(90);
	answer(out, '?'); /* empties the line */
	long long next = now_ns();
	for (long c = 0; c < crossings; c++) {
		int near = c % 2 == 0;
		const char *frame = near ? "{\"range\": 0.20}\n" : "{\"range\": 2.00}\n";
		for (int f = 0; f < FRAMES_PER_CROSSING; f++) {
			struct timespec t = {next / 1000000000LL, next % 1000000000LL};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
			long long at = now_ns();
			if (write(in, frame, 16) != 16)
				die("write frame");
			if (f == 0) {
				long long end = answer(out, near ? '1' : '0');
				if (end)
					took[samples++] = end - at;
				else
					lost++;
			}
			next += FRAME_NS;
			if (next < now_ns())
				next = now_ns();
		}
	}
	if (samples == 0)
		return 1;
	qsort(took, samples, sizeof *took, by_size);
	printf("%ld %ld %.1f %.1f %.1f %.1f\n", samples, lost, took[samples / 2] / 1e3,
	       took[samples * 99 / 100] / 1e3, took[samples * 999 / 1000] / 1e3, took[samples - 1] / 1e3);
	return 0;
}

static void loop(const char *in_name, const char *out_name)
{
	int in = 0, out = 1;
	if (strcmp(in_name, "-")) {
		in = open(in_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
		out = open(out_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
		if (in < 0 || out < 0)
			die("open terminal");
		make_raw(in);
		make_raw(out);
	}
	double limits[RULES];
	for (int i = 0; i < RULES; i++)
		limits[i] = 0.30 - i;
	be_realtime(80);
	int set = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, in, &e))
		die("watch terminal");
	char line[64];
	size_t length = 0;
	int on = -1; /* unknown: the first frame is answered too */
	if (write(out, "ready\n", 6) != 6)
		die("write");
	for (;;) {
		if (epoll_wait(set, &e, 1, -1) < 0)
			die("wait");
		char chunk[4096];
		ssize_t n = read(in, chunk, sizeof chunk);
		if (n == 0)
			exit(0);
		if (n < 0)
			continue;
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] != '\n') {
				if (length < sizeof line - 1)
					line[length++] = chunk[i];
				continue;
			}
			line[length] = 0;
			length = 0;
			char *colon = strchr(line, ':');
			double range = colon ? strtod(colon + 1, NULL) : 0;
			int fired = 0;
			for (int r = 0; r < RULES; r++)
				fired |= range < limits[r];
			int next = on > 0 ? !(range > 0.45) : fired;
			if (next != on && write(out, next ? "L 1\n" : "L 0\n", 4) == 4)
				on = next;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "measure"))
		return measure(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "loop"))
		loop(argv[2], argv[3]);
	fprintf(stderr, "usage: probe measure SECONDS | probe loop IN OUT\n");
	return 2;
}
