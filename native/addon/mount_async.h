/*
 * mount(2) and umount2(2) on the thread pool, for file systems of other hosts: a server that does
 * not answer holds up one thread, not the daemon. Registered by mount.c.
 */
#ifndef MYDOCK_ADDON_MOUNT_ASYNC_H
#define MYDOCK_ADDON_MOUNT_ASYNC_H

#include <node_api.h>

/* mountAsync(source, target, type, flags, data): a promise. */
napi_value mount_async(napi_env env, napi_callback_info info);
/* unmountAsync(target, flags): a promise. */
napi_value unmount_async(napi_env env, napi_callback_info info);

#endif
