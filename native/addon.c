/* What JavaScript sees; controller/io/native.ts holds the types and is the only file that loads it. */
#include <stddef.h>
#include <sys/socket.h>

#include "addon.h"

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function);
  set_value(env, exports, name, function);
}

static void export_number(napi_env env, napi_value exports, const char *name, uint32_t number) {
  napi_value value;
  napi_create_uint32(env, number, &value);
  set_value(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  napi_value index;
  struct poller *poller = poller_create(env);
  if (poller == NULL) {
    napi_throw_error(env, NULL, "dsmipd_native cannot poll in this Node");
    return NULL;
  }
  export_function(env, exports, "open", js_open);
  export_function(env, exports, "openTun", js_open_tun);
  export_function(env, exports, "enterNamespace", js_enter_namespace);
  export_function(env, exports, "bind", js_bind);
  export_function(env, exports, "connect", js_connect);
  export_function(env, exports, "getsockname", js_getsockname);
  export_function(env, exports, "setsockopt", js_setsockopt);
  export_function(env, exports, "getsockopt", js_getsockopt);
  export_function(env, exports, "watch", js_watch);
  export_function(env, exports, "arm", js_arm);
  export_function(env, exports, "send", js_send);
  export_function(env, exports, "close", js_close);
  napi_get_reference_value(env, poller->index_ref, &index);
  set_value(env, exports, "index", index);
  export_number(env, exports, "maxMessages", MAX_MESSAGES);
  export_number(env, exports, "wordBytes", sizeof(size_t));
  return exports;
}
