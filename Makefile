# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SUITE  ?= experiments/suites/quickstart.yaml
OUT    ?= runs
export OMP_WAIT_POLICY ?= PASSIVE
# uv does not read pip's configuration: hand it the folder of local wheels, if there is one
export UV_FIND_LINKS ?= $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
# where Python may not keep bytecode as it goes, every start would compile Lightning again: 12 s in place of 5
COMPILED := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

.DEFAULT_GOAL := help
.PHONY: help setup compare report list fit predict new pretrain test gpu lint types format bench clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

setup: $(STAMP)  ## make .venv and install, pinned by .ci/constraints.txt

$(STAMP): pyproject.toml .ci/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv \
	  && $(BIN)/uv pip install $(COMPILED) --python $(BIN)/python --constraint .ci/constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --constraint .ci/constraints.txt torch --editable '.[dev]'
	@touch $@

compare: $(STAMP)  ## run the grid of SUITE (default: quickstart) and print its table; finished runs are kept
	$(BIN)/prompt-lab compare $(SUITE) --out $(OUT)

report: $(STAMP)  ## print the table of everything in OUT (default: runs)
	$(BIN)/prompt-lab report $(OUT)

list: $(STAMP)  ## print the paradigms, tasks and backbones there are
	@for what in paradigms tasks backbones; do echo "$$what:"; $(BIN)/prompt-lab list $$what | sed 's/^/  /'; done

fit: $(STAMP)  ## one run: make fit PARADIGM=pattern_tuning ARGS="--data.task bbc_news"
	$(BIN)/prompt-lab fit --config experiments/base.yaml --config experiments/paradigms/$(or $(PARADIGM),pattern_tuning).yaml --out $(OUT) $(ARGS)

predict: $(STAMP)  ## labels of a text by a finished run: make predict RUN=runs/… TEXT="…"
	$(BIN)/prompt-lab predict --run "$(RUN)" --text "$(TEXT)" $(ARGS)

new: $(STAMP)  ## a starting point of your own: make new KIND=paradigm NAME=my_idea, or KIND=task NAME=mine ARGS="--from texts.csv"
	$(BIN)/prompt-lab new $(or $(KIND),paradigm) $(NAME) $(ARGS)

pretrain: $(STAMP)  ## make an encoder promptable: make pretrain CONFIG=experiments/pretraining/minilm_mlm.yaml
	$(BIN)/prompt-lab pretrain --config $(or $(CONFIG),experiments/pretraining/minilm_mlm.yaml) --out $(OUT) $(ARGS)

test: lint types  ## lint, types and tests
	$(BIN)/pytest

gpu: $(STAMP)  ## the tests that need a GPU
	CUDA_VISIBLE_DEVICES=$(or $(CUDA_VISIBLE_DEVICES),0) $(BIN)/pytest -n 0 tests/gpu

lint: $(STAMP)  ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy
	$(BIN)/mypy

format: $(STAMP)  ## put the code in ruff's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## time the same work done in two ways, again and again: make bench BENCH="overhead precision" (default: all)
	$(BIN)/python experiments/bench/run.py $(BENCH)

clean:  ## remove .venv and caches; results in OUT stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
