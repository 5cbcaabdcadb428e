/* Sending batches of messages: sendmmsg for sockets, write for devices. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"

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
    int done = handle->source.device ? write_packet(handle->source.fd, &headers[at].msg_hdr)
                              : sendmmsg(handle->source.fd, headers + at, count - at, MSG_DONTWAIT | MSG_NOSIGNAL);
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

enum { PARTS = 3 }; /* of a message: data, name, control */

static bool get_part(napi_env env, napi_value value, bool optional, struct bytes *out) {
  *out = (struct bytes){0};
  return (optional && is_undefined(env, value)) || get_bytes(env, value, "part", out);
}

static bool prepare(napi_env env, napi_value parts, uint32_t first, uint32_t count, struct mmsghdr *headers, struct iovec *vectors) {
  napi_value values[MAX_MESSAGES * PARTS];
  struct bytes data, name, control;
  /* An element may be a getter, which may do anything: detach a buffer, too. So all are read before there is a pointer to any. */
  for (uint32_t i = 0; i < count * PARTS; i++) {
    if (napi_get_element(env, parts, first * PARTS + i, &values[i]) != napi_ok) return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    const napi_value *of = &values[i * PARTS];
    if (!get_part(env, of[0], false, &data) || !get_part(env, of[1], true, &name) || !get_part(env, of[2], true, &control)) {
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
  napi_set_named_property(env, object, "error", errno_value(env, result->error, handle->source.device ? "write" : "sendmmsg"));
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
  if (napi_get_array_length(env, arguments[1], &length) != napi_ok || length % PARTS != 0) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "parts must be an array of three parts for each message");
    return NULL;
  }
  for (uint32_t first = 0, total = length / PARTS; first < total; first += MAX_MESSAGES) {
    uint32_t count = total - first < MAX_MESSAGES ? total - first : MAX_MESSAGES;
    if (!prepare(env, arguments[1], first, count, headers, vectors)) return NULL;
    if (!send_prepared(handle, headers, count, &result)) break;
  }
  return sending_value(env, handle, &result);
}
