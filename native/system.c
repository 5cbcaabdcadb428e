/*
 * System calls that Node lacks: locks between processes; the clock that counts sleep and is never set (CLOCK_BOOTTIME), and timers on it,
 * because Node's own stand still while the machine sleeps.
 */
#include <errno.h>
#include <math.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>

#include "addon.h"

/* lock(fd): an exclusive lock on the open file, which goes with its last descriptor; EAGAIN when somebody else has it. Never waits. */
napi_value js_lock(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t fd;
  if (!get_arguments(env, info, 1, &argument) || !get_int(env, argument, "fd", 0, INT32_MAX, &fd)) return NULL;
  return flock((int)fd, LOCK_EX | LOCK_NB) == 0 ? NULL : throw_errno(env, errno, "flock");
}

/* bootTime(): milliseconds since boot. */
napi_value js_boot_time(napi_env env, napi_callback_info info) {
  napi_value value;
  struct timespec now;
  (void)info;
  if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return throw_errno(env, errno, "clock_gettime");
  napi_create_double(env, (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6, &value);
  return value;
}

/* openTimer(): a handle that becomes readable when its moment has come; disarmed. */
napi_value js_open_timer(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  return fd < 0 ? throw_errno(env, errno, "timerfd_create") : handle_create(env, fd, true);
}

/* setTimer(handle, at): once, at so many milliseconds since boot (at once if that is over); 0 disarms. */
napi_value js_set_timer(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  double at;
  struct handle *handle = get_handle(env, info, 2, arguments);
  if (handle == NULL) return NULL;
  if (napi_get_value_double(env, arguments[1], &at) != napi_ok || !(at >= 0 && at < 1e15)) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "at must be milliseconds since boot");
    return NULL;
  }
  double whole = floor(at / 1e3);
  struct itimerspec when = {.it_value = {.tv_sec = (time_t)whole, .tv_nsec = (long)((at - whole * 1e3) * 1e6)}};
  return timerfd_settime(handle->source.fd, TFD_TIMER_ABSTIME, &when, NULL) == 0 ? NULL : throw_errno(env, errno, "timerfd_settime");
}
