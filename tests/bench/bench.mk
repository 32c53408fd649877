# `make bench`: moru beside its FastAPI peer. See tests/bench/bench.py --help; options in BENCH_ARGS.
BENCH_VENV := .moru/venv-bench

$(BENCH_VENV)/.installed: tests/bench/requirements.txt
	@echo "== Python packages for the bench's peer: FastAPI, uvicorn, httpx, asyncpg (into $(BENCH_VENV))"
	@rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(BUILD)/bench/load: tests/bench/load.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

.PHONY: bench
bench: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/load ## measure speed and memory beside the peer; prints a table
	@BUILD=$(BUILD) PYTHONDONTWRITEBYTECODE=1 $(BENCH_VENV)/bin/python tests/bench/bench.py --load $(BUILD)/bench/load $(BENCH_ARGS)

# `make bench-heal SEED=7`: spoils prompts and shows how moru heals them. See tests/bench/heal.py --help; HEAL_ARGS.
SEED ?= 1
.PHONY: bench-heal
bench-heal: kafka programs $(BENCH_VENV)/.installed $(BUILD)/bench/load ## spoil 40 prompts (SEED=) and show how they are healed
	@$(MAKE) --no-print-directory sim
	@BUILD=$(BUILD) PYTHONDONTWRITEBYTECODE=1 $(BENCH_VENV)/bin/python tests/bench/heal.py --load $(BUILD)/bench/load --sim $(BUILD)/moru-sim --seed $(SEED) $(HEAL_ARGS)
