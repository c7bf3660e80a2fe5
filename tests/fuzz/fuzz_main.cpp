// kappascope_fuzz NAME …: libFuzzer, with its own words, on the target of this name.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "tests/fuzz/targets.h"

namespace kappascope::testing {
namespace {

using Target = void (*)(const std::uint8_t* data, std::size_t size);
const std::map<std::string, Target> kTargets = {
    {"chat", fuzz_chat},
    {"chat_template", fuzz_chat_template},
    {"config", fuzz_config},
    {"corpus", fuzz_corpus},
    {"csv", fuzz_csv},
    {"html", fuzz_html},
    {"interventions", fuzz_interventions},
    {"json", fuzz_json},
    {"meta_json", fuzz_meta_json},
    {"npz", fuzz_npz},
    {"npz_writer", fuzz_npz_writer},
    {"pickle", fuzz_pickle},
    {"safetensors", fuzz_safetensors},
    {"sentencepiece", fuzz_sentencepiece},
    {"settings", fuzz_settings},
    {"shards", fuzz_shards},
    {"style", fuzz_style},
    {"svg", fuzz_svg},
    {"sweep_log", fuzz_sweep_log},
    {"tasks", fuzz_tasks},
    {"tokenizer_config", fuzz_tokenizer_config},
    {"tokenizer_json", fuzz_tokenizer_json},
    {"tokenizer_pickle", fuzz_tokenizer_pickle},
    {"torch_pt", fuzz_torch_pt},
    {"torch_writer", fuzz_torch_writer},
    {"totals", fuzz_totals},
    {"train_log", fuzz_train_log},
    {"train_settings", fuzz_train_settings},
    {"zip", fuzz_zip},
};
constexpr const char* kChosen =
    "KAPPASCOPE_FUZZ_TARGET";  // of the processes that libFuzzer starts itself
Target target = nullptr;

}  // namespace
}  // namespace kappascope::testing

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  using namespace kappascope::testing;
  const char* const inherited = std::getenv(kChosen);
  const std::string name = inherited ? inherited : *argc > 1 ? (*argv)[1] : "";
  const auto found = kTargets.find(name);
  if (found == kTargets.end()) {
    std::fprintf(stderr, "kappascope_fuzz: no target '%s'; expected one of", name.c_str());
    for (const auto& [known, unused] : kTargets) { std::fprintf(stderr, " %s", known.c_str()); }
    std::fputc('\n', stderr);
    std::exit(2);
  }
  target = found->second;
  if (!inherited) {
    setenv(kChosen, name.c_str(), 1);
    (*argv)[1] = (*argv)[0];
    ++*argv;
    --*argc;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kappascope::testing::target(data, size);
  return 0;
}
