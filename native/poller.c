/*
 * One epoll descriptor for all sockets, and libuv polls that one. libuv must not poll the sockets themselves: it takes POLLERR (an
 * overrun netlink socket, an ICMP error) for the end of the descriptor and stops for good.
 * Level-triggered: what a bounded wake-up leaves is reported again after the rest of the event loop had its turn, and epoll moves a
 * reported descriptor behind the others, so a flooded socket cannot starve its neighbours.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "addon.h"

enum { MAX_READY = 32 };

void poller_retain(struct poller *poller) { poller->references++; }

void poller_release(struct poller *poller) {
  if (--poller->references > 0) return;
  batch_free(poller->batch);
  free(poller);
}

struct poller *poller_of(napi_env env) {
  void *data = NULL;
  napi_get_instance_data(env, &data);
  return data;
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
  arguments[0] = batch_records(handle, outcome->count);
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

static void dispatch(struct handle *handle, uint32_t events) {
  struct outcome outcome = {0};
  napi_handle_scope scope;
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) outcome = batch_receive(handle, events);
  if (outcome.stopped) handle_arm(handle, 0);
  bool writable = (events & EPOLLOUT) != 0;
  if (outcome.count == 0 && outcome.error == 0 && !writable) return;
  if (napi_open_handle_scope(handle->poller->env, &scope) != napi_ok) return;
  call_back(handle, &outcome, writable);
  napi_close_handle_scope(handle->poller->env, scope);
}

static void on_ready(uv_handle_t *watcher, int status, int events) {
  (void)status;
  (void)events;
  struct poller *poller = uv_handle_get_data(watcher);
  struct epoll_event ready[MAX_READY];
  int count = epoll_wait(poller->epoll_fd, ready, MAX_READY, 0);
  /* A callback may close, and the collector free, any handle of this round: keep them all until it is over. */
  for (int i = 0; i < count; i++) handle_retain(ready[i].data.ptr);
  for (int i = 0; i < count; i++) {
    struct handle *handle = ready[i].data.ptr;
    uint32_t wanted = handle->events == 0 ? 0 : handle->events | EPOLLERR | EPOLLHUP;
    if (ready[i].events & wanted) dispatch(handle, ready[i].events & wanted);
    handle_release(handle);
  }
}

static void on_closed(uv_handle_t *watcher) {
  struct poller *poller = uv_handle_get_data(watcher);
  free(watcher);
  napi_remove_async_cleanup_hook(poller->cleanup);
  poller_release(poller);
}

static void on_teardown(napi_async_cleanup_hook_handle cleanup, void *data) {
  struct poller *poller = data;
  poller->cleanup = cleanup;
  int epoll_fd = poller->epoll_fd;
  poller->epoll_fd = -1;
  napi_async_destroy(poller->env, poller->context);
  uv_close(poller->watcher, on_closed); /* stops polling at once */
  close(epoll_fd);
}

static bool start_polling(struct poller *poller) {
  struct uv_loop_s *loop;
  if (strcmp(uv_handle_type_name(UV_HANDLE_TYPE_POLL), "poll") != 0) return false; /* libuv.h is wrong for this Node */
  poller->watcher = calloc(1, uv_handle_size(UV_HANDLE_TYPE_POLL));
  if (poller->watcher == NULL || napi_get_uv_event_loop(poller->env, &loop) != napi_ok) return false;
  if (uv_poll_init(loop, poller->watcher, poller->epoll_fd) != 0) return false;
  uv_handle_set_data(poller->watcher, poller);
  uv_poll_start(poller->watcher, UV_EVENT_READABLE, on_ready);
  uv_unref(poller->watcher);
  return true;
}

/* The poller of this environment, kept as its instance data; NULL when anything is missing (an exception may be pending). */
struct poller *poller_create(napi_env env) {
  napi_value name, resource;
  struct poller *poller = calloc(1, sizeof *poller);
  if (poller == NULL) return NULL;
  poller->references = 1;
  poller->env = env;
  poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  napi_create_string_utf8(env, "DSMIPD", NAPI_AUTO_LENGTH, &name);
  napi_create_object(env, &resource);
  if (poller->epoll_fd >= 0 && napi_async_init(env, resource, name, &poller->context) == napi_ok && start_polling(poller)) {
    napi_add_async_cleanup_hook(env, on_teardown, poller, &poller->cleanup);
    napi_set_instance_data(env, poller, NULL, NULL);
    return poller;
  }
  if (poller->epoll_fd >= 0) close(poller->epoll_fd);
  free(poller->watcher); /* start_polling fails only before libuv knows it */
  free(poller);
  return NULL;
}
