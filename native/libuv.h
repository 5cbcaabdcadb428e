/*
 * The few libuv entry points the poller needs. Every Node binary exports them and libuv 1.x keeps their ABI, but uv.h does not come
 * with node-api-headers, so they are declared here with opaque handles (sizes are asked from libuv at run time).
 */
#ifndef DSMIPD_LIBUV_H
#define DSMIPD_LIBUV_H

#include <stddef.h>

struct uv_loop_s;
typedef struct uv_handle_s uv_handle_t;

enum { UV_HANDLE_TYPE_POLL = 8, UV_EVENT_READABLE = 1 };

size_t uv_handle_size(int type);
const char *uv_handle_type_name(int type);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void *uv_handle_get_data(const uv_handle_t *handle);
int uv_poll_init(struct uv_loop_s *loop, uv_handle_t *handle, int fd);
int uv_poll_start(uv_handle_t *handle, int events, void (*callback)(uv_handle_t *, int, int));
void uv_close(uv_handle_t *handle, void (*callback)(uv_handle_t *));
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
char *uv_err_name_r(int error, char *buffer, size_t length);

#endif
