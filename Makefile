# `make help` tells what there is.
# Another ARCH than this machine's is for dist-test and test-vm.
MACHINE := $(shell uname -m)
ARCH    := $(MACHINE)
PREFIX  ?= /usr/local
CARGO   ?= cargo
# A static binary for this machine: with musl where rustup can bring it (or has
# brought it), else with the host's own target and its static C library.
MUSL    := $(ARCH)-unknown-linux-musl
SYSROOT := $(shell rustc --print sysroot 2>/dev/null)
TARGET  := $(shell [ -d "$(SYSROOT)/lib/rustlib/$(MUSL)" ] || rustup target add $(MUSL) >/dev/null 2>&1; \
             [ -d "$(SYSROOT)/lib/rustlib/$(MUSL)" ] && echo $(MUSL) || rustc -vV 2>/dev/null | sed -n 's/^host: //p')
ifneq ($(TARGET),$(MUSL))
export RUSTFLAGS += -C target-feature=+crt-static
endif
CCRUN   := target/$(TARGET)/release/ccrun
FLAGS   := --release --target $(TARGET)

all: toolchain ## a static binary in target/…/release/ccrun (the default)
	@[ $(TARGET) = $(MUSL) ] || echo "make: no rustup target $(MUSL); building $(TARGET) with a static C library" >&2
	$(CARGO) build $(FLAGS)
	@ls -l $(CCRUN)

# The first version of Rust that builds it, as Cargo.toml says.
LEAST := $(shell sed -n 's/^rust-version = "1\.\(.*\)"/\1/p' Cargo.toml)
toolchain:
	@minor=$$(rustc --version 2>/dev/null | sed 's/^rustc 1\.\([0-9]*\)\..*/\1/'); \
	command -v $(CARGO) >/dev/null 2>&1 && [ "$${minor:-0}" -ge $(LEAST) ] || { \
		echo "make: building ccrun takes Rust 1.$(LEAST) or newer (cargo and rustc), cc and make;" \
			"here is $$(rustc --version 2>/dev/null || echo no rustc). Rust comes from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || tests/prepare.sh build

fixtures: all ## the root file systems that demo and tests use
	@ARCH=$(ARCH) rootfs-fixtures/busybox.sh
	@ARCH=$(ARCH) CCRUN=$(CURDIR)/$(CCRUN) rootfs-fixtures/alpine.sh

demo: fixtures ## the challenge's steps 0 to 8, one after another, on this machine
	@$(CARGO) test -q $(FLAGS) --test it --no-run
	@CCRUN=$(CURDIR)/$(CCRUN) IT="$(CURDIR)/$$($(IT))" tests/demo.sh

test: fixtures ## all tests; as root: as root and as ordinary users (FILTER=words for some)
	@tests/prepare.sh
	@rootfs-fixtures/debian.sh
	@case " $(FILTER)" in " " | *vm*) $(ARM) ;; esac
	$(CARGO) test -q --bin ccrun
	@CCRUN_BIN=$(CURDIR)/$(CCRUN) $(CARGO) test -q $(FLAGS) --test it -- $(FILTER)

# What the tests on Arm need, where QEMU and the toolchain have it.
ARM = if [ $(MACHINE) != x86_64 ] || ! command -v qemu-system-aarch64 >/dev/null; then :; \
      elif [ -d "$(SYSROOT)/lib/rustlib/aarch64-unknown-linux-musl" ] || rustup target add aarch64-unknown-linux-musl; \
      then $(MAKE) --no-print-directory dist-test ARCH=aarch64; fi

ifeq ($(ARCH),$(MACHINE))
test-vm: fixtures ## the tests that need no more than ccrun in a bare Alpine guest (FILTER=words, ARCH=aarch64)
	@$(CARGO) test -q $(FLAGS) --test it --no-run
	@CCRUN_BIN=$(CURDIR)/$(CCRUN) "$$($(IT))" --vm $(GUEST) $(FILTER)
else
test-vm: dist-test
	@$(MAKE) --no-print-directory test-vm ARCH=$(MACHINE) GUEST=--arch=$(ARCH)
endif

# Of another architecture in dist/ARCH.
TO := dist$(patsubst %,/%,$(filter-out $(MACHINE),$(ARCH)))
dist-test: fixtures ## ccrun, the tests' binary and the fixtures for another machine, in dist/ (ARCH=aarch64)
	@$(CARGO) test -q $(FLAGS) --test it --no-run
	@mkdir -p $(TO)
	@cp $(CCRUN) $(TO)/ccrun && cp "$$($(IT))" $(TO)/it
	@tar -C $(patsubst dist%,rootfs-fixtures/out%,$(TO)) -cf $(TO)/fixtures.tar busybox alpine
	@ls -l $(TO)/ccrun $(TO)/it $(TO)/fixtures.tar

# The path of the tests' binary, as cargo tells it.
IT = $(CARGO) test $(FLAGS) --test it --no-run 2>&1 | sed -n 's/.*(\(target.*\/it-[0-9a-f]*\)).*/\1/p'

lint: toolchain ## formatting and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets --target $(TARGET) -- -D warnings

dist: toolchain ## binaries for x86_64 and aarch64 with checksums, in dist/
	@mkdir -p dist
	@for arch in x86_64 aarch64; do \
		[ -d "$(SYSROOT)/lib/rustlib/$$arch-unknown-linux-musl" ] || rustup target add $$arch-unknown-linux-musl; \
		$(CARGO) build --release --target $$arch-unknown-linux-musl && \
		cp target/$$arch-unknown-linux-musl/release/ccrun dist/ccrun-$$arch || exit 1; \
	done
	@cd dist && sha256sum ccrun-x86_64 ccrun-aarch64 | tee SHA256SUMS
	@case $(MACHINE) in x86_64 | aarch64) dist/ccrun-$(MACHINE) version ;; esac

bench: fixtures ## ccrun against a C program with the same system calls, and against its peers
	@$(CARGO) test -q $(FLAGS) --test it --no-run
	@CCRUN=$(CURDIR)/$(CCRUN) IT="$(CURDIR)/$$($(IT))" tests/bench/run.sh

bench-pull: all ## ccrun pull against curl, gzip and tar, and against its peers (root)
	@$(CARGO) test -q $(FLAGS) --test it --no-run
	@CCRUN=$(CURDIR)/$(CCRUN) IT="$(CURDIR)/$$($(IT))" tests/bench/pull.sh

install: all ## into PREFIX/bin (/usr/local)
	install -D -m 755 $(CCRUN) $(DESTDIR)$(PREFIX)/bin/ccrun

clean: ## what cargo and the fixtures made
	$(CARGO) clean
	rm -rf dist
	chmod -R u+rwX rootfs-fixtures/out 2>/dev/null; rm -rf rootfs-fixtures/out

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

.PHONY: all toolchain fixtures demo test test-vm dist-test lint dist bench bench-pull install clean help
