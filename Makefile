# Only python3, pip, venv and make are assumed. Everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Keras and what else viewfinder is measured against live apart: nothing here needs them.
KERAS := .venv-keras
KERAS_STAMP := $(KERAS)/.installed

.PHONY: demo test lint format bench bench-keras clean

$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/viewfinder demo --out demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/infer.py --recipes digits keypoints images detect
	$(BIN)/python benchmarks/open_folder.py
	$(BIN)/python benchmarks/read_csv.py  # of the two downloads, in $$VIEWFINDER_DATA

$(KERAS_STAMP): benchmarks/keras-requirements.txt constraints.txt
	test -d $(KERAS) || $(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r $<
	touch $@

# About twenty minutes. For the figures of the documentation: --seeds 5, without --minutes and --epochs, over night.
bench-keras: $(STAMP) $(KERAS_STAMP)
	$(BIN)/python benchmarks/augment.py --bench-python $(KERAS)/bin/python
	$(BIN)/python benchmarks/step.py --threads 1 --seconds 5 --turns 2
	$(BIN)/python benchmarks/time_to_accuracy.py digits --minutes 4 --epochs 1 4
	$(BIN)/python benchmarks/time_to_accuracy.py keypoints --minutes 2 --epochs 1 8

clean:
	rm -rf $(VENV) $(KERAS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo
