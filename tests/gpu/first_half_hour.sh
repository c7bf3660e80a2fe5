#!/bin/bash
# What to do first on a machine with a GPU, in the order of what is learnt: build for this GPU alone,
# compare, measure, then look for what only the sanitizers see, then profile, then other ways of the
# grouped products. Each step has a limit of its own and leaves its log in $KAPPASCOPE_GPU_LOGS
# (build/gpu/logs), so that a stop loses nothing.
#
#   tests/gpu/first_half_hour.sh [built] [PART…]      parts: numbers sanitizers profile variants (all)
#
# `built`: build/gpu was made elsewhere and brought here. Each part is meant for a command of its own
# where commands are limited: numbers take 6 minutes at most as a rule, the others 5.
#
# The machine needs a compiler, CMake, nvcc, Torch 2.11 and nlohmann/json.hpp, which may lie in
# build/deps/include; it needs no network.
set -uo pipefail
cd "$(dirname "$0")/../.."
check() { python3 -B tests/gpu/check.py build/gpu "$@"; }

if [[ ${1:-} == built ]]; then
  shift
  # Torch may be elsewhere than where it was built.
  torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
  LD_LIBRARY_PATH=$torch/lib:$(printf '%s:' "$torch"/../nvidia/*/lib)${LD_LIBRARY_PATH:-}
  export LD_LIBRARY_PATH
else
  timeout 400 make gpu-build || exit 1
fi
[[ $# -gt 0 ]] || set -- numbers sanitizers profile variants
for part; do
  case $part in
    numbers) check facts twins goldens training rows torch facts ;;
    sanitizers) # two at a time
      check memcheck racecheck &
      check synccheck initcheck memcheck_golden
      wait
      ;;
    profile) check profile ;;
    variants)
      # The rule's own way first and last, so that a drift of the machine shows.
      logs=${KAPPASCOPE_GPU_LOGS:-build/gpu/logs} round=0
      for way in '' torch cublas ''; do
        echo "=== grouped products: ${way:-by rule}"
        KAPPASCOPE_GPU_PRODUCTS=$way KAPPASCOPE_GPU_LOGS=$logs/$((++round))-${way:-rule} check rows
      done
      ;;
    *) echo "unknown part: $part" >&2; exit 2 ;;
  esac
done
