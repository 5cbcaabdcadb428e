/* TUN devices: whole IP packets without a header in front, read and written one per system call. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "addon.h"

static int open_device(struct ifreq *request, const char **syscall) {
  *syscall = "open";
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  *syscall = "ioctl";
  if (ioctl(fd, TUNSETIFF, request) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* openTun(name, flags, netns?): a handle with the property `name`, the name the kernel gave ("%d" in the asked one is a number). */
napi_value js_open_tun(napi_env env, napi_callback_info info) {
  napi_value arguments[3], handle, name;
  int64_t flags;
  struct ifreq request = {0};
  int home;
  const char *syscall;
  if (!get_arguments(env, info, 3, arguments) ||
      !get_text(env, arguments[0], "name", request.ifr_name, sizeof request.ifr_name) ||
      !get_int(env, arguments[1], "flags", 0, 0xffff, &flags) || !namespace_enter(env, arguments[2], &home)) {
    return NULL;
  }
  request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags);
  int fd = open_device(&request, &syscall);
  namespace_leave(home);
  if (fd < 0) return throw_errno(env, errno, syscall);
  handle = handle_create(env, fd, true);
  if (handle == NULL) return NULL;
  napi_create_string_utf8(env, request.ifr_name, NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, handle, "name", name);
  return handle;
}
