# `make sim`: moru-sim, a model that answers to its prompt. See tests/sim/README.md.
SIM_SOURCES := $(wildcard tests/sim/*.c)
# What its unit tests link: all but the program itself, or but what serves.
SIM_SERVED_SOURCES := $(filter-out tests/sim/main.c,$(SIM_SOURCES))
SIM_MODEL_SOURCES := $(filter-out $(patsubst %,tests/sim/%.c,calls control fates limits settings),$(SIM_SERVED_SOURCES))
test_sim_calls_SOURCES := $(SIM_SERVED_SOURCES)
test_sim_healing_SOURCES := $(SIM_MODEL_SOURCES) workers/evaluator/rules.c $(wildcard workers/evaluator/scan*.c)
test_sim_orders_SOURCES := $(SIM_MODEL_SOURCES)
test_sim_parts_SOURCES := $(SIM_MODEL_SOURCES)

$(BUILD)/moru-sim: $(SIM_SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/libmoru.a
	@echo 'LINK $@'
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs $(LIBRARIES)) -lm

.PHONY: sim
sim: $(BUILD)/moru-sim ## build/moru-sim, the simulated model that tests and benchmarks heal against
