/* Locks between processes. */
#include <errno.h>
#include <sys/file.h>

#include "addon.h"

/* lock(fd): an exclusive lock on the open file, which goes with its last descriptor; EAGAIN when somebody else has it. Never waits. */
napi_value js_lock(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t fd;
  if (!get_arguments(env, info, 1, &argument) || !get_int(env, argument, "fd", 0, INT32_MAX, &fd)) return NULL;
  return flock((int)fd, LOCK_EX | LOCK_NB) == 0 ? NULL : throw_errno(env, errno, "flock");
}
