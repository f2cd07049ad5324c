# Thin wrapper for people with make; cobench itself runs natively on Windows, macOS and Linux.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
TEST_STAMP = $(VENV)/.installed-test
TERM_ID ?=
ONLY ?=

.PHONY: evaluate test lab bench examples demo lock clean

evaluate: $(STAMP)
	$(BIN)/cobench demo --if-empty
	$(BIN)/cobench run $(TERM_ID)

test: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cobench demo --if-empty
	$(BIN)/cobench prepare
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=25
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax -p no:cacheprovider notebooks

lab: $(STAMP)
	$(BIN)/cobench demo --if-empty
	$(BIN)/cobench prepare
	$(BIN)/cobench lab

bench: $(TEST_STAMP)
	$(BIN)/python benchmarks/run.py $(ONLY)

examples: $(TEST_STAMP)
	for name in ihdp star; do \
	  $(BIN)/python examples/$$name/fetch.py && \
	  $(BIN)/cobench key --study examples/$$name && \
	  $(BIN)/cobench run --study examples/$$name || exit 1; \
	done

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(TEST_STAMP): $(STAMP) requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.lock
	touch $@

lock:
	$(PYTHON) tools/lock.py

clean:
	rm -rf reports/* data/processed/* private
