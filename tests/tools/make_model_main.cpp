// kappascope_make_model [hub]: writes a synthetic model folder, with `hub` one of Hugging Face, for
// tests and benchmarks.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/model/families/nanochat_config.h"
#include "tests/tools/hub_model.h"
#include "tests/tools/synthetic.h"
#include "tests/tools/synthetic_trace.h"

namespace {

using kappascope::DType;
using kappascope::Granularity;
using kappascope::KappaInput;
using kappascope::synthetic::HubSpec;
using kappascope::synthetic::ModelSpec;

constexpr const char* kExamples = R"(
Examples:
  kappascope_make_model build/tiny --trace 64
A trace of 25 million router logits, 200 MB, in seconds and 60 MB of memory; with --trace 20480 1 GB:
  kappascope_make_model build/large --hidden 32 --layers 48 --moe-start 0 --experts 128 --slots 8
    --granularity per-expert --dtype bfloat16 --trace 4096)";

constexpr const char* kHubExamples = R"(
Examples:
  kappascope_make_model hub build/tiny-hub --hidden 64 --layers 4 --heads 4 --kv-heads 2
    --head-width 16 --experts 8 --slots 2 --gates 32
The shape of Mellum2 with four layers, 3.3 GB in shards of 1 GB:
  kappascope_make_model hub build/large-hub --layers 4 --shard-bytes 1000000000
All 22.6 GB of it, as holes that take no room, for what reads headers alone:
  kappascope_make_model hub build/holes --sparse --shard-bytes 5000000000)";

const std::map<std::string, DType> kDtypes = {{"float32", DType::float32},
                                              {"bfloat16", DType::bfloat16}};

void add_sizes(CLI::App& app, ModelSpec& spec) {
  app.add_option("--hidden", spec.hidden, "H, at least 32; an expert has 4H gate units");
  app.add_option("--layers", spec.layers, "L");
  app.add_option("--heads", spec.heads, "attention heads, a divisor of H");
  app.add_option("--kv-heads", spec.kv_heads, "key and value heads, a divisor of --heads");
  app.add_option("--experts", spec.experts, "E; 1: no MoE layer");
  app.add_option("--slots", spec.slots, "K, experts chosen per token");
  app.add_option("--vocab", spec.vocab, "V");
  app.add_option("--sequence", spec.sequence, "sequence_len");
  app.add_option("--moe-start", spec.moe_start, "first layer that may be MoE");
  app.add_option("--moe-stride", spec.moe_stride, "every so many layers one MoE layer");
  app.add_option("--moe-count", spec.moe_count, "at most so many MoE layers, -1: all");
  app.add_option("--passes", spec.passes, "total_ut_steps");
}

void add_kinds(CLI::App& app, ModelSpec& spec) {
  const std::map<std::string, KappaInput> inputs = {{"router_probs", KappaInput::router_probs},
                                                    {"top_logits", KappaInput::top_logits},
                                                    {"constant", KappaInput::constant}};
  const std::map<std::string, Granularity> granularities = {{"per-gate", Granularity::per_gate},
                                                            {"per-expert", Granularity::per_expert},
                                                            {"per-layer", Granularity::per_layer},
                                                            {"global", Granularity::global}};
  app.add_flag("--kappa,!--no-kappa", spec.kappa, "κ-SwiGLU (the default) or SwiGLU");
  app.add_option("--kappa-start", spec.kappa_start, "layers below have κ = 1");
  app.add_option("--kappa-input", spec.kappa_input, "router_probs, top_logits, constant")
      ->transform(CLI::CheckedTransformer(inputs))
      ->option_text("KIND");
  app.add_option("--kappa-exponent", spec.kappa_exponent, "p of top_logits");
  app.add_option("--granularity", spec.granularity, "per-gate, per-expert, per-layer, global")
      ->transform(CLI::CheckedTransformer(granularities))
      ->option_text("KIND");
  app.add_flag("--dense-kappa", spec.dense_kappa, "dense layers have κ too");
  app.add_flag("--kappa-product", spec.kappa_product, "κ bias as the older outer product");
  app.add_flag(
      "--relu-dense", [&spec](std::int64_t) { spec.gated_dense = false; },
      "dense layers without a gate");
  app.add_flag("--bilinear", spec.bilinear, "expert gates without an activation");
  app.add_flag("--expert-bias", spec.expert_bias, "selection with a bias per expert");
  app.add_flag("--lambda-steps", spec.lambda_steps, "lambdas of two passes");
  app.add_option("--window", spec.window, "window_pattern");
  app.add_option("--eval-capacity", spec.eval_capacity, "eval_capacity");
  app.add_option("--soft-budget", spec.soft_budget, "soft routing with this lapsum_budget_total");
  app.add_option_function<std::string>(
         "--config",
         [&spec](const std::string& text) { spec.config = kappascope::Json::parse(text); },
         "fields of model_config, over those that follow from the options")
      ->option_text("JSON");
  app.add_option("--dtype", spec.dtype, "float32, bfloat16")
      ->transform(CLI::CheckedTransformer(kDtypes))
      ->option_text("TYPE");
}

