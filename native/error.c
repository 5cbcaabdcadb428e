/* errno as JavaScript exceptions shaped like Node's own (errno, code, syscall), and argument checks that throw TypeErrors. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "addon.h"

/* libuv's names, and two it does not have: a TUN device that is gone, a packet refused by XFRM. */
static const char *errno_name(int error, char *buffer, size_t length) {
  return error == EBADFD ? "EBADFD" : error == EREMOTE ? "EREMOTE" : uv_err_name_r(-error, buffer, length);
}

void set_number(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

napi_value errno_value(napi_env env, int error, const char *syscall) {
  char name[64], message[256];
  napi_value code, text, call, object;
  const char *code_text = errno_name(error, name, sizeof name);
  snprintf(message, sizeof message, "%s: %s, %s", code_text, strerror(error), syscall);
  napi_create_string_utf8(env, code_text, NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &call);
  napi_create_error(env, code, text, &object); /* sets code */
  set_number(env, object, "errno", -error);
  napi_set_named_property(env, object, "syscall", call);
  return object;
}

napi_value throw_errno(napi_env env, int error, const char *syscall) {
  napi_throw(env, errno_value(env, error, syscall));
  return NULL;
}

static bool throw_type(napi_env env, const char *name, const char *wanted) {
  char message[160];
  snprintf(message, sizeof message, "%s must be %s", name, wanted);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count; /* missing ones come as undefined and fail their own check */
  return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok;
}

bool is_undefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

bool get_int(napi_env env, napi_value value, const char *name, int64_t min, int64_t max, int64_t *out) {
  double number;
  char wanted[96];
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= (double)min && number <= (double)max &&
      floor(number) == number) {
    *out = (int64_t)number;
    return true;
  }
  snprintf(wanted, sizeof wanted, "an integer in %lld..%lld", (long long)min, (long long)max);
  return throw_type(env, name, wanted);
}

bool get_bytes(napi_env env, napi_value value, const char *name, struct bytes *out) {
  napi_typedarray_type type;
  void *data;
  bool typed = false;
  napi_is_typedarray(env, value, &typed);
  if (!typed || napi_get_typedarray_info(env, value, &type, &out->length, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array) {
    return throw_type(env, name, "a Uint8Array");
  }
  out->data = data;
  return true;
}

bool get_text(napi_env env, napi_value value, const char *name, char *out, size_t size) {
  size_t length;
  char wanted[96];
  snprintf(wanted, sizeof wanted, "a string of 1 to %zu octets without zero octets", size - 1);
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length == 0 || length >= size) {
    return throw_type(env, name, wanted);
  }
  napi_get_value_string_utf8(env, value, out, size, &length);
  return memchr(out, 0, length) == NULL || throw_type(env, name, wanted);
}
