# `make help` lists what there is. Every target installs what it needs and is missing; all that is
# made lies in build/.
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)
export KAPPASCOPE_GUI ?= AUTO
export KAPPASCOPE_CUDA ?= AUTO
export KAPPASCOPE_ARROW ?= AUTO
FUZZ_SECONDS ?= 60
MUTANTS ?= 200
SEED ?= 1
PREFIX ?= /usr/local
export KAPPASCOPE_INSTALL_TORCH ?= ON

# The compiler that the set-up has chosen for this machine's GPU; without one CMake looks by itself.
cuda_compiler = CUDACXX="$$(grep . build/deps/nvcc 2>/dev/null || printf %s "$$CUDACXX")"
configure = $(cuda_compiler) cmake --preset $(1) --log-level=NOTICE >build/configure-$(1).log 2>&1 \
  -DKAPPASCOPE_TORCH_ROOT="$$(cat build/deps/torch-root 2>/dev/null)" -DKAPPASCOPE_GUI=$(KAPPASCOPE_GUI) \
  -DKAPPASCOPE_CUDA=$(KAPPASCOPE_CUDA) -DKAPPASCOPE_ARROW=$(KAPPASCOPE_ARROW) \
  -DKAPPASCOPE_INSTALL_TORCH=$(KAPPASCOPE_INSTALL_TORCH) || { cat build/configure-$(1).log; exit 1; }
# Configure and build one preset of CMakePresets.json, of it one target when given.
compile = $(call configure,$(1)); cmake --build --preset $(1) $(addprefix --target ,$(2))
sources = find app core kernels tests \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0
# What clang-tidy reads: all but the files that include Torch.
torchless = find app core kernels -name '*.cpp' ! -path 'core/forward/*' -print0
program = build/release/kappascope
demo = assets/d8-kappa -f assets/texts/prose.txt
clang_format = build/deps/test-venv/bin/clang-format

.PHONY: help demo test configured sanitized build install package asan fuzz coverage soak mutants figures bench gpu-build gpu-check format lint clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /make \1\t/p' Makefile | expand -t 16

demo: build  ## install what is missing, build, show the shipped checkpoint on a sample text
	@$(program) --version | sed -n 's/^device: /The demo runs on /p'
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] && $(program) --version | grep -q 'window: built in'; \
	then $(program) $(demo); \
	else $(program) run $(demo) -o build/demo && \
	  echo 'Made in build/demo:' && ls -sh1 build/demo && \
	  echo 'The figures lie in build/demo/figures'; fi

test:  ## install what is missing, build, run every test
	@cmake/setup.sh core
	@$(MAKE) --no-print-directory -j2 sanitized configured
	@cmake --build --preset release
	@status=0; ctest --preset asan || status=1; ctest --preset release || status=1; exit $$status

# Torch and the rest are fetched while the sanitized tests, which do without, are compiled.
configured:
	@cmake/setup.sh test
	@$(call configure,release)

sanitized:
	@$(call compile,asan)

build:  ## build/release/kappascope
	@cmake/setup.sh build
	@$(call compile,release,kappascope)

install: build  ## into PREFIX (/usr/local), with Torch's libraries unless KAPPASCOPE_INSTALL_TORCH=OFF
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)" >build/install.log || { cat build/install.log; exit 1; }
	@echo "Installed: $(DESTDIR)$(PREFIX)/bin/kappascope"

package: build  ## build/package: a .deb and a .tar.zst that runs from any folder
	@cd build/release && cpack -B ../package >../package.log || { cat ../package.log; exit 1; }
	@ls -sh1 build/package/kappascope-*

asan:  ## the tests of everything without Torch, under AddressSanitizer and UBSan
	@cmake/setup.sh asan
	@$(call compile,asan)
	@ctest --preset asan

fuzz:  ## every fuzz target for FUZZ_SECONDS each (60)
	@cmake/setup.sh asan
	@$(call compile,asan)
	@cd build/asan/tests/fuzz && for name in $$(ls seeds); do \
	  echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
	  ../../kappascope_fuzz $$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	    -rss_limit_mb=2048 -malloc_limit_mb=512 -artifact_prefix=found/$$name- \
	    found/$$name seeds/$$name || exit 1; done

coverage:  ## lines of the readers that the seeds of the fuzz targets reach: build/coverage/coverage
	@cmake/setup.sh asan
	@$(call compile,coverage,kappascope_fuzz kappascope_fuzz_make_seeds)
	@tests/fuzz/coverage.sh build/coverage

