/* The object behind every descriptor: life time, the callback, and membership in the poller's epoll set. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "addon.h"

static const napi_type_tag HANDLE_TAG = {0x6d1cfe0b5a4f4c2eULL, 0x9b7c35d2a8e14f60ULL};

void handle_retain(struct handle *handle) { handle->references++; }

void handle_release(struct handle *handle) {
  if (--handle->references > 0) return;
  poller_release(handle->poller);
  free(handle);
}

/* Sets the events waited for; 0 leaves the epoll set, so that not even errors are reported. Returns an errno. */
int handle_arm(struct handle *handle, uint32_t events) {
  struct poller *poller = handle->poller;
  struct epoll_event event = {.events = events, .data.ptr = handle};
  if (events == handle->events) return 0;
  int operation = handle->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (poller->epoll_fd >= 0) {
    if (epoll_ctl(poller->epoll_fd, operation, handle->fd, &event) != 0) return errno;
    if (operation == EPOLL_CTL_ADD && poller->armed++ == 0) uv_ref(poller->watcher);
    if (operation == EPOLL_CTL_DEL && --poller->armed == 0) uv_unref(poller->watcher);
  }
  handle->events = events;
  return 0;
}

static void handle_close(napi_env env, struct handle *handle) {
  if (handle->fd >= 0) {
    handle_arm(handle, 0);
    close(handle->fd);
    handle->fd = -1;
  }
  if (handle->callback != NULL) napi_delete_reference(env, handle->callback);
  if (handle->self != NULL) napi_delete_reference(env, handle->self);
  handle->callback = handle->self = NULL;
}

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
  handle->fd = fd;
  handle->device = device;
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
  if (handle != NULL && handle->fd < 0) {
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
  handle->limit = (uint32_t)limit;
  handle->wipe = wipe;
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
