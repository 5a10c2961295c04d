# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# What is never imported need not be compiled: that is most of what is installed. The rest is compiled
# when it is first imported, and kept, whatever the shell that calls make says of that.
unexport PYTHONDONTWRITEBYTECODE
PIP = $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
# The demo keeps its indexes, models and results apart from yours.
DEMO = storage/demo
RUN = $(BIN)/rag-app
# In words of its own: the labelled questions are known after the tuning.
QUESTION ?= My Air 2 makes a clicking sound every few hours, does it need repair?
CHROMA_PORT ?= 8000

.PHONY: help demo test serve-chroma check docs format constraints newest audit clean

help:  ## Show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=26'  # Python 3.11's takes twice the time

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[local-llm]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[local-llm,multilingual,korean,office,hwp,langchain,serve,mcp,onnx,openvino,gguf,tensorboard,mlflow,wandb,trackio,ray,zstd,docs,dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## Install, then ingest, write questions, tune, compare, ask: 7 minutes and more
	@echo; echo '== 1/4 ingest: the sample documents into an index'
	$(RUN) ingest data/en --storage $(DEMO)
	@echo; echo '== 2/4 questions: one question written for each chunk'
	$(RUN) questions --per-chunk 1 --storage $(DEMO)
	@echo; echo '== 3/4 finetune: train, then score on questions that training never saw'
	$(RUN) finetune --pairs data/en/questions.jsonl --train-on both --retriever hybrid:learned --storage $(DEMO)
	@echo; echo '== 4/4 query: one question to the index in service'
	$(RUN) query -q '$(QUESTION)' --k 3 --storage $(DEMO)
	@echo; echo 'What next, from this folder:'
	@echo '  $(RUN) query --storage $(DEMO)                              ask your own questions'
	@echo '  $(RUN) index list --storage $(DEMO)                         base and tuned, side by side'
	@echo '  $(RUN) query --index base --storage $(DEMO)                 the same before tuning'
	@echo 'and with your own documents:'
	@echo '  $(RUN) ingest YOUR_DOCUMENTS                                into ./storage'
	@echo '  $(RUN) finetune                                             on generated questions'
	@echo '  $(RUN) finetune --pairs YOUR_QUESTIONS.csv                  or on your own, with answers'
	@echo '`. $(BIN)/activate` makes all of them `rag-app ...`.'

test: $(VENV)/.dev check  ## Install, then lint, types and all tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

serve-chroma: $(VENV)/.demo  ## Chroma's own server for this machine, over storage/chroma-server
	ANONYMIZED_TELEMETRY=False $(BIN)/chroma run --host 127.0.0.1 --port $(CHROMA_PORT) --path storage/chroma-server

check: $(VENV)/.dev  ## Lint, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.dev  ## The documents as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.dev  ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

constraints:  ## Pin what we test with anew (needs uv; pip installs from it)
	uv pip compile pyproject.toml --all-extras --python-version 3.11 --no-annotate --no-header --output-file constraints.txt --upgrade

newest: ## Check that the newest versions in our ranges still resolve (needs uv)
	uv pip compile pyproject.toml --all-extras --python-version 3.11 --quiet --output-file /dev/null
	uv pip compile pyproject.toml --all-extras --python-version 3.13 --quiet --output-file /dev/null

audit: $(VENV)/.dev  ## Known vulnerabilities of what we test with (needs pypi.org)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:  ## Remove the environment and the demo's storage
	rm -rf $(VENV) $(DEMO)
