# demo and test need nothing but Python; bench runs in the active environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench goldens studies clean

demo: $(VENV)/.core
	$(BIN)/longsim demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench:
	python bench/run.py

goldens: $(VENV)/.dev
	$(BIN)/python tests/golden/regenerate.py

$(VENV)/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) -e ".[dev]"
	touch $@

# about an hour on one core; a study that was stopped goes on
STUDIES := budget mixing balance shortcut growth epsilon variance activations
studies: $(VENV)/.dev
	for name in $(STUDIES); do $(BIN)/longsim study $$name --out build/studies/$$name || test $$? = 1; done
	$(BIN)/python docs/regenerate_training_laws.py build/studies

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
