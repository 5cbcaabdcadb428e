/* Batches of messages in both directions: recvmmsg and sendmmsg for sockets, read and write for devices. */
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
static void explain_condition(const struct handle *handle, struct outcome *outcome) {
  socklen_t length = sizeof outcome->error;
  outcome->syscall = "poll";
  if (!handle->device && getsockopt(handle->fd, SOL_SOCKET, SO_ERROR, &outcome->error, &length) == 0 && outcome->error != 0) return;
  struct pollfd again = {.fd = handle->fd, .events = 0};
  if (poll(&again, 1, 0) == 1 && (again.revents & (POLLERR | POLLHUP | POLLNVAL))) {
    outcome->error = EPIPE;
    outcome->stopped = true;
  }
}

static bool is_final(int error) {
  return error == EBADF || error == EBADFD || error == EFAULT || error == EINVAL || error == EIO || error == ENOTCONN ||
         error == ENOTSOCK || error == EOPNOTSUPP;
}

/* Receives at most handle->limit messages into the shared slots. An error is a result like any other: ENOBUFS, ECONNREFUSED ... */
struct outcome batch_receive(struct handle *handle, uint32_t events) {
  struct batch *batch = handle->poller->batch;
  struct outcome outcome = {.syscall = handle->device ? "read" : "recvmmsg"};
  int count = -1;
  if (handle->device) {
    count = read_packets(batch, handle->fd, handle->limit);
  } else {
    /* The error queue raises EPOLLERR until it is read, and a normal receive does not read it. */
    if (events & EPOLLERR) count = receive_messages(batch, handle->fd, handle->limit, MSG_ERRQUEUE);
    if (count < 0 && (!(events & EPOLLERR) || errno == EAGAIN)) count = receive_messages(batch, handle->fd, handle->limit, 0);
  }
  if (count >= 0) {
    outcome.count = (unsigned)count;
  } else if (errno != EAGAIN && errno != EINTR) {
    outcome.error = errno;
    outcome.stopped = is_final(errno);
  } else if (events & (EPOLLERR | EPOLLHUP)) {
    explain_condition(handle, &outcome);
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
napi_value batch_records(struct handle *handle, unsigned count) {
  napi_env env = handle->poller->env;
  struct batch *batch = handle->poller->batch;
  napi_value records, record;
  bool complete = napi_create_array_with_length(env, count, &records) == napi_ok;
  for (unsigned i = 0; i < count; i++) {
    const struct mmsghdr *header = &batch->headers[i];
    record = complete ? make_record(env, &header->msg_hdr, batch->data[i], header->msg_len) : NULL;
    complete = record != NULL && napi_set_element(env, records, i, record) == napi_ok;
    if (handle->wipe) explicit_bzero(batch->data[i], header->msg_len);
  }
  return complete ? records : NULL;
}

struct sending {
  uint32_t sent;   /* accepted by the kernel */
  uint32_t next;   /* the first one not tried: the count, or less when the send buffer is full */
  int error;       /* errno of the first one refused */
  uint32_t failed; /* and its position */
};

static int write_packet(int fd, const struct msghdr *header) {
  return write(fd, header->msg_iov->iov_base, header->msg_iov->iov_len) < 0 ? -1 : 1;
}

/* Sends `count` prepared messages; one the kernel refuses is skipped, the rest is still tried. False: the send buffer is full. */
static bool send_prepared(const struct handle *handle, struct mmsghdr *headers, uint32_t count, struct sending *result) {
  for (uint32_t at = 0; at < count;) {
    int done = handle->device ? write_packet(handle->fd, &headers[at].msg_hdr)
                              : sendmmsg(handle->fd, headers + at, count - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) return false;
    if (done < 0 && result->error == 0) {
      result->error = errno;
      result->failed = result->next;
    }
    if (done > 0) result->sent += (uint32_t)done;
    at += done > 0 ? (uint32_t)done : 1;
    result->next += done > 0 ? (uint32_t)done : 1;
  }
  return true;
}

static bool get_part(napi_env env, napi_value parts, uint32_t at, bool optional, struct bytes *out) {
  napi_value value;
  *out = (struct bytes){0};
  if (napi_get_element(env, parts, at, &value) != napi_ok) return false;
  if (optional && is_undefined(env, value)) return true;
  return get_bytes(env, value, "part", out);
}

static bool prepare(napi_env env, napi_value parts, uint32_t first, uint32_t count, struct mmsghdr *headers, struct iovec *vectors) {
  struct bytes data, name, control;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t at = (first + i) * 3;
    if (!get_part(env, parts, at, false, &data) || !get_part(env, parts, at + 1, true, &name) ||
        !get_part(env, parts, at + 2, true, &control)) {
      return false;
    }
    vectors[i] = (struct iovec){data.data, data.length};
    headers[i] = (struct mmsghdr){.msg_hdr = {.msg_name = name.data, .msg_namelen = (socklen_t)name.length,
                                              .msg_iov = &vectors[i], .msg_iovlen = 1,
                                              .msg_control = control.data, .msg_controllen = control.length}};
  }
  return true;
}

static napi_value sending_value(napi_env env, const struct handle *handle, const struct sending *result) {
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "sent", result->sent);
  set_number(env, object, "next", result->next);
  if (result->error == 0) return object;
  set_number(env, object, "failed", result->failed);
  napi_set_named_property(env, object, "error", errno_value(env, result->error, handle->device ? "write" : "sendmmsg"));
  return object;
}

/*
 * send(handle, parts): three parts per message, in one flat array: data, struct sockaddr or undefined, control messages or undefined.
 * Returns {sent, next, failed?, error?} (struct sending). A TypeError in a later part leaves the full chunks before it sent.
 */
napi_value js_send(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  struct mmsghdr headers[MAX_MESSAGES];
  struct iovec vectors[MAX_MESSAGES];
  struct sending result = {0};
  uint32_t length;
  struct handle *handle = get_handle(env, info, 2, arguments);
  if (handle == NULL) return NULL;
  if (napi_get_array_length(env, arguments[1], &length) != napi_ok || length % 3 != 0) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "parts must be an array of three parts for each message");
    return NULL;
  }
  for (uint32_t first = 0, total = length / 3; first < total; first += MAX_MESSAGES) {
    uint32_t count = total - first < MAX_MESSAGES ? total - first : MAX_MESSAGES;
    if (!prepare(env, arguments[1], first, count, headers, vectors)) return NULL;
    if (!send_prepared(handle, headers, count, &result)) break;
  }
  return sending_value(env, handle, &result);
}
