// kappascope_make_hub_model: writes a synthetic Hugging Face folder, for tests and benchmarks.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>

#include "core/error.h"
#include "tests/tools/hub_model.h"

namespace {

using kappascope::DType;
using kappascope::synthetic::HubSpec;

constexpr const char* kExamples = R"(
Examples:
  kappascope_make_hub_model build/tiny-hub --hidden 64 --layers 4 --heads 4 --kv-heads 2
    --head-width 16 --experts 8 --slots 2 --gates 32
The shape of Mellum2 with four layers, 3.3 GB in shards of 1 GB:
  kappascope_make_hub_model build/large-hub --layers 4 --shard-bytes 1000000000
All 22.6 GB of it, as holes that take no room, for what reads headers alone:
  kappascope_make_hub_model build/holes --sparse --shard-bytes 5000000000)";

int make(int argc, char** argv) {
  HubSpec spec;
  std::string folder;
  CLI::App app(
      "Writes a synthetic model in the shape of Mellum2 into a folder: config.json,\n"
      "tokenizer.json, safetensors; weights drawn from a seed. Same words, same bytes.");
  app.add_option("FOLDER", folder, "made when it is absent")->required();
  app.footer(kExamples);
  const CLI::Range size(std::int64_t{1}, std::int64_t{1} << 24);
  const auto number = [&](const char* name, std::int64_t& value, const char* what) {
    app.add_option(name, value, what)->check(size)->capture_default_str();
  };
  number("--hidden", spec.hidden, "H");
  number("--layers", spec.layers, "L; every fourth without a window");
  number("--heads", spec.heads, "attention heads");
  number("--kv-heads", spec.kv_heads, "key and value heads, a divisor of --heads");
  number("--head-width", spec.head_width, "numbers of a head, even");
  number("--experts", spec.experts, "E");
  number("--slots", spec.slots, "K, experts chosen per token");
  number("--gates", spec.gates, "I, gate units of an expert");
  number("--vocab", spec.vocab, "V, at least 256");
  number("--window", spec.window, "sliding_window");
  const std::map<std::string, DType> dtypes = {{"float32", DType::float32},
                                               {"bfloat16", DType::bfloat16}};
  app.add_option("--dtype", spec.dtype, "float32, bfloat16 (the default)")
      ->transform(CLI::CheckedTransformer(dtypes))
      ->option_text("TYPE");
  app.add_option("--seed", spec.seed, "of the weights");
  app.add_option("--shard-bytes", spec.shard_bytes,
                 "shards of at most so many bytes and their index; one file unless given");
  app.add_flag("--sparse", spec.sparse, "holes for weights: full size, hardly any disk");
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(kappascope::ExitCode::usage);
  }
  kappascope::require(spec.vocab >= 256 && spec.slots <= spec.experts &&
                          spec.heads % spec.kv_heads == 0 && spec.head_width % 2 == 0,
                      kappascope::ExitCode::usage, {}, "no model has these sizes");
  kappascope::synthetic::write_hub_model(folder, spec);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return make(argc, argv);
  } catch (const kappascope::Error& error) {
    std::fprintf(stderr, "kappascope_make_hub_model: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kappascope_make_hub_model: %s\n", error.what());
    return static_cast<int>(kappascope::ExitCode::internal);
  }
}
