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
 *       it ends with its input.
 *   probe edges CPU EDGES WARMUP PERIOD_NS SEED
 *       Writes edges, {"x":1} and {"x":0} in turn, to descriptor 4, each within
 *       half a period before or after its time and never before the answer to the
 *       one before, which it reads from descriptor 3. Writes a struct edge for each
 *       that counts to descriptor 5. If descriptor 6 is there, it is the memory in
 *       which the program under test leaves its stamps. Runs on one CPU, above the
 *       program under test, so that where both share the CPU the answer is read as
 *       soon as it is written.
 *   probe witness CPU PERIOD_NS
 *       Sleeps on one CPU at the highest priority, and writes "last due now" in ns of
 *       CLOCK_MONOTONIC whenever it ran more than GAP_NS late: from the time it was
 *       due until it ran nothing could run there, and perhaps since it ran last. Ends
 *       with its standard input. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <stdint.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 100, FRAME_NS = 1000000, FRAMES_PER_CROSSING = 5, ANSWER_MS = 200 };
enum { LOOP = 40, SOURCE = 50, WITNESS = 98 }; /* priorities; the first is that of dancer's spine */
enum { GAP_NS = 50000, LOST_MS = 10000, QUIET_MS = 200 };

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
	be_realtime(SOURCE);
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
	be_realtime(LOOP);
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

static void stay_on(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set))
		die("stay on a CPU");
}

static void sleep_until(int64_t at)
{
	struct timespec t = {at / 1000000000, at % 1000000000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/* What is known of one edge, ns of CLOCK_MONOTONIC. */
struct edge {
	int64_t begin;   /* before the write of the edge */
	int64_t sent;    /* after it */
	int64_t read;    /* the program under test reads its port, if it leaves stamps */
	int64_t written; /* it has written its output, if it leaves stamps */
	int64_t end;     /* the answer is read */
	int64_t waited;  /* since the edge before, its thread waited so long for a CPU, if it leaves stamps */
};

struct stamps {
	_Atomic int64_t read, written, thread;
};

/* How long a thread has waited for a CPU since its start, ns: the second number
 * of its schedstat. */
static int64_t waited_for_cpu(int fd)
{
	char text[128];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = 0;
	char *second = strchr(text, ' ');
	return second ? strtoll(second + 1, NULL, 10) : 0;
}

static int64_t read_answer(void)
{
	struct pollfd p = {.fd = 3, .events = POLLIN};
	char answer[256];
	int n;
	while ((n = poll(&p, 1, LOST_MS)) < 0)
		;
	if (n == 0) {
		fprintf(stderr, "probe: an edge had no answer within %d ms\n", LOST_MS);
		exit(1);
	}
	ssize_t got = read(3, answer, sizeof answer);
	int64_t at = now_ns();
	if (got <= 0)
		die("the program under test is gone: read answer");
	return at;
}

static int edges(int cpu, long count, long warmup, int64_t period, uint64_t seed)
{
	static const char *const lines[2] = {"{\"x\":1}\n", "{\"x\":0}\n"};
	struct edge *all = calloc(count, sizeof *all);
	struct stamps *stamps = mmap(NULL, sizeof *stamps, PROT_READ | PROT_WRITE, MAP_SHARED, 6, 0);
	int schedstat = -1;
	int64_t waited = 0;
	if (!all)
		die("no memory for the edges");
	stay_on(cpu);
	be_realtime(SOURCE);
	memset(all, 1, count * sizeof *all); /* touched before it counts */
	for (struct pollfd p = {.fd = 3, .events = POLLIN}; poll(&p, 1, QUIET_MS) > 0;)
		read_answer(); /* to no edge: what the program under test wrote at its start */
	int64_t next = now_ns();
	for (long i = -warmup; i < count; i++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17; /* xorshift64, Marsaglia 2003 */
		next += period / 2 + (int64_t)(seed % (uint64_t)period);
		if (next < now_ns())
			next = now_ns();
		sleep_until(next);
		struct edge e = {.begin = now_ns()};
		if (write(4, lines[i & 1], 8) != 8)
			die("write edge");
		e.sent = now_ns();
		e.end = read_answer();
		if (stamps != MAP_FAILED) {
			if (schedstat < 0) {
				char name[64];
				snprintf(name, sizeof name, "/proc/%lld/schedstat", (long long)stamps->thread);
				schedstat = open(name, O_RDONLY);
			}
			int64_t now = waited_for_cpu(schedstat);
			e.waited = now - waited, waited = now;
			e.read = stamps->read, e.written = stamps->written;
		}
		if (i >= 0)
			all[i] = e;
	}
	for (size_t done = 0, size = count * sizeof *all; done < size;) {
		ssize_t n = write(5, (char *)all + done, size - done);
		if (n <= 0)
			die("write edges");
		done += n;
	}
	return 0;
}

static int witness(int cpu, int64_t period)
{
	struct pollfd end = {.fd = 0, .events = POLLIN};
	stay_on(cpu);
	be_realtime(WITNESS);
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	int64_t next = now_ns(), last = next;
	for (long i = 1;; i++) {
		next += period;
		sleep_until(next);
		int64_t now = now_ns();
		if (now - next > GAP_NS)
			printf("%lld %lld %lld\n", (long long)last, (long long)next, (long long)now);
		last = now;
		if (now > next)
			next += (now - next) / period * period;
		if (i % 1000 == 0 && poll(&end, 1, 0) != 0)
			break;
	}
	return fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "measure"))
		return measure(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "loop"))
		loop(argv[2], argv[3]);
	if (argc == 7 && !strcmp(argv[1], "edges"))
		return edges(atoi(argv[2]), atol(argv[3]), atol(argv[4]), atoll(argv[5]), strtoull(argv[6], NULL, 10) | 1);
	if (argc == 4 && !strcmp(argv[1], "witness"))
		return witness(atoi(argv[2]), atoll(argv[3]));
	fprintf(stderr, "usage: probe measure SECONDS | probe loop IN OUT |\n"
			"probe edges CPU EDGES WARMUP PERIOD_NS SEED | probe witness CPU PERIOD_NS\n");
	return 2;
}
