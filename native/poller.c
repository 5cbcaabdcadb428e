/*
 * One epoll descriptor for all sockets, and libuv polls that one. libuv must not poll the sockets themselves: it takes POLLERR (an
 * overrun netlink socket, an ICMP error) for the end of the descriptor and stops for good.
 * Level-triggered: what a bounded wake-up leaves is reported again after the rest of the event loop had its turn, and epoll moves a
 * reported descriptor behind the others, so a flooded socket cannot starve its neighbours.
 */
#include <errno.h>
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

/* Sets the events waited for at `fd`, which `watched` stands for; 0 leaves the epoll set, so that not even errors are reported. Returns an errno. */
int poller_arm(struct poller *poller, int fd, struct handle *watched, uint32_t before, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watched};
  if (events == before || poller->epoll_fd < 0) return 0;
  int operation = before == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (epoll_ctl(poller->epoll_fd, operation, fd, &event) != 0) return errno;
  if (operation == EPOLL_CTL_ADD && poller->armed++ == 0) uv_ref(poller->watcher);
  if (operation == EPOLL_CTL_DEL && --poller->armed == 0) uv_unref(poller->watcher);
  return 0;
}

static void on_ready(uv_handle_t *watcher, int status, int events) {
  (void)status;
  (void)events;
  struct poller *poller = uv_handle_get_data(watcher);
  struct epoll_event ready[MAX_READY];
  int count = epoll_wait(poller->epoll_fd, ready, MAX_READY, 0);
  /* A callback may close, and the collector free, any handle of this round: keep them all until it is over. */
  for (int i = 0; i < count; i++) poller->watched->retain(ready[i].data.ptr);
  for (int i = 0; i < count; i++) {
    poller->watched->dispatch(ready[i].data.ptr, ready[i].events);
    poller->watched->release(ready[i].data.ptr);
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
struct poller *poller_create(napi_env env, const struct watched_operations *watched) {
  napi_value name, resource;
  struct poller *poller = calloc(1, sizeof *poller);
  if (poller == NULL) return NULL;
  poller->references = 1;
  poller->env = env;
  poller->watched = watched;
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
