/* Which runtime a container has: see runtime.h. */
#include "runtime.h"
#include "../foreign/foreign.h"

int runtime_open(const struct supervisor_config *config, const char *bundle, struct loop *loop,
                 struct runtime **out, struct error **err) {
    if (config->runtime_path != NULL)
        return foreign_open(config, bundle, loop, out, err);
    return runtime_own_open(config, bundle, out, err);
}

void runtime_destroy(struct runtime *runtime) {
    if (runtime != NULL)
        runtime->operations->destroy(runtime);
}
