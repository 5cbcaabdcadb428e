/*
 * A packet generator without any knowledge of protocols: sends prepared Ethernet frames from packet sockets, in short slices that
 * change between several sources, so that what disturbs the machine disturbs all of them alike.
 *
 * usage: blast ROUNDS SLICE DEVICE FRAMES-FILE FRAME-OCTETS [DEVICE FRAMES-FILE FRAME-OCTETS ...]
 *        blast PER-SECOND/s DEVICE FRAMES-FILE FRAME-OCTETS
 * SLICE is a number of milliseconds ("20ms") or of frames ("3200f"), rounded up to whole batches. The file holds frames of that length one
 * after the other; they are sent in a ring. One line per slice: SOURCE-NUMBER FRAMES NANOSECONDS. The first round warms up and is not
 * printed. In the second form it sends so many frames a second, evenly, until SIGTERM, and says how many and in which time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_SOURCES = 9 };

struct source {
  int socket;
  uint8_t *frames;
  size_t length, count, next;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void open_source(struct source *source, const char *device, const char *path, const char *length) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
  struct stat facts;
  int one = 1, file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &facts) < 0) fail(path);
  if (address.sll_ifindex == 0) fail(device);
  source->length = strtoul(length, NULL, 10);
  source->count = source->length ? (size_t)facts.st_size / source->length : 0;
  if (source->count < BATCH) errno = EINVAL, fail(path);
  source->frames = malloc((size_t)facts.st_size);
  if (!source->frames) fail("malloc");
  for (size_t at = 0; at < (size_t)facts.st_size;) {
    ssize_t got = read(file, source->frames + at, (size_t)facts.st_size - at);
    if (got <= 0) fail(path);
    at += (size_t)got;
  }
  close(file);
  source->socket = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: it receives nothing */
  if (source->socket < 0) fail("socket");
  if (setsockopt(source->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0) fail("PACKET_QDISC_BYPASS");
  if (bind(source->socket, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
}

/* Until the time or the frames are used up; the other one is without limit. */
static void slice(struct source *source, int number, uint64_t duration, uint64_t frames, int print) {
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH];
  uint64_t begin = now(), end, sent = 0, tried = 0;
  for (int i = 0; i < BATCH; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  do {
    for (int i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){source->frames + source->next * source->length, source->length};
      source->next = source->next + 1 == source->count ? 0 : source->next + 1;
    }
    int done = sendmmsg(source->socket, messages, BATCH, 0);
    if (done < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) fail("sendmmsg");
    if (done > 0) sent += (uint64_t)done;
    tried += BATCH;
    end = now();
  } while (end - begin < duration && tried < frames);
  if (print) printf("%d %llu %llu\n", number, (unsigned long long)sent, (unsigned long long)(end - begin));
}

static volatile sig_atomic_t ended;

static void end(int signal) {
  (void)signal;
  ended = 1;
}

/* What is due since the beginning is sent every millisecond; what a busy machine could not send in time is sent as soon as it can. */
static void steadily(struct source *source, uint64_t per_second) {
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH];
  uint64_t begin = now(), sent = 0, due = 0;
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  for (int i = 0; i < BATCH; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  while (!ended) {
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    uint64_t wanted = (now() - begin) * per_second / 1000000000u;
    while (due < wanted && !ended) {
      unsigned int batch = wanted - due < BATCH ? (unsigned int)(wanted - due) : BATCH;
      for (unsigned int i = 0; i < batch; i++) {
        vectors[i] = (struct iovec){source->frames + source->next * source->length, source->length};
        source->next = source->next + 1 == source->count ? 0 : source->next + 1;
      }
      int done = sendmmsg(source->socket, messages, batch, 0);
      if (done < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) fail("sendmmsg");
      if (done > 0) sent += (uint64_t)done;
      due += batch;
    }
  }
  printf("%llu %llu\n", (unsigned long long)sent, (unsigned long long)(now() - begin));
}

int main(int argc, char **argv) {
  if (argc == 5 && strstr(argv[1], "/s")) {
    struct source source = {0};
    open_source(&source, argv[2], argv[3], argv[4]);
    steadily(&source, strtoull(argv[1], NULL, 10));
    return 0;
  }
  struct source sources[MAX_SOURCES] = {0};
  int count = (argc - 3) / 3;
  if (argc < 6 || (argc - 3) % 3 != 0 || count > MAX_SOURCES) {
    fprintf(stderr, "usage: blast ROUNDS SLICE DEVICE FRAMES-FILE FRAME-OCTETS ...\n");
    return 2;
  }
  int rounds = atoi(argv[1]);
  char *unit;
  uint64_t length = strtoull(argv[2], &unit, 10), duration = UINT64_MAX, frames = UINT64_MAX;
  if (strcmp(unit, "ms") == 0) duration = length * 1000000u;
  else if (strcmp(unit, "f") == 0) frames = length;
  else {
    fprintf(stderr, "blast: a slice is a number of milliseconds (20ms) or of frames (3200f)\n");
    return 2;
  }
  for (int i = 0; i < count; i++) open_source(&sources[i], argv[3 + 3 * i], argv[4 + 3 * i], argv[5 + 3 * i]);
  /* Every second round backwards, so that nobody always comes after the same neighbour. */
  for (int round = 0; round <= rounds; round++) {
    for (int i = 0; i < count; i++) {
      int number = round % 2 ? count - 1 - i : i;
      slice(&sources[number], number, duration, frames, round > 0);
    }
  }
  return 0;
}
