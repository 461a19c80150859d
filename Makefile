# Everything a newcomer needs is a target here; `make demo` and `make test` set up what they need by themselves.
# Mirrors are honoured: pip's index (PIP_INDEX_URL or pip.conf) is used for everything unless UV_DEFAULT_INDEX is set.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
UV := build/uv/bin/uv
TEST_PACKAGES := strace chromium fonts-noto-cjk gcc libc6-dev dovecot-imapd postgresql redis-server
ARGS ?=

ifndef UV_DEFAULT_INDEX
PIP_INDEX := $(or $(PIP_INDEX_URL),$(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null))
ifneq ($(PIP_INDEX),)
export UV_DEFAULT_INDEX := $(PIP_INDEX)
endif
endif

.PHONY: help install demo serve check format test packages golden fuzz bench score chaos imap mails image sbom wheel lock vendor clean

help: ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv build/uv || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)"; exit 1; }
	@build/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The lock pins versions and hashes; where the files come from is the machine's choice, so they are exported without addresses.
$(VENV)/run.txt: uv.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) export --quiet --frozen --no-dev --no-emit-project --no-header -o build/run.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes build/run.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@rm -f $(VENV)/dev.txt && cp build/run.txt $@

$(VENV)/dev.txt: uv.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) export --quiet --frozen --no-emit-project --no-header -o build/dev.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes build/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@cp build/dev.txt $@ && touch $(VENV)/run.txt && touch $@

install: $(VENV)/run.txt ## install Ticketgate into .venv

demo: $(VENV)/run.txt ## show it: real mails, forms and webhooks become tickets (ARGS=--once checks and ends)
	@$(BIN)/ticketgate demo $(ARGS)

serve: $(VENV)/run.txt ## run the gateway with config/ticketgate.yaml
	@$(BIN)/ticketgate serve $(ARGS)

check: $(VENV)/dev.txt ## format, lint and types, in seconds
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: $(VENV)/dev.txt
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

