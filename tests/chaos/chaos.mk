# `make chaos`: submissions while everything is killed. See tests/chaos/README.md; options in CHAOS_ARGS.
.PHONY: chaos
chaos: programs venv ## submit while everything is killed; compares what was acknowledged with what is recorded
	@BUILD='$(BUILD)' CACHE='$(CACHE)' PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python tests/chaos/chaos.py $(CHAOS_ARGS)
