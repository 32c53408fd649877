# The local stack: what this machine needs, moru's start and end on it, and the tests against it. Included by the Makefile.

LOCAL := deploy/local
CACHE := .moru/cache
VENV := .moru/venv
STACK := $(PYTHON) $(LOCAL)/stack.py
STACK_OPTIONS := --state '$(STATE)' --build '$(BUILD)' --cache '$(CACHE)'

# The targets that work before anything is built, so that a bare machine gets its compiler from them.
LOCAL_TARGETS := deps kafka venv run up down env status flow flow-newest-librdkafka

.PHONY: $(LOCAL_TARGETS) programs

deps: ## install the Debian packages that are missing
	@$(LOCAL)/install.sh

kafka: deps ## fetch Kafka's jars
	@$(STACK) fetch --cache '$(CACHE)'

# Compiles everything, and fetches the broker's jars while the compiler works. A make of its own, since the
# first one was read before the packages were there.
programs: deps
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc)) build kafka

venv: $(VENV)/.complete ## install the Python packages of the tests into .moru/venv

$(VENV)/.complete: tests/requirements.txt | deps
	@mkdir -p $(@D)
	@echo 'moru: installing Python packages into $(VENV): $(shell sed '/^#/d; /^$$/d' tests/requirements.txt)'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

run: programs ## start moru here and stay; Ctrl-C takes all of it down
	@exec $(STACK) run $(STACK_OPTIONS)

up: programs ## start moru in the background; returns when it is ready
	@exec $(STACK) up $(STACK_OPTIONS)

down: ## stop what run or up have started in STATE (default .moru)
	@exec $(STACK) down $(STACK_OPTIONS)

env: ## print the addresses of what runs, as shell assignments
	@exec $(STACK) env $(STACK_OPTIONS)

status: ## list the processes of the stack
	@exec $(STACK) status $(STACK_OPTIONS)

# The proxy that speaks the providers' protocols in the flow tests. Its list is whole, so nothing is looked for besides.
LITELLM_VENV := .moru/venv-litellm
$(LITELLM_VENV)/.complete: tests/flow/requirements-litellm.txt | deps
	@mkdir -p $(@D)
	@echo 'moru: installing LiteLLM into $(LITELLM_VENV) for the flow tests (450 MB)'
	@$(PYTHON) -m venv $(LITELLM_VENV)
	@$(LITELLM_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# Two halves at a time, each with a Kafka and a Postgres of its own: the tests mostly wait.
# FLOW chooses tests: make flow FLOW='tests/flow/test_stack.py -k postgres'.
FLOW ?= tests/flow
flow: programs venv $(LITELLM_VENV)/.complete ## the flow tests, on a stack of their own
	@$(MAKE) --no-print-directory sim
	@LITELLM_VENV='$(LITELLM_VENV)' BUILD='$(BUILD)' CACHE='$(CACHE)' $(VENV)/bin/python -m pytest -n 2 --dist loadscope $(FLOW)

# The chosen ones begin, end, kill, rebalance and fence members of groups, where librdkafka's versions differ most.
NEWEST_FLOW = tests/flow/test_request.py tests/flow/test_failures.py tests/flow/test_deliveries.py \
	-k 'test_request or kill_9 or sigterm or rolling_restart or fenced or deferred_job_survives'
flow-newest-librdkafka: programs venv ## some flow tests, on the librdkafka of the newest confluent-kafka
	@BUILD='$(BUILD)' CACHE='$(CACHE)' $(VENV)/bin/python -m pytest --newest-librdkafka $(NEWEST_FLOW)
