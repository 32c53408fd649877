# `make bench`: moru beside its peers. See tests/bench/bench.py --help and submit.py --help; options in BENCH_ARGS and
# SUBMIT_ARGS.
BENCH_VENV := .moru/venv-bench
BENCH := BUILD=$(BUILD) PYTHONDONTWRITEBYTECODE=1 $(BENCH_VENV)/bin/python

$(BENCH_VENV)/.installed: tests/bench/requirements.txt tests/bench/packages.txt | deps
	@deploy/local/install.sh tests/bench/packages.txt
	@echo "== Python packages for the bench's peers: FastAPI, uvicorn, httpx, asyncpg, aiokafka (into $(BENCH_VENV))"
	@rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(BUILD)/bench/load: tests/bench/load.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

$(BUILD)/bench/probe: tests/bench/probe.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(shell pkg-config --libs libmicrohttpd rdkafka)

.PHONY: bench bench-submit
bench: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/load ## measure speed and memory beside the peers; prints two tables
	@$(BENCH) tests/bench/bench.py --load $(BUILD)/bench/load $(BENCH_ARGS)
	@$(MAKE) --no-print-directory bench-submit

bench-submit: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/probe ## the table of submissions alone
	@$(BENCH) tests/bench/submit.py --probe $(BUILD)/bench/probe $(SUBMIT_ARGS)

# `make bench-heal SEED=7`: spoils prompts and shows how moru heals them. See tests/bench/heal.py --help; HEAL_ARGS.
SEED ?= 1
.PHONY: bench-heal
bench-heal: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/load ## spoil 40 prompts (SEED=) and show how they are healed
	@$(MAKE) --no-print-directory sim
	@$(BENCH) tests/bench/heal.py --load $(BUILD)/bench/load --sim $(BUILD)/moru-sim --seed $(SEED) $(HEAL_ARGS)

# `make bench-models`: calls of a remote model, beside aiohttp and httpx. See tests/bench/models.py --help; MODELS_ARGS.
.PHONY: bench-models
bench-models: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/load ## thousands of calls of a model in flight, beside aiohttp and httpx
	@$(MAKE) --no-print-directory sim
	@$(BENCH) tests/bench/models.py --load $(BUILD)/bench/load --sim $(BUILD)/moru-sim $(MODELS_ARGS)
