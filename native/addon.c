/* What JavaScript sees; controller/io/native.ts holds the types and is the only file that loads it. */
#include "addon.h"

static const struct {
  const char *name;
  napi_callback call;
} FUNCTIONS[] = {
  {"open", js_open}, {"openTun", js_open_tun}, {"enterNamespace", js_enter_namespace}, {"lock", js_lock},
  {"bind", js_bind}, {"connect", js_connect}, {"getsockname", js_getsockname},
  {"setsockopt", js_setsockopt}, {"getsockopt", js_getsockopt}, {"watch", js_watch},
  {"bootTime", js_boot_time}, {"openTimer", js_open_timer}, {"setTimer", js_set_timer},
  {"arm", js_arm}, {"send", js_send}, {"close", js_close},
};

NAPI_MODULE_INIT() {
  napi_value function;
  if (poller_create(env, &HANDLE_OPERATIONS) == NULL) {
    napi_throw_error(env, NULL, "dsmipd_native cannot poll in this Node");
    return NULL;
  }
  for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
    napi_create_function(env, FUNCTIONS[i].name, NAPI_AUTO_LENGTH, FUNCTIONS[i].call, NULL, &function);
    napi_set_named_property(env, exports, FUNCTIONS[i].name, function);
  }
  set_number(env, exports, "maxMessages", MAX_MESSAGES);
  set_number(env, exports, "wordBytes", sizeof(size_t)); /* the layout of control messages depends on it */
  return exports;
}
