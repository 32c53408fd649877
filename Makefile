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
	-Wformat=2 -Wpointer-arith -Wvla $(HARDENING) $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2) -D_GNU_SOURCE \
	-I. -I$(BUILD) $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all) \
	$(shell pkg-config --cflags libpq)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now,--as-needed \
	$(if $(SANITIZE),-fsanitize=address$(comma)undefined)
comma := ,

SHARED_SOURCES := $(wildcard shared/*.c)
RUN_SOURCES := $(wildcard workers/*.c)
PROGRAMS := gateway generator evaluator recorder setup
gateway_DIR := gateway
generator_DIR := workers/generator
evaluator_DIR := workers/evaluator
recorder_DIR := workers/recorder
setup_DIR := deploy/setup
BINARIES := $(PROGRAMS:%=$(BUILD)/moru-%)

# Code generated from schemas/: one .c and .h for each message, for the topics, the API and the SQL.
GENERATED := $(BUILD)/schemas/.generated
SCHEMA_FILES := $(shell find schemas -name '*.json' -o -name '*.yaml' -o -name '*.sql' -o -name '*.py')
-include $(BUILD)/schemas/sources.mk
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBRARY := $(BUILD)/libmoru.a

.PHONY: build help clean unit
build: $(BINARIES) ## compile everything into build/

$(GENERATED): $(SCHEMA_FILES)
	@mkdir -p $(@D)
	$(PYTHON) schemas/generate.py --out $(BUILD)/schemas
	@touch $@
$(BUILD)/schemas/sources.mk: $(GENERATED)

$(BUILD)/%.o: %.c $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/schemas/%.o: $(BUILD)/schemas/%.c $(GENERATED)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# A static library: each program links only what it uses.
$(LIBRARY): $(call objects,$(SHARED_SOURCES) $(RUN_SOURCES)) $(GENERATED_SOURCES:$(BUILD)/%.c=$(BUILD)/%.o)
	@rm -f $@
	ar rcs $@ $^

define program
$(BUILD)/moru-$(1): $$(call objects,$$(wildcard $$($(1)_DIR)/*.c)) $$(LIBRARY)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(shell pkg-config --libs $$(LIBRARIES)) -lm
endef
$(foreach name,$(PROGRAMS),$(eval $(call program,$(name))))

# Unit tests: tests/unit/test_<x>.c, each a cmocka program. A worker's own sources are linked by naming them here.
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
test_rules_SOURCES := workers/evaluator/rules.c $(wildcard workers/evaluator/scan*.c)
.SECONDEXPANSION:
$(BUILD)/tests/%: tests/unit/%.c $$(call objects,$$($$*_SOURCES)) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter-out %.h,$^) \
		$(shell pkg-config --libs $(LIBRARIES) cmocka) -lm

unit: $(UNIT) ## the unit tests
	@set -e; for t in $(UNIT); do echo "$$t"; $$t; done

clean: ## remove what was built (not .moru/)
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
