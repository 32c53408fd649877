# moru with a real small model (SmolLM2-135M behind llama-cpp-python): see tests/llm/llm.py.
LLM_VENV := .moru/venv-llm
LLM := PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/llm/llm.py

$(LLM_VENV)/.installed: tests/llm/requirements.txt tests/llm/requirements-source.txt | deps
	@deploy/local/install.sh tests/llm/packages.txt
	@$(LLM) install --venv $(LLM_VENV)
	@touch $@

.PHONY: run-llm test-llm
run-llm: kafka programs $(LLM_VENV)/.installed ## like run, with a real small model instead of the mock
	@BUILD=$(BUILD) $(LLM) run --venv $(LLM_VENV) --state $(STATE)

test-llm: kafka programs $(LLM_VENV)/.installed ## ten different requests through the real model, in a stack of their own
	@BUILD=$(BUILD) $(LLM) test --venv $(LLM_VENV)