soak:  ## the long forms of tests: every moment of a failing disk, memory that runs out, kills, heavy loads, races, fuzzing for hours
	@cmake/setup.sh test
	@cmake/setup.sh bench
	@$(call compile,release)
	@for test in faults allocations kills load; do \
	  KAPPASCOPE_SOAK=1 build/deps/test-venv/bin/python -B tests/cli/$${test}_test.py build/release || exit 1; done
	@$(call compile,asan)
	@build/deps/test-venv/bin/python -B tests/fuzz/differential_test.py build/asan/kappascope_read_files 3600
	@$(MAKE) fuzz FUZZ_SECONDS=3600
	@$(call compile,tsan,kappascope_unit)
	@TSAN_OPTIONS=suppressions=tests/tsan_suppressions.txt setarch -R build/tsan/kappascope_unit --gtest_brief=1

mutants:  ## do the tests see faults? MUTANTS=200 of SEED=1, goes on where it was: build/mutants
	@cmake/setup.sh test
	@build/deps/test-venv/bin/python -B tests/mutants/mutants.py --number=$(MUTANTS) --seed=$(SEED) \
	  $(if $(AGAIN),--again='$(AGAIN)')

figures:  ## the agreed pictures of every figure beside those of now, on a page in build/figures
	@cmake/setup.sh build
	@$(call compile,release,kappascope)
	@python3 -B tests/figures/golden_figures.py build/release/kappascope --page build/figures

bench:  ## speed and memory beside peers, ratios only; ROWS=P1,P5 for some, KAPPASCOPE_REFERENCE=DIR
	@cmake/setup.sh bench
	@$(call compile,release,kappascope kappascope_make_model kappascope_bench \
	  $(if $(filter OFF,$(KAPPASCOPE_GUI)),,kappascope_window_bench))
	@site=$$(echo "$$PWD"/build/deps/bench-venv/lib/python3*/site-packages); \
	  LD_LIBRARY_PATH=$$(printf '%s:' "$$site"/nvidia/*/lib) \
	  build/deps/bench-venv/bin/python -B tests/bench/bench.py build --rows="$(ROWS)"

# The one header that such machines lack goes along with build/deps/include.
gpu-build:  ## build/gpu: the CUDA engine and its checks alone, for the GPU of this machine
	@cmake/setup.sh gpu
	@[ -e build/deps/include/nlohmann ] || [ ! -e /usr/include/nlohmann ] || \
	  { mkdir -p build/deps/include && cp -r /usr/include/nlohmann build/deps/include; }
	@$(cuda_compiler) cmake -S tests/gpu/machine -B build/gpu $(if $(shell command -v ninja),-G Ninja) \
	  --log-level=NOTICE >build/configure-gpu.log 2>&1 \
	  -DKAPPASCOPE_TORCH_ROOT="$$(realpath "$$(cat build/deps/torch-root)")" \
	  $(if $(CUDA_ARCHITECTURES),-DCMAKE_CUDA_ARCHITECTURES="$(CUDA_ARCHITECTURES)") \
	  || { cat build/configure-gpu.log; exit 1; }
	@cmake --build build/gpu

gpu-check: gpu-build  ## all that wants a GPU: twins, goldens, G rows, compute-sanitizer (needs CUDA and Torch)
	@python=build/deps/test-venv/bin/python; [ -x $$python ] || python=python3; \
	  $$python -B tests/gpu/check.py build/gpu

format:  ## lay out the sources by .clang-format
	@cmake/setup.sh asan
	@$(sources) | xargs -0 $(clang_format) -i

lint:  ## layout, warnings as errors by two compilers, clang-tidy, the tests of the structure
	@cmake/setup.sh lint
	@$(sources) | xargs -0 $(clang_format) --dry-run --Werror
	@$(call compile,lint-gcc)
	@$(call compile,lint-clang)
	@$(torchless) | xargs -0 -n 1 -P "$$(nproc)" clang-tidy --quiet -p build/lint-clang \
	    2>build/clang-tidy.log
	@ctest --test-dir build/lint-gcc -L structure --output-on-failure --no-tests=error

clean:  ## remove what was built; what was downloaded, build/deps, stays
	rm -rf build/gpu build/release build/asan build/tsan build/coverage build/mutants build/lint-gcc build/lint-clang build/demo build/figures build/*.log
