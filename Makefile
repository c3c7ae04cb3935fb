# mydock. `make help` lists the targets.
NODE_API := node_modules/node-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)/include/node
CC ?= gcc
CFLAGS_ALL := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -fvisibility=hidden $(CFLAGS)
COMMON_C := $(wildcard native/common/*.c)
RUNTIME_C := $(wildcard native/runtime/*.c)
ADDON_C := $(wildcard native/addon/*.c)
HEADERS := $(wildcard native/*/*.h)

dist/mydock-runtime: $(RUNTIME_C) $(COMMON_C) $(HEADERS)
	@mkdir -p dist
	$(CC) $(CFLAGS_ALL) -static -o $@ $(RUNTIME_C) $(COMMON_C) -lseccomp -ljansson

dist/addon.node: $(ADDON_C) $(COMMON_C) $(HEADERS)
	@mkdir -p dist
	$(CC) $(CFLAGS_ALL) -shared -fPIC -I$(NODE_API) -o $@ $(ADDON_C) $(COMMON_C)
