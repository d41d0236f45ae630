# Tandem.  `make run` and `make test` are all a newcomer needs; see README.md.
#
# Objects live under build/VARIANT/, so that the plain build, clang's and the
# sanitizers' never mix.  VARIANT is gcc (default), clang or asan; `make fuzz`
# makes itself one more.

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
CC_fuzz := clang
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
WARNINGS_fuzz := $(WARNINGS_clang)

OPTIMIZE_gcc := -O2 -D_FORTIFY_SOURCE=2
OPTIMIZE_clang := -O2 -D_FORTIFY_SOURCE=2
OPTIMIZE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

OPTIMIZE_fuzz := -O1 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer

LINK_asan := -fsanitize=address,undefined
LINK_fuzz := -fsanitize=fuzzer,address,undefined

CPPFLAGS := -D_GNU_SOURCE -DTANDEM_VERSION='"$(VERSION)"' -Ilib -Iapp -Itests -I$(B)/generated \
	-isystem /usr/include/postgresql -MMD -MP
CFLAGS = -std=c11 -g $(WARNINGS) $(WARNINGS_$(VARIANT)) \
	$(OPTIMIZE_$(VARIANT)) -fstack-protector-strong -fPIE
LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LINK_$(VARIANT))
LIBS := -lfcgi -lcurl -ljansson -lpcre2-8 -lsqlite3 -lpq -lssl -lcrypto

# ---- sources -------------------------------------------------------------

