/*
 * Network namespaces. A socket belongs for ever to the namespace it was made in, so a visit is short: enter, open, leave, all in one
 * native call on one thread. Only js_enter_namespace stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "addon.h"

static int enter(const char *path, const char **syscall) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    *syscall = "open";
    return errno;
  }
  *syscall = "setns";
  int error = setns(fd, CLONE_NEWNET) == 0 ? 0 : errno;
  close(fd);
  return error;
}

/*
 * Enters the namespace at `path`, or stays when it is undefined; *home is what namespace_leave wants. On false an exception is pending
 * and nothing has changed.
 */
bool namespace_enter(napi_env env, napi_value path, int *home) {
  char text[PATH_MAX];
  const char *syscall = "open";
  *home = -1;
  if (is_undefined(env, path)) return true;
  if (!get_text(env, path, "netns", text, sizeof text)) return false;
  *home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  int error = *home < 0 ? errno : enter(text, &syscall);
  if (error == 0) return true;
  if (*home >= 0) close(*home);
  throw_errno(env, error, syscall);
  return false;
}

void namespace_leave(int home) {
  if (home < 0) return;
  int kept = errno; /* the caller still has to report its own failure */
  if (setns(home, CLONE_NEWNET) != 0) {
    /* Going on would program a stranger's namespace; nothing in JavaScript could repair that. */
    napi_fatal_error("namespace_leave", NAPI_AUTO_LENGTH, "cannot return to the own network namespace", NAPI_AUTO_LENGTH);
  }
  close(home);
  errno = kept;
}

/* enterNamespace(path): moves the calling thread for good. Threads that exist already stay where they are. */
napi_value js_enter_namespace(napi_env env, napi_callback_info info) {
  napi_value path;
  char text[PATH_MAX];
  const char *syscall;
  if (!get_arguments(env, info, 1, &path) || !get_text(env, path, "path", text, sizeof text)) return NULL;
  int error = enter(text, &syscall);
  return error == 0 ? NULL : throw_errno(env, error, syscall);
}
