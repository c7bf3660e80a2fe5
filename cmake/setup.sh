#!/bin/bash
# Installs what is missing: `cmake/setup.sh build|test|lint`, each with all of the one before;
# `asan`: what test has but Torch and the window; `core`: of that what is compiled with; `bench`: what
# build has and the peers of the benchmark; `gpu` looks for Torch alone.
# System packages come from apt, Torch and the tests' Python packages from PyPI into build/deps.
# What is there already is used. Nothing outside the checkout is written but apt's own files and a
# cache folder; an interrupted set-up goes on at the next call.
set -euo pipefail
cd "$(dirname "$0")/.."
deps=build/deps

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# --- System packages -------------------------------------------------------------------------

# The first Python that Torch is built for; a newer or older one on PATH is passed over.
python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
      2>/dev/null; then
      "$candidate" "$@"
      return
    fi
  done
  die "no Python from 3.11 to 3.14 is on PATH"
}

has_library() { pkg-config --exists "$1" 2>/dev/null; }
has_cmake() { cmake -P cmake/version.cmake 2>/dev/null; }
has_compiler() { command -v c++ && c++ -std=c++20 -fsyntax-only -x c++ - <<<'#include <span>'; }
has_shared() { ldconfig -p | grep -q "$1" || /sbin/ldconfig -p | grep -q "$1"; }
has_sanitizers() {
  local runtime
  runtime=$(clang++ -print-resource-dir)/lib
  compgen -G "$runtime/*/libclang_rt.fuzzer*.a"
}

# Each line: the package, then a command that tells whether what it holds is there.
packages_build='
build-essential has_compiler
cmake has_cmake
ninja-build command -v ninja
pkg-config command -v pkg-config
python3-venv python -c "import ensurepip, venv"
nlohmann-json3-dev has_library nlohmann_json
libcli11-dev has_library CLI11
libpcre2-dev has_library libpcre2-8
libmd-dev has_library libmd
zlib1g-dev has_library zlib
libzstd-dev has_library libzstd
libcairo2-dev has_library cairo
libpango1.0-dev has_library pangocairo
librsvg2-dev has_library librsvg-2.0
libfontconfig-dev has_library fontconfig
libutf8proc-dev has_library libutf8proc
libtomlplusplus-dev has_library tomlplusplus
libgtest-dev has_library gtest
fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'
packages_window='
libglfw3-dev has_library glfw3
libfreetype-dev has_library freetype2'
packages_test='
clang command -v clang++
libclang-rt-dev has_sanitizers
poppler-utils command -v pdftoppm
fish command -v fish
zsh command -v zsh'
packages_window_test='
xvfb command -v Xvfb
xclip command -v xclip
xdotool command -v xdotool
libgl1 has_shared libGL.so.1
libgl1-mesa-dri compgen -G "/usr/lib/*/dri/swrast_dri.so"'
packages_lint='
clang-tidy command -v clang-tidy'

missing_packages() {
  local package check
  while read -r package check; do
    [[ -z $package ]] || (eval "$check") >/dev/null 2>&1 </dev/null || printf '%s ' "$package"
  done <<<"$1"
}

install_packages() {
  local missing as_root=()
  missing=$(missing_packages "$1")
  [[ -n $missing ]] || return 0
  if ! command -v apt-get >/dev/null; then
    die "missing, by their Debian names: $missing"
  fi
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null || die "missing packages; please run:
  sudo apt-get update && sudo apt-get install --no-install-recommends $missing"
    as_root=(sudo -n)
  fi
  say "installing $missing"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
    -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update || say "apt-get update failed; trying with the lists at hand"
  # shellcheck disable=SC2086  # a list of names
  "${apt[@]}" install -y --no-install-recommends $missing || die "apt-get could not install them"
  missing=$(missing_packages "$1")
  [[ -z $missing ]] || die "installed, but still not found: $missing"
}

# --- Python packages -------------------------------------------------------------------------

