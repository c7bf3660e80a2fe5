#!/bin/bash
# What to do first on a machine with a GPU, in the order of what is learnt: build for this GPU alone,
# compare, measure, then look for what only the sanitizers see, then profile. Each step has a limit of
# its own and leaves its log in $KAPPASCOPE_GPU_LOGS (build/gpu/logs), so that a stop loses nothing.
#
#   tests/gpu/first_half_hour.sh [built]      built: build/gpu was made elsewhere and brought here
#
# The machine needs a compiler, CMake, nvcc, Torch 2.11 and nlohmann/json.hpp, which may lie in
# build/deps/include; it needs no network.
set -uo pipefail
cd "$(dirname "$0")/../.."
check() { python3 -B tests/gpu/check.py build/gpu "$@"; }

if [[ ${1:-} == built ]]; then
  # Torch may be elsewhere than where it was built.
  torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
  LD_LIBRARY_PATH=$torch/lib:$(printf '%s:' "$torch"/../nvidia/*/lib)${LD_LIBRARY_PATH:-}
  export LD_LIBRARY_PATH
else
  timeout 400 make gpu-build || exit 1
fi
check facts twins goldens rows torch facts
check memcheck racecheck synccheck initcheck
check profile
