/* Opening sockets and their options. Addresses are struct sockaddr octets as controller/io/address.ts writes and reads them. */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"

enum { MAX_OPTION_BYTES = 65536 };

/* open(family, type, protocol, netns?): a non-blocking, close-on-exec socket. */
napi_value js_open(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  int64_t family, type, protocol;
  int home;
  if (!get_arguments(env, info, 4, arguments) || !get_int(env, arguments[0], "family", 0, 255, &family) ||
      !get_int(env, arguments[1], "type", 1, 15, &type) || !get_int(env, arguments[2], "protocol", 0, 65535, &protocol) ||
      !namespace_enter(env, arguments[3], &home)) {
    return NULL;
  }
  int fd = socket((int)family, (int)type | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)protocol);
  namespace_leave(home);
  return fd < 0 ? throw_errno(env, errno, "socket") : handle_create(env, fd, false);
}

typedef int (*address_call)(int, const struct sockaddr *, socklen_t);

static napi_value with_address(napi_env env, napi_callback_info info, address_call call, const char *syscall) {
  napi_value arguments[2];
  struct bytes address;
  struct sockaddr_storage storage = {0}; /* the given octets need not be aligned */
  struct handle *handle = get_handle(env, info, 2, arguments);
  if (handle == NULL || !get_bytes(env, arguments[1], "address", &address)) return NULL;
  if (address.length > sizeof storage) return throw_errno(env, EINVAL, syscall);
  if (address.length > 0) memcpy(&storage, address.data, address.length);
  if (call(handle->source.fd, (struct sockaddr *)&storage, (socklen_t)address.length) == 0) return NULL;
  return throw_errno(env, errno, syscall);
}

napi_value js_bind(napi_env env, napi_callback_info info) { return with_address(env, info, bind, "bind"); }

napi_value js_connect(napi_env env, napi_callback_info info) { return with_address(env, info, connect, "connect"); }

napi_value js_getsockname(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  struct sockaddr_storage storage = {0};
  socklen_t length = sizeof storage;
  struct handle *handle = get_handle(env, info, 1, &argument);
  if (handle == NULL) return NULL;
  if (getsockname(handle->source.fd, (struct sockaddr *)&storage, &length) != 0) return throw_errno(env, errno, "getsockname");
  if (length > sizeof storage) length = sizeof storage;
  napi_create_buffer_copy(env, length, &storage, NULL, &result);
  return result;
}

/* setsockopt(handle, level, name, value): value is a Uint8Array, or a number for options that take an int. A filter program
   (SO_ATTACH_FILTER) is the octets of its struct sock_filter, to which the kernel wants a pointer. */
napi_value js_setsockopt(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  napi_valuetype type;
  int64_t level, name, number;
  struct bytes value;
  struct sock_fprog program;
  int integer;
  struct handle *handle = get_handle(env, info, 4, arguments);
  if (handle == NULL || !get_int(env, arguments[1], "level", 0, INT32_MAX, &level) ||
      !get_int(env, arguments[2], "name", 0, INT32_MAX, &name)) {
    return NULL;
  }
  napi_typeof(env, arguments[3], &type);
  if (type == napi_number) {
    if (!get_int(env, arguments[3], "value", INT32_MIN, UINT32_MAX, &number)) return NULL;
    integer = (int)(uint32_t)number;
    value = (struct bytes){(uint8_t *)&integer, sizeof integer};
  } else if (!get_bytes(env, arguments[3], "value", &value)) {
    return NULL;
  }
  if (level == SOL_SOCKET && name == SO_ATTACH_FILTER) {
    program = (struct sock_fprog){(unsigned short)(value.length / sizeof(struct sock_filter)), (void *)value.data};
    value = (struct bytes){(uint8_t *)&program, sizeof program};
  }
  if (setsockopt(handle->source.fd, (int)level, (int)name, value.data, (socklen_t)value.length) == 0) return NULL;
  return throw_errno(env, errno, "setsockopt");
}

/* getsockopt(handle, level, name, length): the octets the kernel returned, at most `length`. */
napi_value js_getsockopt(napi_env env, napi_callback_info info) {
  napi_value arguments[4], result = NULL;
  int64_t level, name, length;
  uint8_t value[MAX_OPTION_BYTES];
  struct handle *handle = get_handle(env, info, 4, arguments);
  if (handle == NULL || !get_int(env, arguments[1], "level", 0, INT32_MAX, &level) ||
      !get_int(env, arguments[2], "name", 0, INT32_MAX, &name) ||
      !get_int(env, arguments[3], "length", 0, MAX_OPTION_BYTES, &length)) {
    return NULL;
  }
  socklen_t size = (socklen_t)length;
  memset(value, 0, size);
  if (getsockopt(handle->source.fd, (int)level, (int)name, value, &size) != 0) return throw_errno(env, errno, "getsockopt");
  napi_create_buffer_copy(env, size < (socklen_t)length ? size : (socklen_t)length, value, NULL, &result);
  return result;
}
