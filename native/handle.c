/* The object behind every descriptor: life time, membership in the poller's epoll set, and the callback with what arrived. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "addon.h"

static const napi_type_tag HANDLE_TAG = {0x6d1cfe0b5a4f4c2eULL, 0x9b7c35d2a8e14f60ULL};

static void handle_retain(struct handle *handle) { handle->references++; }

static void handle_release(struct handle *handle) {
  if (--handle->references > 0) return;
  poller_release(handle->poller);
  free(handle);
}

/* As poller_arm. */
static int handle_arm(struct handle *handle, uint32_t events) {
  int error = poller_arm(handle->poller, handle->source.fd, handle, handle->events, events);
  if (error == 0) handle->events = events;
  return error;
}

static void handle_close(napi_env env, struct handle *handle) {
  if (handle->source.fd >= 0) {
    handle_arm(handle, 0);
    close(handle->source.fd);
    handle->source.fd = -1;
  }
  if (handle->callback != NULL) napi_delete_reference(env, handle->callback);
  if (handle->self != NULL) napi_delete_reference(env, handle->self);
  handle->callback = handle->self = NULL;
}

/* An exception out of a callback is nobody's to catch here: it becomes Node's uncaughtException, and the loop goes on. */
static void report_exception(napi_env env) {
  napi_value exception;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending && napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

static void call_back(struct handle *handle, const struct outcome *outcome, bool writable) {
  napi_env env = handle->poller->env;
  napi_value self, callback, arguments[3];
  napi_get_reference_value(env, handle->self, &self);
  napi_get_reference_value(env, handle->callback, &callback);
  arguments[0] = batch_records(env, handle->poller->batch, &handle->source, outcome->count);
  if (arguments[0] != NULL) {
    napi_get_undefined(env, &arguments[1]);
    if (outcome->error != 0) {
      arguments[1] = errno_value(env, outcome->error, outcome->syscall);
      napi_value stopped;
      napi_get_boolean(env, outcome->stopped, &stopped);
      napi_set_named_property(env, arguments[1], "stopped", stopped);
    }
    napi_get_boolean(env, writable, &arguments[2]);
    napi_make_callback(env, handle->poller->context, self, callback, 3, arguments, NULL);
  }
  report_exception(env);
}

static void dispatch(struct handle *handle, uint32_t ready) {
  struct outcome outcome = {0};
  napi_handle_scope scope;
  uint32_t events = handle->events == 0 ? 0 : ready & (handle->events | EPOLLERR | EPOLLHUP);
  if (events == 0) return;
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) outcome = batch_receive(handle->poller->batch, &handle->source, events);
  if (outcome.stopped) handle_arm(handle, 0);
  bool writable = (events & EPOLLOUT) != 0;
  if (outcome.count == 0 && outcome.error == 0 && !writable) return;
  if (napi_open_handle_scope(handle->poller->env, &scope) != napi_ok) return;
  call_back(handle, &outcome, writable);
  napi_close_handle_scope(handle->poller->env, scope);
}

const struct watched_operations HANDLE_OPERATIONS = {.retain = handle_retain, .release = handle_release, .dispatch = dispatch};

static void finalize(napi_env env, void *data, void *hint) {
  (void)hint;
  handle_close(env, data);
  handle_release(data);
}

/* Takes `fd` over, also on failure (NULL, an exception is pending). */
napi_value handle_create(napi_env env, int fd, bool device) {
  napi_value object;
  struct handle *handle = calloc(1, sizeof *handle);
  if (handle == NULL) {
    close(fd);
    return throw_errno(env, ENOMEM, "calloc");
  }
  handle->references = 1;
  handle->source.fd = fd;
  handle->source.device = device;
  handle->poller = poller_of(env);
  poller_retain(handle->poller);
  if (napi_create_object(env, &object) == napi_ok && napi_type_tag_object(env, object, &HANDLE_TAG) == napi_ok &&
      napi_wrap(env, object, handle, finalize, NULL, NULL) == napi_ok) {
    return object;
  }
  finalize(env, handle, NULL);
  napi_throw_error(env, NULL, "cannot wrap a descriptor");
  return NULL;
}

static struct handle *unwrap(napi_env env, napi_value value) {
  void *data;
  bool tagged = false;
  napi_check_object_type_tag(env, value, &HANDLE_TAG, &tagged);
  if (tagged && napi_unwrap(env, value, &data) == napi_ok) return data;
  bool pending = false; /* the check itself throws on what is no object */
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "handle must be an object made by this addon");
  return NULL;
}

/* Reads `count` arguments, the first an open handle; NULL with a pending TypeError (no handle) or EBADF (closed). */
struct handle *get_handle(napi_env env, napi_callback_info info, size_t count, napi_value *arguments) {
  struct handle *handle = get_arguments(env, info, count, arguments) ? unwrap(env, arguments[0]) : NULL;
  if (handle != NULL && handle->source.fd < 0) {
    throw_errno(env, EBADF, "handle");
    return NULL;
  }
  return handle;
}

/* watch(handle, limit, wipe, callback): who is told, and how many messages at most in one go. Once per handle; arm() starts it. */
napi_value js_watch(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  napi_valuetype type;
  int64_t limit;
  bool wipe;
  struct handle *handle = get_handle(env, info, 4, arguments);
  if (handle == NULL || !get_int(env, arguments[1], "limit", 1, MAX_MESSAGES, &limit)) return NULL;
  napi_typeof(env, arguments[3], &type);
  if (napi_get_value_bool(env, arguments[2], &wipe) != napi_ok || type != napi_function) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "wipe must be a boolean and callback a function");
    return NULL;
  }
  if (handle->callback != NULL) return throw_errno(env, EALREADY, "watch");
  if (handle->poller->batch == NULL && (handle->poller->batch = batch_create()) == NULL) {
    return throw_errno(env, ENOMEM, "malloc");
  }
  handle->source.limit = (uint32_t)limit;
  handle->source.wipe = wipe;
  napi_create_reference(env, arguments[0], 1, &handle->self);
  napi_create_reference(env, arguments[3], 1, &handle->callback);
  return NULL;
}

/* arm(handle, events): EPOLLIN, EPOLLOUT, both, or 0 to pause. */
napi_value js_arm(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int64_t events;
  struct handle *handle = get_handle(env, info, 2, arguments);
  if (handle == NULL || !get_int(env, arguments[1], "events", 0, EPOLLIN | EPOLLOUT, &events)) return NULL;
  if ((events & ~(EPOLLIN | EPOLLOUT)) != 0) return throw_errno(env, EINVAL, "arm");
  if (handle->callback == NULL) return throw_errno(env, ENOTCONN, "arm");
  int error = handle_arm(handle, (uint32_t)events);
  return error == 0 ? NULL : throw_errno(env, error, "epoll_ctl");
}

/* close(handle): may be called twice, and from inside any callback. */
napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (!get_arguments(env, info, 1, &argument)) return NULL;
  struct handle *handle = unwrap(env, argument);
  if (handle != NULL) handle_close(env, handle);
  return NULL;
}
