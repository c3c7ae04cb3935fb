/*
 * The addon's entry point and its list of topics. To add a topic: write its file with a
 * register_<topic>, declare that in module.h, name it below.
 */
#include "module.h"

static napi_status (*const topics[])(napi_env, napi_value) = {
    register_spawn,   register_process,    register_socket,        register_mount,
    register_files,   register_loop,       register_nodes,         register_netns,
    register_netlink, register_archive,    register_inflate,       register_port,
    register_volume,  register_interfaces, register_usernamespace, register_clamp,
    register_tree,    register_handover,   register_mount_points,
};

NAPI_MODULE_INIT() {
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (topics[i](env, exports) != napi_ok) {
            napi_throw_error(env, NULL, "addon.node: a function could not be registered");
            return NULL;
        }
    }
    return exports;
}

napi_status addon_export(napi_env env, napi_value exports, const struct addon_function *functions,
                         size_t count) {
    for (size_t i = 0; i < count; i++) {
        napi_value function;
        napi_status status = napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH,
                                                  functions[i].callback, NULL, &function);
        if (status == napi_ok)
            status = napi_set_named_property(env, exports, functions[i].name, function);
        if (status != napi_ok)
            return status;
    }
    return napi_ok;
}
