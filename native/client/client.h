/* client.node: the functions that it exports beside those of client.c. */
#ifndef MYDOCK_CLIENT_CLIENT_H
#define MYDOCK_CLIENT_CLIENT_H

#include <node_api.h>

napi_value client_connect_unix(napi_env env, napi_callback_info info);
napi_value client_watch(napi_env env, napi_callback_info info);
napi_value client_unwatch(napi_env env, napi_callback_info info);

#endif
