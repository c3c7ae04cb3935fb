# mydock. `make help` lists the targets; each of them does the set-up that it needs.
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

# The compiler's command lines are shown with V=1.
Q := $(if $(V),,@)

PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc/systemd/system,$(PREFIX)/lib/systemd/system)
MACHINE := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
NODE_PACKAGE := node_modules/node-linux-$(MACHINE)
NODE := $(NODE_PACKAGE)/bin/node
BIOME := node_modules/@biomejs/cli-linux-$(MACHINE)/biome
ESBUILD := node_modules/@esbuild/linux-$(MACHINE)/bin/esbuild

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS_ALL := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -fvisibility=hidden \
	-I$(NODE_PACKAGE)/include/node $(CFLAGS)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
RUNTIME_LIBS := -lseccomp -ljansson -lz -lm
comma := ,
object = $(patsubst native/%.c,build/$(1)/%.o,$(2))
COMMON_C := $(wildcard native/common/*.c)
RUNTIME_C := $(wildcard native/runtime/*.c native/runtime/*/*.c)
ADDON_C := $(wildcard native/addon/*.c)
INIT_C := $(wildcard native/init/*.c)
NATIVE_TESTS := $(patsubst test/native/%.c,build/native-tests/%,$(wildcard test/native/*.c))
C_FILES := $(wildcard native/*/*.[ch] native/*/*/*.[ch] test/native/*.[ch] test/native/*/*.[ch] test/fixtures/*.c test/faults/native/*.c)
# Targets of the fuzzers; one of them contains supervisor.c, and stands between it and processes.
FUZZ_TARGETS_C := $(filter-out %/libfuzzer.c,$(wildcard test/native/fuzz/*.c))
FUZZED_C := $(COMMON_C) $(filter-out native/runtime/main.c native/runtime/supervisor/supervisor.c,$(RUNTIME_C))
FUZZ_LINK := -Wl$(comma)--wrap=kill$(comma)--wrap=waitpid
FUZZ_CC := clang-14
FUZZ_CFLAGS := -std=gnu17 -O1 -g -Inative -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FUZZERS := config seccomp supervisor systemd oci formats
SECONDS ?= 60
MINUTES ?= 60

SOURCES := $(shell find src -name '*.ts' ! -name '*.test.ts' ! -name '*-suite.ts')
BUNDLES := dist/mydock.cjs dist/mydock.pack dist/mydockd.cjs dist/layer-worker.cjs dist/difference-worker.cjs \
	dist/transfer-worker.cjs
# ISA-L is a shared library in Debian: a copy lies beside the addon, which looks for it there.
ISAL := dist/libisal.so.2
BINARIES := dist/mydock-runtime dist/addon.node dist/client.node $(ISAL) $(if $(INIT_C),dist/mydock-init)

.PHONY: help build install uninstall check check-native test test-faults test-soak test-corpus test-vm test-vm-quick fuzz compatibility demo bench bench-growth bench-docs messages clean native-tests
# The list below is made from the `## ` comments of the targets.
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build: $(BUNDLES) $(BINARIES) dist/node bin/mydock bin/mydockd ## Build bin/mydock and bin/mydockd, with all they need in dist/

# --- set-up ---------------------------------------------------------------------------------------------------------

build/.packages: test/setup/system-packages.sh Makefile
	@sh test/setup/system-packages.sh libc6-dev=/usr/include/stdio.h libseccomp-dev=/usr/include/seccomp.h \
		libjansson-dev=/usr/include/jansson.h zlib1g-dev=/usr/include/zlib.h libisal-dev=/usr/include/isa-l.h
	@mkdir -p build && touch $@

build/.test-packages: test/setup/system-packages.sh Makefile
	@sh test/setup/system-packages.sh mmdebstrap=/usr/bin/mmdebstrap iproute2=/sbin/ip nftables=/usr/sbin/nft \
		ca-certificates=/etc/ssl/certs/ca-certificates.crt btrfs-progs=/usr/sbin/mkfs.btrfs \
		python3-docker=/usr/lib/python3/dist-packages/docker/__init__.py \
		runc=/usr/sbin/runc crun=/usr/bin/crun git=/usr/bin/git bzip2=/usr/bin/bzip2 xz-utils=/usr/bin/xz
	@mkdir -p build && touch $@

build/.vm-packages: test/setup/system-packages.sh Makefile
	@sh test/setup/system-packages.sh qemu-system-x86=/usr/bin/qemu-system-x86_64 xz-utils=/usr/bin/xz
	@mkdir -p build && touch $@

build/.fuzz-packages: test/setup/system-packages.sh
	@sh test/setup/system-packages.sh clang-14=/usr/bin/clang-14 \
		libclang-rt-14-dev=/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-$(shell uname -m).a
	@mkdir -p build && touch $@

build/.check-packages: test/setup/system-packages.sh
	@sh test/setup/system-packages.sh clang-format=/usr/bin/clang-format
	@mkdir -p build && touch $@

node_modules/.mydock: package-lock.json test/setup/npm-packages.sh
	@sh test/setup/npm-packages.sh $(NODE)
	@touch $@

$(NODE) $(ESBUILD): node_modules/.mydock

# --- native parts ---------------------------------------------------------------------------------------------------

# An executable is replaced by rename, so that a running daemon keeps the file it has opened.
link = $(CC) $(CFLAGS_ALL) $(1) -o $@.new $(filter %.o,$^) $(2) && mv -f $@.new $@

build/static/%.o: native/%.c | build/.packages node_modules/.mydock
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

build/shared/%.o: native/%.c | build/.packages node_modules/.mydock
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -fPIC -MMD -MP -c -o $@ $<

build/sanitized/%.o: native/%.c | build/.packages node_modules/.mydock
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(SANITIZE) -MMD -MP -c -o $@ $<

dist/mydock-runtime: $(call object,static,$(RUNTIME_C) $(COMMON_C))
	@mkdir -p dist
	$(Q)$(call link,-static,$(RUNTIME_LIBS))

dist/mydock-init: $(call object,static,$(INIT_C))
	@mkdir -p dist
	$(Q)$(call link,-static)

$(ISAL): build/.packages
	@mkdir -p dist
	$(Q)cp -L "$$($(CC) -print-file-name=libisal.so)" $@.new && mv -f $@.new $@

dist/addon.node: $(call object,shared,$(ADDON_C) $(COMMON_C)) $(ISAL)
	@mkdir -p dist
	$(Q)$(call link,-shared -fPIC,$(ISAL) -Wl$(comma)-rpath$(comma)'$$ORIGIN')

dist/client.node: $(call object,shared,$(wildcard native/client/*.c))
	@mkdir -p dist
	$(Q)$(call link,-shared -fPIC)

# A native test is one program over everything but the runtime's main(), under the sanitizers.
build/native-tests/%: test/native/%.c $(call object,sanitized,$(COMMON_C) $(filter-out native/runtime/main.c,$(RUNTIME_C)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(SANITIZE) -Inative -MMD -MP -o $@ $< $(filter %.o,$^) $(RUNTIME_LIBS)

build/native-tests/gzip: test/native/gzip.c $(call object,sanitized,native/addon/gzip.c) | build/.packages
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(SANITIZE) -Inative -MMD -MP -o $@ $< $(filter %.o,$^) -lisal -lz

build/native-tests/fuzz: test/native/fuzz.c $(FUZZ_TARGETS_C) $(call object,sanitized,$(FUZZED_C))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(SANITIZE) -Inative -Itest/native $(FUZZ_LINK) -MMD -MP -o $@ $(filter %.c %.o,$^) $(RUNTIME_LIBS)

native-tests: $(NATIVE_TESTS)

# libFuzzer needs clang, the machine's own objects apart from gcc's.
build/fuzz/%.o: %.c | build/.packages build/.fuzz-packages
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/fuzzer: $(patsubst %.c,build/fuzz/%.o,$(FUZZED_C) $(wildcard test/native/fuzz/*.c))
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $(FUZZ_LINK) -o $@ $^ $(RUNTIME_LIBS)

# The runtime with marks at which test/faults strikes; in the product they are nothing.
build/faults/%.o: %.c | build/.packages node_modules/.mydock
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -DMYDOCK_FAULTS -MMD -MP -c -o $@ $<

build/faults/mydock-runtime: $(patsubst %.c,build/faults/%.o,$(RUNTIME_C) $(COMMON_C) test/faults/native/fault_mark.c)
	$(Q)$(call link,-static,$(RUNTIME_LIBS))

fuzz: build/fuzz/fuzzer node_modules/.mydock ## Fuzz what reads strangers' bytes, in C and in TypeScript, two targets at a time (SECONDS=60 each)
	@printf '%s\n' $(FUZZERS) | NODE=$(NODE) xargs -P 2 -I TARGET test/native/fuzz/run.sh TARGET $(SECONDS)

# The whole program under the sanitizers, for the tests that drive it.
build/sanitized/mydock-runtime: $(call object,sanitized,$(RUNTIME_C) $(COMMON_C))
	$(Q)$(call link,$(SANITIZE),$(RUNTIME_LIBS))

-include $(wildcard build/fuzz/*/*/*.d build/fuzz/*/*/*/*.d build/faults/*/*/*.d build/faults/*/*/*/*.d build/native-tests/*.d build/static/*/*.d build/static/*/*/*.d build/shared/*/*.d build/sanitized/*/*.d build/sanitized/*/*/*.d)