packages:
	@missing=""; $(PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || missing=" python3-dev"; \
	for p in $(TEST_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo=sudo; \
	  else echo "missing for the tests: apt-get install$$missing"; exit 1; fi; \
	  ($$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing) >/dev/null \
	  || { echo "missing for the tests: apt-get install$$missing"; exit 1; }; fi

# durable_rules comes as source; the tests run on both kernels where Python is older than 3.13.
$(VENV)/durable.txt: $(VENV)/dev.txt | packages
	@$(UV) export --quiet --frozen --extra durable --no-emit-project --no-header -o build/durable.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r build/durable.txt
	@cp build/durable.txt $@

test: $(VENV)/durable.txt packages ## all tests, real servers included
	@$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

golden: $(VENV)/dev.txt ## rewrite golden files and generated references; the diff is the review
	@GOLDEN=1 $(BIN)/pytest -q -n 2 $(ARGS) || true
	@git --no-pager diff --stat

fuzz: $(VENV)/durable.txt ## both kernels and a plain evaluator on 2,000 random rule sets and 200,000 random tickets
	@FUZZ_SETS=2000 FUZZ_TICKETS=100 EXAMPLES=2000 $(BIN)/pytest -q -n 2 --dist load tests/engine/test_kernel_fuzz.py tests/engine/test_order.py $(ARGS)

bench: $(VENV)/dev.txt ## speed against the bare servers and other systems, paired
	@$(BIN)/python tests/bench/bench.py $(ARGS)

score: $(VENV)/dev.txt ## accuracy on the public corpora in ../shared/corpora
	@$(BIN)/python tests/score/score.py $(ARGS)

chaos: $(VENV)/dev.txt packages ## kill -9 at every fault point and at random, 200 times
	@$(BIN)/pytest -q tests/chaos --kills 200 $(ARGS)

imap: $(VENV)/dev.txt packages ## kill a mailbox's server 20 times while 2,000 mails arrive, and the gateway too
	@$(BIN)/pytest -q tests/chaos/test_imap.py --imap-kills 20 --imap-mails 2000 $(ARGS)

mails: $(VENV)/dev.txt ## 20,000 broken and hostile mails: none raises, takes 2 s or 200 MB
	@$(BIN)/pytest -q -s tests/normalizer/test_totality.py --mails 20000 --timeout 1800 $(ARGS)

image: ## build the container image and try it (BASE=another base: Debian, Python 3.11 or newer)
	@packaging/image.sh

sbom: $(VENV)/dev.txt ## build/sbom.cdx.json: what an installation consists of, with licences (CycloneDX)
	@$(UV) venv --quiet --clear --python $(PYTHON) build/run
	@$(UV) export --quiet --frozen --no-dev --no-emit-project --no-header -o build/run.txt
	@$(UV) pip sync --quiet --python build/run/bin/python --require-hashes build/run.txt
	@$(BIN)/cyclonedx-py environment --no-validate --gather-license-texts --output-reproducible --pyproject pyproject.toml -o build/sbom.cdx.json build/run/bin/python
	@rm -rf build/run
	@$(BIN)/python packaging/check_sbom.py build/sbom.cdx.json

wheel: | $(UV) ## build/dist: the wheel, with rules/ and config/ in it
	@$(UV) build --quiet --wheel -o build/dist

lock: | $(UV)
	@$(UV) lock --upgrade

HTMX := htmx.org-2.0.11.tgz
HTMX_SHA256 := 165a2655073e9e6e55e307a7c74e8ebcdb76afb7701f9c16cfd106a13add408e
SWAGGER := swagger-ui-dist-5.35.0.tgz
SWAGGER_SHA256 := 1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6
VENDOR := gateway/console/static/vendor

vendor: ## fetch again, from npm, what the console's pages are served with; squeeze the chat widget
	@rm -rf build/vendor && mkdir -p build/vendor/htmx build/vendor/swagger
	@cd build/vendor && npm pack --silent htmx.org@2.0.11 swagger-ui-dist@5.35.0 >/dev/null
	@cd build/vendor && printf '%s  %s\n' $(HTMX_SHA256) $(HTMX) $(SWAGGER_SHA256) $(SWAGGER) | sha256sum --check --quiet
	@cd build/vendor && tar -xzf $(HTMX) -C htmx --strip-components 1 && tar -xzf $(SWAGGER) -C swagger --strip-components 1
	@cp build/vendor/htmx/dist/htmx.min.js $(VENDOR)/ && cp build/vendor/htmx/LICENSE $(VENDOR)/htmx.LICENSE
	@cp build/vendor/swagger/swagger-ui-bundle.js build/vendor/swagger/swagger-ui.css $(VENDOR)/
	@cat build/vendor/swagger/LICENSE build/vendor/swagger/NOTICE > $(VENDOR)/swagger-ui.LICENSE
	@cp -r gateway/console/editor build/vendor/ && cd build/vendor/editor && npm ci --silent --ignore-scripts
	@cd build/vendor/editor && ./node_modules/.bin/esbuild editor.js --bundle --minify --target=es2022 --legal-comments=none --log-level=warning --outfile=../../../$(VENDOR)/editor.js
	@cd build/vendor/editor && ./node_modules/.bin/esbuild ../../../gateway/chat_widget/widget.js --minify --charset=utf8 --target=es2021 --banner:js="/* Ticketgate web chat $$(sha256sum < ../../../gateway/chat_widget/widget.js | cut -c1-16) */" --log-level=warning --outfile=../../../gateway/chat_widget/widget.min.js
	@cd build/vendor/editor && for f in node_modules/@codemirror/*/LICENSE node_modules/@lezer/*/LICENSE node_modules/@marijn/*/LICENSE node_modules/codemirror/LICENSE node_modules/crelt/LICENSE node_modules/style-mod/LICENSE node_modules/w3c-keyname/LICENSE; do echo "$${f#node_modules/}"; echo; cat $$f; echo; done > ../../../$(VENDOR)/editor.LICENSE

clean:
	@rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache
