#!/usr/bin/env bash
# coverage.sh BUILD: lines of the readers of untrusted files that the seeds alone reach. BUILD: built by
# clang++ with -fprofile-instr-generate -fcoverage-mapping. What lies in BUILD/coverage afterwards:
# a table, a line a file, and the sources with the count of each line. Fails where fewer of the lines
# are reached than below.
set -euo pipefail
if ! command -v llvm-cov >/dev/null || ! command -v llvm-profdata >/dev/null; then
  echo 'coverage: llvm-cov and llvm-profdata are missing; Debian has them in the package llvm' >&2
  exit 1
fi
shopt -s nullglob
cd "$(dirname "$0")/../.."
build=$1 out=$1/coverage

# What the targets are meant to read with. Not in it, as bytes of a file do not lead there: folders
# and the hub's cache (which files there are), Parquet (Arrow's), what makes, computes or writes.
readers=(
  core/csv_text.cpp
  core/checkpoint/{deflate,input_file,json,other_format,pickle,safetensors,shards,tensor,tensor_call,torch_pt,zip}.cpp
  core/checkpoint/{byte_cursor,pickle_stack}.h
  core/tokenizer/{added_tokens,bpe,merge_table,normalizer,pattern,pre_tokenizer,sentencepiece_model}.cpp
  core/tokenizer/{splitter,subword_model,subword_tokenizer,text_pattern,tiktoken_pickle}.cpp
  core/tokenizer/{tiktoken_tokenizer,tokenizer,tokenizer_config,tokenizer_file,tokenizer_json}.cpp
  core/tokenizer/{unicode_forms,vocabulary}.cpp core/tokenizer/protobuf.h
  core/chat/*.cpp
  core/corpus/{byte_source,csv_documents,text_documents,text_stream}.cpp
  core/tasks/{bundle,task}.cpp
  core/model/{model,reading,weights}.cpp
  core/model/families/{deepseek,dots1,end_tokens,ernie4_5_moe,families,fields,flex_olmo,glm4_moe}.cpp
  core/model/families/{gpt_oss,granitemoe,hf,hf_config,hf_mixer_weights,hf_rope,hf_routers}.cpp
  core/model/families/{hf_weights,lfm2_moe,mellum,mixtral,nanochat,nanochat_config}.cpp
  core/model/families/{nanochat_fields,nanochat_kappa,nanochat_weights,olmoe,phimoe}.cpp
  core/model/families/{qwen2_moe,qwen3_moe,qwen3_next}.cpp
  core/trace/{given_routes,loaded_arrays,model_parameters_reader,npy_header,npz_reader}.cpp
  core/trace/{stats_reader,trace}.cpp core/trace/byte_archive.h
  core/train/{log_reader,settings}.cpp
  core/engine/interventions.cpp core/figure/style_file.cpp app/gui/settings.cpp app/cli/sweep_log.cpp
)

least=95  # percent of all lines
for reader in "${readers[@]}"; do
  [[ -f $reader ]] || { echo "coverage: $reader is no file; mend the list of readers" >&2; exit 1; }
done

rm -rf "$out" && mkdir -p "$out"
for seeds in "$build"/tests/fuzz/seeds/*; do
  name=$(basename "$seeds")
  LLVM_PROFILE_FILE=$out/$name.profraw "$build/kappascope_fuzz" "$name" -runs=0 "$seeds"/* \
    >"$out/$name.log" 2>&1 || { tail -n 20 "$out/$name.log"; exit 1; }
done
llvm-profdata merge -sparse "$out"/*.profraw -o "$out/all.profdata"
llvm-cov show "$build/kappascope_fuzz" -instr-profile="$out/all.profdata" \
  "${readers[@]}" >"$out/lines.txt"
llvm-cov report "$build/kappascope_fuzz" -instr-profile="$out/all.profdata" \
  -show-region-summary=0 -show-branch-summary=0 "${readers[@]}" | tee "$out/table.txt"
awk -v least=$least '$1 == "TOTAL" { total = $NF + 0 } END { exit !(total >= least) }' "$out/table.txt" || {
  echo "coverage: the seeds reach less than $least % of the readers' lines; seeds of what is new are missing" >&2
  exit 1
}
