/* Receiving batches of messages: recvmmsg for sockets, read for devices. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"

/* Untouched parts of the slots never become resident: large slots cost address space only. */
struct batch {
  struct mmsghdr headers[MAX_MESSAGES];
  struct iovec vectors[MAX_MESSAGES];
  uint8_t names[MAX_MESSAGES][NAME_BYTES] __attribute__((aligned(8)));
  uint8_t control[MAX_MESSAGES][CONTROL_BYTES] __attribute__((aligned(8)));
  uint8_t data[MAX_MESSAGES][MESSAGE_BYTES] __attribute__((aligned(8)));
};

struct batch *batch_create(void) { return calloc(1, sizeof(struct batch)); }

void batch_free(struct batch *batch) { free(batch); }

static int receive_messages(struct batch *batch, int fd, unsigned limit, int flags) {
  for (unsigned i = 0; i < limit; i++) {
    batch->vectors[i] = (struct iovec){batch->data[i], MESSAGE_BYTES};
    batch->headers[i].msg_hdr = (struct msghdr){.msg_name = batch->names[i], .msg_namelen = NAME_BYTES,
                                                .msg_iov = &batch->vectors[i], .msg_iovlen = 1,
                                                .msg_control = batch->control[i], .msg_controllen = CONTROL_BYTES};
  }
  return recvmmsg(fd, batch->headers, limit, MSG_DONTWAIT | flags, NULL);
}

static int read_packets(struct batch *batch, int fd, unsigned limit) {
  unsigned count = 0;
  while (count < limit) {
    ssize_t length = read(fd, batch->data[count], MESSAGE_BYTES);
    if (length < 0 && count == 0) return -1; /* after the first packet the error comes back at the next wake-up */
    if (length <= 0) break;
    batch->headers[count] = (struct mmsghdr){.msg_len = (unsigned)length};
    count++;
  }
  return (int)count;
}

/* An error condition nothing could be read for: the socket's pending error, or a descriptor that is dead and would spin for ever. */
static void explain_condition(const struct source *source, struct outcome *outcome) {
  socklen_t length = sizeof outcome->error;
  outcome->syscall = "poll";
  if (!source->device && getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &outcome->error, &length) == 0 && outcome->error != 0) return;
  struct pollfd again = {.fd = source->fd, .events = 0};
  if (poll(&again, 1, 0) == 1 && (again.revents & (POLLERR | POLLHUP | POLLNVAL))) {
    outcome->error = EPIPE;
    outcome->stopped = true;
  }
}

static bool is_final(int error) {
  return error == EBADF || error == EBADFD || error == EFAULT || error == EINVAL || error == EIO || error == ENOTCONN ||
         error == ENOTSOCK || error == EOPNOTSUPP;
}

/* Receives at most source->limit messages into the shared slots. An error is a result like any other: ENOBUFS, ECONNREFUSED ... */
struct outcome batch_receive(struct batch *batch, const struct source *source, uint32_t events) {
  struct outcome outcome = {.syscall = source->device ? "read" : "recvmmsg"};
  int count = -1;
  if (source->device) {
    count = read_packets(batch, source->fd, source->limit);
  } else {
    /* The error queue raises EPOLLERR until it is read, and a normal receive does not read it. */
    if (events & EPOLLERR) count = receive_messages(batch, source->fd, source->limit, MSG_ERRQUEUE);
    if (count < 0 && (!(events & EPOLLERR) || errno == EAGAIN)) count = receive_messages(batch, source->fd, source->limit, 0);
  }
  if (count >= 0) {
    outcome.count = (unsigned)count;
  } else if (errno != EAGAIN && errno != EINTR) {
    outcome.error = errno;
    outcome.stopped = is_final(errno);
  } else if (events & (EPOLLERR | EPOLLHUP)) {
    explain_condition(source, &outcome);
  }
  return outcome;
}

static napi_value make_record(napi_env env, const struct msghdr *header, const uint8_t *data, uint32_t length) {
  napi_value record;
  void *copy;
  uint32_t name = header->msg_namelen <= NAME_BYTES ? header->msg_namelen : NAME_BYTES;
  uint32_t control = (uint32_t)header->msg_controllen;
  const uint32_t lead[4] = {length, name, control, (uint32_t)header->msg_flags};
  if (napi_create_buffer(env, sizeof lead + length + name + control, &copy, &record) != napi_ok) return NULL;
  uint8_t *at = memcpy(copy, lead, sizeof lead);
  memcpy(at + sizeof lead, data, length);
  if (name > 0) memcpy(at + sizeof lead + length, header->msg_name, name);
  if (control > 0) memcpy(at + sizeof lead + length + name, header->msg_control, control);
  return record;
}

/*
 * The last batch as an array of Buffers, one per message: four native-endian 32-bit numbers (lengths of data, name and control
 * messages, receive flags), then the data, the sender's struct sockaddr and the control messages. NULL with a pending exception when
 * memory is short.
 */
napi_value batch_records(napi_env env, struct batch *batch, const struct source *source, unsigned count) {
  napi_value records, record;
  bool complete = napi_create_array_with_length(env, count, &records) == napi_ok;
  for (unsigned i = 0; i < count; i++) {
    const struct mmsghdr *header = &batch->headers[i];
    record = complete ? make_record(env, &header->msg_hdr, batch->data[i], header->msg_len) : NULL;
    complete = record != NULL && napi_set_element(env, records, i, record) == napi_ok;
    if (source->wipe) explicit_bzero(batch->data[i], header->msg_len);
  }
  return complete ? records : NULL;
}
