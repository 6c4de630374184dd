# `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NMT := $(BIN)/nmt
DEMO := recipes/number_words_transformer.yaml
DEMO_HYPOTHESES := runs/number_words_transformer/evaluation/number_words/hypotheses.jsonl
DEMO_LINE := four hundred two thousand seven hundred eleven

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help demo install check format test test-long lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: $(NMT) ## train and score number words, English to German, in a few minutes
	@$(BIN)/python data_scripts/number_words.py | cut -d ' ' -f 1-4
	@$(NMT) preprocess $(DEMO)
	@$(NMT) train $(DEMO)
	@$(NMT) evaluate $(DEMO)
	@$(BIN)/python data_scripts/number_words.py --check $(DEMO_HYPOTHESES)
	@$(NMT) report --quiet $(DEMO)
	@echo
	@echo '$(DEMO_LINE) → '"$$(echo '$(DEMO_LINE)' | $(NMT) translate --quiet $(DEMO))"
	@echo 'report: runs/number_words_transformer/report.html'

install: $(VENV)/dev ## create the development environment in .venv

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip

$(NMT): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing nmt and torch in $(VENV), which takes a few minutes'
	@$(BIN)/python -m pip install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/dev: $(NMT)
	@echo 'installing the tools for development in $(VENV)'
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

check: $(VENV)/dev ## check format, lint, types and import layers; run the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2

format: $(VENV)/dev ## format the code and fix lint errors
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: check ## run check and the slow tests
	$(BIN)/pytest -m 'slow and not long' -n 2

test-long: $(VENV)/dev ## run the kills, races and fuzzing, which take an hour; print what they did
	$(BIN)/pytest -m long -rP

lock: $(VENV)/dev ## write requirements.lock from constraints.txt, with the hashes of all files
	@$(BIN)/python -m pip install -qq uv
	$(BIN)/uv --no-config pip compile pyproject.toml --extra dev -c constraints.txt --generate-hashes --universal \
		--python-version 3.11 --no-header --no-annotate --default-index https://pypi.org/simple -q -o requirements.lock

clean: ## remove the environment and caches; keep data and runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