# --- bundles and launchers ------------------------------------------------------------------------------------------

# One CommonJS file a program: ESM costs 20 ms at start-up for node:http alone. All ASCII and without comments: V8 keeps
# a text with one other character at two bytes each, for as long as the program runs. Lines stay, for stack traces.
ESBUILD_FLAGS := --platform=node --target=node24 --log-level=warning --minify-whitespace --line-limit=120 \
	--define:import.meta.dirname=__dirname --define:import.meta.filename=__filename
bundle = $(ESBUILD) $(1) --bundle --format=cjs --outfile=$@ $(ESBUILD_FLAGS) --legal-comments=linked && \
	if LC_ALL=C grep -nP '[^\x00-\x7F]' $@; then echo "$@ is not all ASCII: write \\u… in regular expressions"; rm $@; exit 1; fi

# The client is split, so that each command reads, and V8 deserialises, no more than its part (src/cli/pack). esbuild
# splits ES modules alone; those are CommonJS afterwards.
dist/mydock.cjs: $(wildcard src/cli/pack/*.ts) Makefile node_modules/.mydock
	@$(call bundle,src/cli/pack/boot.ts)
dist/mydock.pack: $(SOURCES) Makefile node_modules/.mydock
	@mkdir -p dist && rm -rf build/client
	@$(ESBUILD) src/cli/main.ts src/cli/program.ts src/cli/io.ts --bundle --splitting --format=esm \
		--outdir=build/client/split $(ESBUILD_FLAGS) --legal-comments=none
	@$(ESBUILD) build/client/split/*.js --format=cjs --supported:dynamic-import=false --outdir=build/client/chunks $(ESBUILD_FLAGS)
	@$(NODE) src/cli/pack/write-pack.ts build/client/chunks $@ > build/client/rehearsal.log
dist/mydockd.cjs: $(SOURCES) node_modules/.mydock
	@$(call bundle,src/daemon/main.ts)
dist/layer-worker.cjs: $(SOURCES) node_modules/.mydock
	@$(call bundle,src/image/layers/work/layer-worker.ts)
dist/difference-worker.cjs: $(SOURCES) node_modules/.mydock
	@$(call bundle,src/image/difference/difference-worker.ts)
dist/transfer-worker.cjs: $(SOURCES) node_modules/.mydock
	@$(call bundle,src/volume/transfer/transfer-worker.ts)

# The launchers (native/launcher) find programs and Node from where they are.
dist/node: node_modules/.mydock
	@mkdir -p dist
	$(Q)ln -sfn $(CURDIR)/$(NODE) $@

bin/mydock bin/mydockd: $(call object,static,$(wildcard native/launcher/*.c))
	@mkdir -p bin
	$(Q)$(call link,-static)

# --- installing -----------------------------------------------------------------------------------------------------

LIB := $(DESTDIR)$(PREFIX)/lib/mydock

install: build ## Install below PREFIX (default /usr/local; DESTDIR is honoured), with a systemd unit and group mydock
	install -d $(LIB) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR)
	install -m 755 $(NODE) $(LIB)/node
	install -m 755 $(filter-out %.node $(ISAL),$(BINARIES)) $(LIB)/
	install -m 644 $(BUNDLES) dist/*.LEGAL.txt dist/addon.node dist/client.node $(ISAL) $(LIB)/
	install -m 755 bin/mydock bin/mydockd $(DESTDIR)$(PREFIX)/bin/
	sed 's|@PREFIX@|$(PREFIX)|g' docs/systemd/mydock.service > $(DESTDIR)$(UNITDIR)/mydock.service
	install -m 644 docs/systemd/mydock.socket $(DESTDIR)$(UNITDIR)/mydock.socket
	@if [ -z "$(DESTDIR)" ] && ! getent group mydock > /dev/null; then groupadd --system mydock; fi
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo 'Installed. With systemd: systemctl enable --now mydock. Members of group mydock may use the socket.'

uninstall: ## Remove what install put there; images, containers and the group stay
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemctl disable --now mydock.service mydock.socket 2> /dev/null || true; fi
	rm -rf $(LIB)
	rm -f $(DESTDIR)$(PREFIX)/bin/mydock $(DESTDIR)$(PREFIX)/bin/mydockd
	rm -f $(DESTDIR)$(UNITDIR)/mydock.service $(DESTDIR)$(UNITDIR)/mydock.socket
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

# --- checks and tests -----------------------------------------------------------------------------------------------

check: node_modules/.mydock build/.check-packages ## Types, lint, format, import direction, links in docs
	node_modules/.bin/tsc --noEmit -p .
	$(BIOME) ci --error-on-warnings
	clang-format --dry-run --Werror $(C_FILES)
	$(NODE) test/check/imports.ts
	$(NODE) test/check/links.ts

check-native: build native-tests build/sanitized/mydock-runtime build/.test-packages ## Native tests under AddressSanitizer and UBSan
	@MYDOCK_TEST_RUNTIME=$(CURDIR)/build/sanitized/mydock-runtime ASAN_OPTIONS=detect_leaks=0 \
		$(NODE) test/run/main.ts test/native

test: build native-tests build/faults/mydock-runtime build/.test-packages ## All tests: unit, native, integration (ONLY=substring picks files)
	@$(NODE) test/run/main.ts $(ONLY)

test-faults: build build/faults/mydock-runtime build/.test-packages ## Kill daemon, supervisors and runtime at steps of operations, or take room away (ONLY=, POINTS=, KINDS=, ALL=1)
	@$(NODE) --disable-warning=ExperimentalWarning test/faults/main.ts '$(ONLY)' '$(POINTS)' '$(KINDS)' '$(ALL)'

test-soak: build build/.test-packages ## Eight clients at random against a model, the daemon killed now and then (MINUTES=60, SEED=)
	@MYDOCK_SOAK_MINUTES=$(MINUTES) $(if $(SEED),MYDOCK_SOAK_SEED=$(SEED)) $(NODE) --disable-warning=ExperimentalWarning test/soak/main.ts

test-corpus: build build/.test-packages ## Build and run Dockerfiles that install Debian's packages (downloads 220 MB, once)
	@$(NODE) test/fixtures/apt-archive.ts
	@MYDOCK_TEST_CORPUS=1 $(NODE) test/run/main.ts integration/build/corpus

test-vm: build native-tests build/.test-packages build/.vm-packages ## Isolation and limits on Debian's kernel with systemd, emulated (ONLY=substring, CONSOLE=1)
	@$(NODE) test/vm/main.ts $(if $(CONSOLE),--console) $(ONLY)

# What of it a machine with two processors can do for every change, in about six minutes: what no other kernel of ours
# shows (cgroup v2 alone, systemd, AppArmor). Making the machine takes one more, the first time.
test-vm-quick: ## The part of test-vm that is worth running for every change
	@$(MAKE) test-vm ONLY='test/native/launch_test.c container/limits.test.ts test/vm/'

compatibility: build build/.test-packages ## Write docs/compatibility.md from what the daemon answers, and print it
	@MYDOCK_COMPATIBILITY=write $(NODE) test/run/main.ts test/conformance
	@mv "$${XDG_CACHE_HOME:-$$HOME/.cache}/mydock-test/compatibility.md" docs/compatibility.md; cat docs/compatibility.md

demo: build ## Build an image, run it, fetch a page from it, clean up
	@$(NODE) test/demo/main.ts

# Results are kept in build/bench: BENCH_KEYS measures some rows anew, BENCH_RESUME=1 what an interrupted run has not measured,
# BENCH_QUICK=1 everything once, to see that it works. What has not begun after BENCH_MINUTES is left out.
BENCH = $(NODE) test/bench/main.ts $(if $(BENCH_OUT),--out $(BENCH_OUT)) $(if $(BENCH_RESUME),--resume) $(if $(BENCH_QUICK),--quick) \
	$(if $(BENCH_MINUTES),--minutes $(BENCH_MINUTES)) $(BENCH_KEYS)
bench: build build/.test-packages ## Time mydock beside Docker and Podman (BENCH_OUT=file writes the table there)
	@$(BENCH)

bench-growth: build build/.test-packages ## How costs grow with the work, ten minutes (BENCH_OUT=file: its plots/ too)
	@$(BENCH) --growth

bench-docs: BENCH_OUT = $(if $(BENCH_QUICK),build/bench/quick.md,docs/benchmarks.md)
bench-docs: build build/.test-packages ## Measure all of docs/benchmarks.md anew, half an hour: table and plots
	@$(BENCH) --all

# The generator is no dependency of the project: what it wrote is committed, and only a change of the .proto files needs it.
build/protoc/node_modules/.bin/protoc-gen-es: | $(NODE)
	@sh test/setup/system-packages.sh protobuf-compiler=/usr/bin/protoc
	@mkdir -p build/protoc
	@npm install --prefix build/protoc --ignore-scripts --no-audit --no-fund @bufbuild/protoc-gen-es@2.17.0

messages: build/protoc/node_modules/.bin/protoc-gen-es ## Write src/api/buildkit/*_pb.ts anew, after a change of proto/
	protoc -I src/api/buildkit/proto --plugin=protoc-gen-es=$< --es_out=src/api/buildkit \
		--es_opt=target=ts,import_extension=ts,erasable_syntax=true src/api/buildkit/proto/*.proto

clean: ## Remove everything that was built
	rm -rf dist bin build
