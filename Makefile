# Tandem.  `make run` and `make test` are all a newcomer needs; see README.md.
#
# Objects live under build/VARIANT/, so that the plain build, clang's and the
# sanitizers' never mix.  VARIANT is gcc (default), clang or asan.

.DEFAULT_GOAL := all
SHELL := /bin/sh

VERSION := 0.1.0
VARIANT ?= gcc
B := build/$(VARIANT)

PREFIX ?= /usr/local
DESTDIR ?=

# ---- compilers -----------------------------------------------------------

CC_gcc := gcc
CC_clang := clang
CC_asan := gcc
CC := $(CC_$(VARIANT))
ifeq ($(CC),)
$(error VARIANT is gcc, clang or asan, not "$(VARIANT)")
endif

WARNINGS := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion \
	-Wsign-conversion -Wcast-qual -Wwrite-strings -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla -Wundef \
	-Wswitch-enum
WARNINGS_gcc := -Wnull-dereference
WARNINGS_clang := -Wmissing-variable-declarations
WARNINGS_asan :=

OPTIMIZE_gcc := -O2 -D_FORTIFY_SOURCE=2
OPTIMIZE_clang := -O2 -D_FORTIFY_SOURCE=2
OPTIMIZE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

LINK_asan := -fsanitize=address,undefined

PACKAGES := fcgi libcurl jansson libpcre2-8 sqlite3 openssl libmicrohttpd cmocka
# Packages are looked up only by goals that compile, after `deps` had its turn.
PKG_CFLAGS = $(shell pkg-config --cflags libcurl jansson libpcre2-8 sqlite3 openssl libmicrohttpd)

CPPFLAGS := -D_GNU_SOURCE -DTANDEM_VERSION='"$(VERSION)"' -Ilib -Iapp -MMD -MP
CFLAGS = -std=c11 -g $(WARNINGS) $(WARNINGS_$(VARIANT)) \
	$(OPTIMIZE_$(VARIANT)) -fstack-protector-strong -fPIE $(PKG_CFLAGS)
LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LINK_$(VARIANT))
LIBS := -lfcgi -lcurl -ljansson -lpcre2-8 -lsqlite3 -lssl -lcrypto

# ---- sources -------------------------------------------------------------

LIB_C := $(wildcard lib/*/*.c)
SHARED_C := $(wildcard app/*.c app/guard/*.c app/model/*.c app/ledger/*.c \
	app/ask/*.c app/control/*.c)
TANDEMD_C := $(wildcard app/tandemd/*.c)
TANDEMCTL_C := $(wildcard app/tandemctl/*.c)
MODELSIM_C := $(wildcard app/modelsim/*.c)
UNIT_C := $(wildcard tests/unit/test_*.c)
SUPPORT_C := $(wildcard tests/support/*.c)

obj = $(patsubst %.c,$(B)/%.o,$(1))

PROGRAMS := $(B)/tandemd $(B)/tandemctl $(B)/modelsim
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_C))

.PHONY: all deps programs unit run test test-unit test-e2e bench install clean \
	format check-format check-layers

all: programs

programs: deps
	@$(MAKE) --no-print-directory $(PROGRAMS)

unit: deps
	@$(MAKE) --no-print-directory $(UNIT_TESTS)

deps:
	@conf/dev/deps.sh

$(B)/lib.a: $(call obj,$(LIB_C))
	@rm -f $@
	@ar rcs $@ $^

$(B)/app.a: $(call obj,$(SHARED_C))
	@rm -f $@
	@ar rcs $@ $^

$(B)/tandemd: $(call obj,$(TANDEMD_C)) $(B)/app.a $(B)/lib.a
	@echo "  link $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tandemctl: $(call obj,$(TANDEMCTL_C)) $(B)/app.a $(B)/lib.a
	@echo "  link $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/modelsim: $(call obj,$(MODELSIM_C)) $(B)/lib.a
	@echo "  link $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd $(LIBS)

$(B)/unit/%: $(B)/tests/unit/%.o $(call obj,$(SUPPORT_C)) $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "  link $@"
	@$(CC) $(LDFLAGS) $(WRAP_$*) -o $@ $^ -lcmocka $(LIBS)

# Functions that a unit test replaces, by the linker (ld --wrap).
-include tests/unit/wrap.mk

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  $(CC) $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

.PRECIOUS: $(B)/%.o

-include $(shell find $(B) -name '*.d' 2>/dev/null)

clean:
	rm -rf build
