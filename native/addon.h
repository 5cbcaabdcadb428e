/*
 * Shared declarations of the addon. It moves octets and errno between JavaScript and the kernel and knows nothing else:
 * socket addresses and control messages cross as raw octets, controller/io gives them meaning.
 */
#ifndef DSMIPD_ADDON_H
#define DSMIPD_ADDON_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "libuv.h"

enum {
  MAX_MESSAGES = 64,        /* per wake-up of one socket, and per sendmmsg */
  MESSAGE_BYTES = 65536,    /* the largest IP datagram fits */
  CONTROL_BYTES = 8192,     /* three extension headers of 2048 octets and the fixed-size rest */
  NAME_BYTES = 128,         /* sizeof(struct sockaddr_storage) */
};

struct batch;
struct handle;

/* What the poller does with what it watches. */
struct watched_operations {
  void (*retain)(struct handle *watched);
  void (*release)(struct handle *watched);
  void (*dispatch)(struct handle *watched, uint32_t ready); /* EPOLL* */
};

/* One per environment (main thread or worker): our epoll descriptor, polled by libuv, and the receive buffers all sockets share. */
struct poller {
  unsigned references; /* the environment and every handle */
  unsigned armed;      /* handles in the epoll set; the loop stays alive while there is one */
  int epoll_fd;        /* -1 once the environment is being torn down */
  napi_env env;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  uv_handle_t *watcher;
  const struct watched_operations *watched;
  struct batch *batch; /* made with the first watched handle */
};

/* Where messages come from and go to. */
struct source {
  int fd;              /* -1 when closed */
  bool device;         /* read and write instead of recvmmsg and sendmmsg (TUN) */
  bool wipe;           /* zero the receive buffer after each delivery */
  uint32_t limit;      /* messages per wake-up */
};

/* An open descriptor. JavaScript holds it through an object that wraps it; the descriptor closes with close() or with that object. */
struct handle {
  unsigned references; /* the JavaScript object, and the poller while it dispatches */
  struct source source;
  uint32_t events;     /* EPOLLIN and EPOLLOUT as armed, 0 outside the epoll set */
  struct poller *poller;
  napi_ref self;       /* strong while watched: the callback must find its object */
  napi_ref callback;
};

struct bytes {
  uint8_t *data;
  size_t length;
};

/* What one wake-up of one handle brought. */
struct outcome {
  unsigned count;
  int error;           /* errno, 0 for none */
  const char *syscall;
  bool stopped;        /* the descriptor cannot deliver any more: it leaves the epoll set */
};

/* In the order of who may call whom: each file the ones before it.
   error.c: exceptions, and arguments that throw a TypeError and return false when they are wrong. */
napi_value errno_value(napi_env env, int error, const char *syscall);
napi_value throw_errno(napi_env env, int error, const char *syscall);
bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
bool get_int(napi_env env, napi_value value, const char *name, int64_t min, int64_t max, int64_t *out);
bool get_bytes(napi_env env, napi_value value, const char *name, struct bytes *out);
bool get_text(napi_env env, napi_value value, const char *name, char *out, size_t size);
bool is_undefined(napi_env env, napi_value value);
void set_number(napi_env env, napi_value object, const char *name, double number);

/* receive.c */
struct batch *batch_create(void);
void batch_free(struct batch *batch);
struct outcome batch_receive(struct batch *batch, const struct source *source, uint32_t events);
napi_value batch_records(napi_env env, struct batch *batch, const struct source *source, unsigned count);

/* poller.c */
struct poller *poller_create(napi_env env, const struct watched_operations *watched);
struct poller *poller_of(napi_env env);
void poller_retain(struct poller *poller);
void poller_release(struct poller *poller);
int poller_arm(struct poller *poller, int fd, struct handle *watched, uint32_t before, uint32_t events);

/* handle.c */
extern const struct watched_operations HANDLE_OPERATIONS;
napi_value handle_create(napi_env env, int fd, bool device);
struct handle *get_handle(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);
napi_value js_watch(napi_env env, napi_callback_info info);
napi_value js_arm(napi_env env, napi_callback_info info);
napi_value js_close(napi_env env, napi_callback_info info);

/* message.c */
napi_value js_send(napi_env env, napi_callback_info info);

/* socket.c */
napi_value js_open(napi_env env, napi_callback_info info);
napi_value js_bind(napi_env env, napi_callback_info info);
napi_value js_connect(napi_env env, napi_callback_info info);
napi_value js_getsockname(napi_env env, napi_callback_info info);
napi_value js_setsockopt(napi_env env, napi_callback_info info);
napi_value js_getsockopt(napi_env env, napi_callback_info info);

/* system.c */
napi_value js_lock(napi_env env, napi_callback_info info);
napi_value js_boot_time(napi_env env, napi_callback_info info);
napi_value js_open_timer(napi_env env, napi_callback_info info);
napi_value js_set_timer(napi_env env, napi_callback_info info);

/* tun.c */
napi_value js_open_tun(napi_env env, napi_callback_info info);

/* namespace.c */
bool namespace_enter(napi_env env, napi_value path, int *home);
void namespace_leave(int home);
napi_value js_enter_namespace(napi_env env, napi_callback_info info);

#endif
