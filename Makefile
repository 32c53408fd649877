# moru: `make run` starts everything on this machine, `make test` builds and tests it; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
STATE ?= .moru
PYTHON := /usr/bin/python3

HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
LIBRARIES := libuv libmicrohttpd libpq libcjson libcurl rdkafka libcrypto
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(CFLAGS) -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wpointer-arith -Wvla -Wno-missing-field-initializers $(HARDENING) $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2) -D_GNU_SOURCE \
	-I. -I$(BUILD) $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all) \
	$(shell pkg-config --cflags libpq)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now,--as-needed \
	$(if $(SANITIZE),-fsanitize=address$(comma)undefined)
comma := ,
JOBS = -j$(shell nproc)

include deploy/local/local.mk
include deploy/local/llm.mk
include tests/bench/bench.mk
include tests/chaos/chaos.mk
include tests/sim/sim.mk

SHARED_SOURCES := $(wildcard shared/*.c shared/model/*.c shared/model/mock/*.c)
RUN_SOURCES := $(wildcard workers/*.c)
PROGRAMS := gateway generator evaluator recorder optimizer setup
gateway_DIR := gateway
generator_DIR := workers/generator
evaluator_DIR := workers/evaluator
recorder_DIR := workers/recorder
optimizer_DIR := workers/optimizer
setup_DIR := deploy/setup
BINARIES := $(PROGRAMS:%=$(BUILD)/moru-%)

# Code generated from schemas/: one .c and .h for each message, for the topics, the API and the SQL.
GENERATED := $(BUILD)/schemas/.generated
SCHEMA_FILES := $(shell find schemas -name '*.json' -o -name '*.yaml' -o -name '*.sql' -o -name '*.py')
# Targets that install packages first, or need none, are not to make anything while this file is read.
ifneq ($(filter-out $(LOCAL_TARGETS) test run-llm test-llm bench bench-submit bench-models chaos help clean lint,$(or $(MAKECMDGOALS),build)),)
-include $(BUILD)/schemas/sources.mk
endif
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBRARY := $(BUILD)/libmoru.a

.PHONY: build help clean unit
build: $(BINARIES) ## compile everything into build/

$(GENERATED): $(SCHEMA_FILES)
	@mkdir -p $(@D)
	$(PYTHON) schemas/generate.py --out $(BUILD)/schemas
	@touch $@
$(BUILD)/schemas/sources.mk: $(GENERATED) ;

$(BUILD)/%.o: %.c $(GENERATED)
	@mkdir -p $(@D)
	@echo 'CC $<'
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/schemas/%.o: $(BUILD)/schemas/%.c $(GENERATED)
	@echo 'CC $<'
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# A static library: each program links only what it uses. q keeps files of the same name from two folders, r would not.
$(LIBRARY): $(call objects,$(SHARED_SOURCES) $(RUN_SOURCES)) $(GENERATED_SOURCES:$(BUILD)/%.c=$(BUILD)/%.o)
	@rm -f $@
	@echo 'AR $@'
	@ar qcs $@ $^

define program
$(BUILD)/moru-$(1): $$(call objects,$$(wildcard $$($(1)_DIR)/*.c)) $$(LIBRARY)
	@echo 'LINK $$@'
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(shell pkg-config --libs $$(LIBRARIES)) -lm
endef
$(foreach name,$(PROGRAMS),$(eval $(call program,$(name))))

# Unit tests: tests/unit/test_<x>.c, each a cmocka program. A worker's own sources are linked by naming them here.
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
test_rules_SOURCES := workers/evaluator/rules.c $(wildcard workers/evaluator/scan*.c)
test_batch_lines_SOURCES := gateway/batch_lines.c
test_statistics_SOURCES := workers/optimizer/statistics.c
test_decide_SOURCES := $(addprefix workers/optimizer/,decide.c probation.c statistics.c)
test_windows_SOURCES := workers/optimizer/windows.c
test_propose_SOURCES := workers/optimizer/propose.c workers/optimizer/analyse.c
test_word_diff_SOURCES := gateway/word_diff.c
.SECONDEXPANSION:
$(BUILD)/tests/%: tests/unit/%.c $$(call objects,$$($$*_SOURCES)) $(LIBRARY)
	@mkdir -p $(@D)
	@echo 'LINK $@'
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(filter %.o %.a,$^) \
		$(shell pkg-config --libs $(LIBRARIES) cmocka) -lm

unit: $(UNIT) venv ## the unit tests
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done
	$(VENV)/bin/python tests/unit/check_examples.py $(BUILD)/tests/test_messages
	$(PYTHON) tests/unit/check_mock_python.py $(BUILD)/tests/test_model_mock

# The same tests under AddressSanitizer and UndefinedBehaviorSanitizer, in a build of their own.
sanitize: ## the unit tests under sanitizers
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-sanitize SANITIZE=1 CFLAGS='-O1 -g' unit

.PHONY: test sanitize lint
# Steps in makes of their own: the first one was read before the packages were there.
test: deps ## build, then the unit tests, the same under sanitizers, and the flow tests
	@$(MAKE) --no-print-directory programs
	@$(MAKE) --no-print-directory $(JOBS) unit
	@$(MAKE) --no-print-directory $(JOBS) sanitize
	@$(MAKE) --no-print-directory flow
	@echo 'moru: all tests passed'

lint: ## clang-format, clang-tidy, the include rules, and that docs/settings.md is fresh
	@tests/lint.sh $(BUILD)

docs/settings.md: build
	@mkdir -p $(@D)
	@{ echo '# Settings and metrics'; echo; echo 'Made by `make docs` from the tables in the code.'; echo; \
	for program in $(filter-out setup,$(PROGRAMS)) setup; do $(BUILD)/moru-$$program --describe; done; } > $@
docs: docs/settings.md ## write docs/settings.md from the programs' tables
.PHONY: docs docs/settings.md

clean: ## remove what was built (not .moru/)
	rm -rf $(BUILD) $(BUILD)-sanitize

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