void add_faults(CLI::App& app, ModelSpec& spec) {
  app.add_option("--drop", spec.drop, "leave this tensor out (may be repeated)")
      ->option_text("NAME");
  app.add_option("--nan", spec.not_a_number, "first value of this tensor is NaN")
      ->option_text("NAME");
}

// The exit code where the words end the program.
std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  app.get_formatter()->column_width(34);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(kappascope::ExitCode::usage);
  }
  return std::nullopt;
}

int make_nanochat(int argc, char** argv) {
  ModelSpec spec;
  std::string folder;
  CLI::App app(
      "Writes a synthetic model into a folder: model_NNNNNN.pt as torch.save lays it out,\n"
      "meta_NNNNNN.json beside it, weights drawn from a seed. Same words, same bytes.\n"
      "`kappascope_make_model hub` writes one in the shape of Mellum2.");
  app.add_option("FOLDER", folder, "made when it is absent")->required();
  app.footer(kExamples);
  add_sizes(app, spec);
  add_kinds(app, spec);
  add_faults(app, spec);
  app.add_option("--seed", spec.seed, "of the weights");
  app.add_option("--step", spec.step, "training step in the file names");
  app.add_flag("--compiled", spec.compiled, "tensor names with _orig_mod. in front");
  app.add_flag("--sparse", spec.sparse, "holes for weights: full size, hardly any disk");
  kappascope::synthetic::TraceSpec trace;
  trace.tokens = 0;
  app.add_option("--trace", trace.tokens,
                 "also write trace.npz and model.npz of T made-up tokens into FOLDER/trace")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24))
      ->option_text("T");
  app.add_flag("--trace-gates", trace.gates, "with κ, z and a of every gate unit");
  app.add_flag("--trace-logits", trace.logits, "with the logits");
  if (const auto code = parse(app, argc, argv)) { return *code; }
  const kappascope::Json meta = {{"model_config", kappascope::synthetic::model_config(spec)}};
  kappascope::nanochat::read_config(meta, {}, "options");  // refuses what no model can be
  kappascope::synthetic::write_model(folder, spec);
  if (trace.tokens == 0) { return 0; }
  trace.seed = spec.seed;
  const std::filesystem::path path(folder);
  kappascope::synthetic::write_trace(path / "trace",
                                     kappascope::open_model(path, {.step = spec.step}), trace);
  return 0;
}

int make_hub(int argc, char** argv) {
  HubSpec spec;
  std::string folder;
  CLI::App app(
      "Writes a synthetic model in the shape of Mellum2 into a folder: config.json,\n"
      "tokenizer.json, safetensors; weights drawn from a seed. Same words, same bytes.",
      "kappascope_make_model hub");
  app.add_option("FOLDER", folder, "made when it is absent")->required();
  app.footer(kHubExamples);
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
  app.add_option("--dtype", spec.dtype, "float32, bfloat16 (the default)")
      ->transform(CLI::CheckedTransformer(kDtypes))
      ->option_text("TYPE");
  app.add_option("--seed", spec.seed, "of the weights");
  app.add_option("--shard-bytes", spec.shard_bytes,
                 "shards of at most so many bytes and their index; one file unless given");
  app.add_flag("--sparse", spec.sparse, "holes for weights: full size, hardly any disk");
  if (const auto code = parse(app, argc, argv)) { return *code; }
  kappascope::require(spec.vocab >= 256 && spec.slots <= spec.experts &&
                          spec.heads % spec.kv_heads == 0 && spec.head_width % 2 == 0,
                      kappascope::ExitCode::usage, {}, "no model has these sizes");
  kappascope::synthetic::write_hub_model(folder, spec);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const bool hub = argc > 1 && std::string_view(argv[1]) == "hub";
    return hub ? make_hub(argc - 1, argv + 1) : make_nanochat(argc, argv);
  } catch (const kappascope::Error& error) {
    std::fprintf(stderr, "kappascope_make_model: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kappascope_make_model: %s\n", error.what());
    return static_cast<int>(kappascope::ExitCode::internal);
  }
}