# The only folder written outside the checkout; without one, downloads are not kept.
pip_cache() {
  local cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
  if [[ $cache == /* ]] && mkdir -p "$cache/kappascope/pip" 2>/dev/null &&
    [[ -w $cache/kappascope/pip ]]; then
    printf -- '--cache-dir=%s' "$cache/kappascope/pip"
  else
    printf -- '--no-cache-dir'
  fi
}

# install_packages_into FOLDER REQUIREMENTS STAMP: into the environment that is there; complete once
# the stamp names these requirements.
install_packages_into() {
  say "installing the packages of $2 into $1"
  rm -rf "$deps/temporary"
  mkdir -p "$deps/temporary"
  # Downloads unpack beside their place: /tmp is often too small for Torch.
  PIP_USER=0 TMPDIR=$PWD/$deps/temporary "$1/bin/python" -m pip install --disable-pip-version-check \
    "$(pip_cache)" --no-compile --no-deps --require-hashes --only-binary=:all: -r "$2" ||
    die "pip could not install the packages of $2"
  rm -rf "$deps/temporary"
  sha256sum <"$2" >"$3.new"
  mv "$3.new" "$3"
}

# is_complete FOLDER REQUIREMENTS STAMP
is_complete() {
  [[ -f $3 && $(<"$3") == "$(sha256sum <"$2")" ]] && "$1/bin/python" -c '' 2>/dev/null
}

virtual_environment() {
  is_complete "$1" "$2" "$1/complete" && return
  rm -rf "$1"
  mkdir -p "$1"
  python -m venv "$1"
  install_packages_into "$1" "$2" "$1/complete"
}

# add_packages FOLDER REQUIREMENTS: beside what that environment has already.
add_packages() {
  local stamp
  stamp=$1/complete-$(basename "$2" .txt)
  is_complete "$1" "$2" "$stamp" || install_packages_into "$1" "$2" "$stamp"
}

# --- The window ------------------------------------------------------------------------------

# Unpacks the sources that cmake/window.cmake compiles; complete once the stamp names the pins.
window_sources() {
  local folder=$deps/imgui-bundle hash
  local stamp=$folder/complete temporary=$deps/temporary
  hash=$(sha256sum <cmake/requirements-window.txt)
  [[ ! -f $stamp || $(<"$stamp") != "$hash" ]] || return 0
  say "fetching the sources of the window into $folder"
  rm -rf "$folder" "$temporary"
  mkdir -p "$folder" "$temporary"
  python -m venv "$temporary/venv"
  PIP_CONSTRAINT=cmake/constraints-window.txt TMPDIR=$PWD/$temporary \
    "$temporary/venv/bin/python" -m pip download --disable-pip-version-check "$(pip_cache)" \
    --no-deps --require-hashes --no-binary imgui-bundle --dest "$temporary" \
    -r cmake/requirements-window.txt >&2 ||
    die "pip could not fetch the sources of the window; KAPPASCOPE_GUI=OFF builds without it"
  tar -xzf "$temporary"/imgui_bundle-*.tar.gz -C "$folder" --strip-components=2 --wildcards \
    '*/external/imgui/imgui' '*/external/implot/implot' \
    '*/external/imgui_test_engine/imgui_test_engine' ||
    die "the source package of imgui-bundle is not as expected"
  rm -rf "$temporary"
  printf '%s\n' "$hash" >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

# --- Torch -----------------------------------------------------------------------------------

# True for the folder of a package torch 2.11 whose libraries find all that they need.
usable_torch() {
  local needed
  grep -qs "^__version__ = '2\.11\." "$1/version.py" && [[ -f $1/lib/libc10.so ]] &&
    needed=$(ldd "$1/lib/libtorch_cpu.so" 2>/dev/null) && [[ $needed != *'not found'* ]]
}

# The folder of the user's own package torch, found without importing it.
user_torch() {
  (cd / && python3 -c '
import importlib.util
spec = importlib.util.find_spec("torch")
print(next(iter(spec.submodule_search_locations)) if spec else "")' 2>/dev/null) || true
}

# Writes the folder of Torch to build/deps/torch-root: relative when inside the checkout.
choose_torch() {
  local chosen=${KAPPASCOPE_TORCH_ROOT:-} recorded
  recorded=$(cat "$deps/torch-root" 2>/dev/null || true)
  if [[ -n $chosen ]]; then
    usable_torch "$chosen" || die "KAPPASCOPE_TORCH_ROOT='$chosen' is no complete Torch 2.11"
  elif [[ $recorded == /* ]] && usable_torch "$recorded"; then
    chosen=$recorded
  elif [[ $recorded != "$deps"/* ]]; then
    chosen=$(user_torch)
    if [[ -n $chosen ]] && ! usable_torch "$chosen"; then
      say "the Torch in $chosen is not a complete 2.11; installing one into $deps"
      chosen=
    elif [[ -n $chosen && -z $(torch_cuda "$chosen") ]] && has_gpu; then
      say "the Torch in $chosen is built without CUDA; installing one for the GPU into $deps"
      chosen=
    fi
  fi
  if [[ -z $chosen ]]; then
    virtual_environment "$deps/torch" cmake/requirements.txt
    chosen=$(compgen -G "$deps/torch/lib/python3*/site-packages/torch")
  fi
  usable_torch "$chosen" || die "the Torch in $chosen does not find all of its libraries"
  [[ $chosen == "$recorded" ]] && return
  say "using the Torch in $chosen"
  mkdir -p "$deps"
  printf '%s\n' "$chosen" >"$deps/torch-root.new"
  mv "$deps/torch-root.new" "$deps/torch-root"
}

# --- CUDA, where the machine has an NVIDIA GPU --------------------------------------------------

has_gpu() {
  [[ ${KAPPASCOPE_CUDA:-AUTO} != OFF ]] && nvidia-smi -L 2>/dev/null | grep -q '^GPU [0-9]'
}

# The major version of CUDA that a Torch was built with; nothing for one without CUDA.
torch_cuda() { sed -n "s/^cuda.* = '\([0-9]*\)\..*/\1/p" "$1/version.py"; }

nvcc_major() { "$1" --version 2>/dev/null | sed -n 's/.*release \([0-9]*\)\..*/\1/p'; }

# The first compiler of that major version of those that are there: a program of another one builds,
# too, but its library does not open.
find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
    if [[ -n $candidate && $(nvcc_major "$candidate") == "$1" ]]; then
      printf '%s' "$candidate"
      return
    fi
  done
}

# The package index has the compiler in parts that expect the folders of a whole toolkit.
nvcc_of_packages() {
  local root
  virtual_environment "$deps/cuda" cmake/requirements-cuda-compiler.txt
  root=$(compgen -G "$PWD/$deps/cuda/lib/python3*/site-packages/nvidia/cu13")
  [[ -e $root/lib64 ]] || ln -s lib "$root/lib64"
  chosen_nvcc=$root/bin/nvcc
}

# What libtorch_cuda needs and does not find.
missing_cuda_libraries() { ldd "$1/lib/libtorch_cuda.so" 2>/dev/null | grep 'not found'; }

# Compiler and libraries for the GPU; writes the compiler to build/deps/nvcc. Without a GPU nothing
# is fetched, and CMake looks for nvcc by itself.
choose_cuda() {
  local torch cuda chosen_nvcc='' recorded
  torch=$(<"$deps/torch-root")
  cuda=$(torch_cuda "$torch")
  if has_gpu && [[ -n $cuda && -f $torch/lib/libtorch_cuda.so ]]; then
    chosen_nvcc=$(find_nvcc "$cuda")
    if [[ -z $chosen_nvcc && $cuda == 13 ]]; then
      nvcc_of_packages
    elif [[ -z $chosen_nvcc ]]; then
      say "the Torch in $torch was built with CUDA $cuda: with nvcc $cuda on PATH the GPU is used"
    fi
    if [[ -n $(missing_cuda_libraries "$torch") ]]; then
      if [[ $torch == "$deps"/* ]]; then
        add_packages "$deps/torch" cmake/requirements-cuda-libraries.txt
      else
        say "the Torch in $torch misses CUDA libraries; the GPU cannot be used with it"
      fi
    fi
  elif has_gpu; then
    say "the Torch in $torch is built without CUDA: the GPU is not used"
  fi
  recorded=$(cat "$deps/nvcc" 2>/dev/null || true)
  [[ $chosen_nvcc == "$recorded" ]] && return
  [[ -z $chosen_nvcc ]] || say "compiling for the GPU with $chosen_nvcc"
  # They keep the compiler of before; the sanitized build, which may be at work, has none.
  { grep -ls CMAKE_CUDA_COMPILER build/*/CMakeCache.txt || true; } | xargs -r rm -f
  printf '%s\n' "$chosen_nvcc" >"$deps/nvcc.new"
  mv "$deps/nvcc.new" "$deps/nvcc"
}

# --- Arrow, for Parquet files -------------------------------------------------------------------

# Of the system where it is new enough for cmake/arrow.cmake, else that of the package pyarrow.
choose_arrow() {
  pkg-config --atleast-version=26 parquet arrow 2>/dev/null && return
  (virtual_environment "$deps/arrow" cmake/requirements-arrow.txt) ||
    die "Arrow could not be installed; KAPPASCOPE_ARROW=OFF builds without it, and Parquet is not read"
}

# The peers of the benchmark, with the Torch at hand instead of one of their own.
bench_environment() {
  virtual_environment "$deps/bench-venv" cmake/requirements-bench.txt
  (cd "$(<"$deps/torch-root")/.." && pwd) >"$(compgen -G "$deps/bench-venv/lib/python3*/site-packages")/torch.pth"
}

if [[ ${KAPPASCOPE_GUI:-AUTO} != OFF ]]; then
  packages_build+=$packages_window
  packages_test+=$packages_window_test
fi
case ${1:-} in
  build | bench) install_packages "$packages_build" ;;
  core | asan | test) install_packages "$packages_build$packages_test" ;;
  lint) install_packages "$packages_build$packages_test$packages_lint" ;;
  gpu) ;;
  *) die "usage: cmake/setup.sh core|asan|build|test|lint|bench|gpu" ;;
esac
# Sanitized tests do without Torch and the window; the checks of a GPU draw nothing, and must do
# without a network.
if [[ $1 != core && $1 != asan ]]; then
  choose_torch
  choose_cuda
  [[ ${KAPPASCOPE_GUI:-AUTO} == OFF || $1 == gpu ]] || window_sources
fi
[[ ${KAPPASCOPE_ARROW:-AUTO} == OFF || $1 == gpu ]] || choose_arrow
case $1 in
  asan | test | lint)
    virtual_environment "$deps/test-venv" cmake/requirements-test.txt
    # Tests leave no bytecode behind: what each of them imports is compiled here, once.
    "$deps/test-venv/bin/python" -c 'import numpy'
    ;;
  bench) bench_environment ;;
esac