LIB_C := $(wildcard lib/*/*.c)
SHARED_C := $(wildcard app/*.c app/guard/*.c app/model/*.c app/ledger/*.c \
	app/ask/*.c app/control/*.c)
TANDEMD_C := $(wildcard app/tandemd/*.c)
TANDEMCTL_C := $(wildcard app/tandemctl/*.c)
MODELSIM_C := $(wildcard app/modelsim/*.c)
UNIT_C := $(wildcard tests/unit/test_*.c)
FUZZ_C := $(wildcard tests/fuzz/fuzz_*.c)

# WRAP_TEST: functions that a unit test replaces by the linker (ld --wrap).
# WITH_TEST: doubles of whole modules that only this test is linked with.
include tests/unit/wrap.mk
DOUBLES_C := $(foreach name,$(filter WITH_%,$(.VARIABLES)),$($(name)))
SUPPORT_C := $(filter-out $(DOUBLES_C),$(wildcard tests/support/*.c))

obj = $(patsubst %.c,$(B)/%.o,$(1))

PROGRAMS := $(B)/tandemd $(B)/tandemctl $(B)/modelsim
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_C))
FUZZ_TESTS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_C))

.PHONY: all deps deps-test deps-bench programs unit run run-pg test test-unit \
	test-e2e soak bench bench-quick bench-baseline fuzz fuzz-targets \
	install docs format clean

all: programs

programs: deps
	@$(MAKE) -s --no-print-directory $(PROGRAMS)

unit: deps
	@$(MAKE) -s --no-print-directory $(UNIT_TESTS) $(FUZZ_TESTS)

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

# An archive, so that a test gets only what it uses and may replace the rest.
$(B)/support.a: $(call obj,$(SUPPORT_C))
	@rm -f $@
	@ar rcs $@ $^

.SECONDEXPANSION:
$(B)/unit/%: $(B)/tests/unit/%.o $$(call obj,$$(WITH_$$*)) $(B)/support.a \
		$(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "  link $@"
	@$(CC) $(LDFLAGS) $(WRAP_$*) -o $@ $^ -lcmocka $(LIBS)

# With libFuzzer in the variant for it; else with a main that plays the corpus.
FUZZ_MAIN := $(if $(filter fuzz,$(VARIANT)),,$(B)/tests/fuzz/replay.o)

$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(FUZZ_MAIN) $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "  link $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  $(CC) $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

.PRECIOUS: $(B)/%.o

# The embedded ledger's schema as bytes, for schema.c.
$(B)/generated/ledger/schema.inc: sql/sqlite/schema.sql
	@mkdir -p $(@D)
	@od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g' >$@

$(B)/app/ledger/schema.o: $(B)/generated/ledger/schema.inc

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- run, test, install --------------------------------------------------

run: programs
	@B=$(B) conf/dev/run.sh

# The same on a PostgreSQL made for this run.  Another one: DATABASE_URL=...
run-pg: programs
	@conf/dev/deps.sh postgresql
	@B=$(B) conf/dev/run_pg.sh

# Everything that is checked: both compilers, the sanitizers, the layers, unit
# tests in all three builds, and the real programs behind real web servers.
test: deps-test
	@tests/run.sh

deps-test:
	@conf/dev/deps.sh valgrind clang-format mandoc postgresql pgbouncer sqitch \
		libdbd-pg-perl $$(command -v npm >/dev/null || echo nodejs npm)

# One variant's unit tests; tests/run.sh calls it for each variant.
test-unit: unit
	@tests/run_unit.sh $(UNIT_TESTS) $(FUZZ_TESTS)

# Every fuzz target for a minute, or FUZZ_S seconds.
fuzz: deps
	@conf/dev/deps.sh libclang-rt-14-dev
	@$(MAKE) -s --no-print-directory VARIANT=fuzz fuzz-targets
	@tests/fuzz/run.sh $(patsubst tests/fuzz/%.c,build/fuzz/fuzz/%,$(FUZZ_C))

fuzz-targets: $(FUZZ_TESTS)

test-e2e: programs
	@TANDEM_BUILD=$(B) /usr/bin/python3 -m pytest -q $(T) tests/process tests/e2e \
		tests/bench

# Rude clients and failing models for half an hour; `make test` does two
# minutes of it.  SOAK_S= another length, SOAK_SEED= the dice of another run.
soak: programs
	@SOAK_S=$${SOAK_S:-1800} TANDEM_BUILD=$(B) \
		/usr/bin/python3 -m pytest -q -s tests/process/test_fire.py

# How fast, beside the floor of the same run; BENCH chooses sections.
bench: programs deps-bench
	@TANDEM_BUILD=$(B) tests/bench/run.sh $(BENCH)

# Fails when a ratio is a quarter worse than the committed one.
bench-quick: programs deps-bench
	@TANDEM_BUILD=$(B) tests/bench/run.sh quick

bench-baseline: programs deps-bench
	@TANDEM_BUILD=$(B) tests/bench/run.sh baseline

deps-bench:
	@conf/dev/deps.sh libpq-dev postgresql strace

install: programs
	install -D -m 0755 $(B)/tandemd $(DESTDIR)$(PREFIX)/sbin/tandemd
	install -D -m 0755 $(B)/tandemctl $(DESTDIR)$(PREFIX)/bin/tandemctl
	install -D -m 0755 $(B)/modelsim $(DESTDIR)$(PREFIX)/bin/modelsim
	install -D -m 0640 conf/tandem.conf \
		$(DESTDIR)$(PREFIX)/share/tandem/tandem.conf
	install -D -m 0644 conf/lighttpd/tandem.conf \
		$(DESTDIR)$(PREFIX)/share/tandem/lighttpd.conf
	install -D -m 0644 conf/apache/tandem.conf \
		$(DESTDIR)$(PREFIX)/share/tandem/apache.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/tandem/systemd \
		conf/systemd/tandem.service conf/systemd/tandem.socket \
		conf/systemd/tandem.sysusers.conf
	install -D -m 0644 docs/tandemd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/tandemd.8
	install -D -m 0644 docs/tandem.conf.5 \
		$(DESTDIR)$(PREFIX)/share/man/man5/tandem.conf.5
	install -D -m 0644 docs/tandemctl.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/tandemctl.1
	install -D -m 0644 docs/modelsim.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/modelsim.1

# What is made from the option table; a test compares.
docs: programs
	$(B)/tandemd --sample-config >conf/tandem.conf
	docs/make_conf_manual.py <conf/tandem.conf >docs/tandem.conf.5

format:
	clang-format -i $$(find app lib tests -name '*.[ch]')

clean:
	rm -rf build
