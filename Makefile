# dozo: the commands a person types. Meson does the building; see meson.build.
#
#   make run     install what is missing, build, import the demo comic, serve on 127.0.0.1:8080
#   make         build only, into build/
#   make test    everything that CI runs
#   make check   what to run before a commit; make help lists the rest

BUILD = build
SAN = build-san
PYTHON = /usr/bin/python3
C_FILES = $(shell git ls-files --cached --others --exclude-standard 'src/*.[ch]' 'tests/*.[ch]')

.PHONY: all build run test check check-full tidy format docs bench siege fuzz install clean help deps

all: build

help:
	@sed -n '3,6s/^# *//p' Makefile
	@echo "make tidy        include order, header and naming checks"
	@echo "make format      rewrite C files in the house format"
	@echo "make docs        regenerate docs/settings.md"
	@echo "make bench       figures against nginx, h2o, Varnish and others, as ratios; BENCH=\"1 KiB\" for one, BENCH_GROUPS=objects,h2 for some"
	@echo "make siege       an hour (SIEGE_MINUTES) of mixed abuse: memory, descriptors, answers"
	@echo "make fuzz        every fuzz target for FUZZ_SECONDS (60) or until FUZZ_QUIET_SECONDS bring no new edge"
	@echo "make check-full  check, and clang, ThreadSanitizer, cppcheck, gcc analyzer, short fuzz runs"
	@echo "make install     into DESTDIR and the prefix /usr/local"

deps:
	@tools/deps.sh build

$(BUILD)/build.ninja:
	@tools/deps.sh build
	meson setup $(BUILD) -Dbuildtype=release -Db_lto=true -Dtests=false -Dfuzz=off

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD) dozo

run: deps build
	@tools/run-demo.sh $(BUILD)/dozo

$(SAN)/build.ninja:
	meson setup $(SAN) -Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false \
		-Dfaults=true -Dwerror=true

test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory $(SAN)/build.ninja build
	@$(PYTHON) tools/test.py --build $(SAN) --release $(BUILD) all

check: test

tidy:
	@$(PYTHON) tools/tidy.py

format:
	clang-format -i $(C_FILES)

docs: build
	$(BUILD)/dozo config docs > docs/settings.md

check-full:
	@tools/deps.sh dev
	@$(MAKE) --no-print-directory test
	@$(PYTHON) tools/check_full.py

fuzz:
	@tools/deps.sh dev
	@$(PYTHON) tools/fuzz.py

bench: build
	@tools/deps.sh bench
	@$(PYTHON) bench/bench.py --dozo $(BUILD)/dozo --only "$(BENCH)" --groups "$(BENCH_GROUPS)" $(if $(BENCH_WRITE),--write $(BENCH_WRITE)) \
		--seconds $${BENCH_SECONDS:-3} --rounds $${BENCH_ROUNDS:-5}

siege: build
	@$(PYTHON) bench/siege.py --dozo $(BUILD)/dozo --minutes $${SIEGE_MINUTES:-60} --csv $(BUILD)/siege.csv --svg $(BUILD)/siege.svg \
		--summary $(BUILD)/siege.md $(if $(SIEGE_WRITE),--write $(SIEGE_WRITE))

install: build
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(SAN) build-clang build-tsan build-fuzz build-arena build-analyzer
