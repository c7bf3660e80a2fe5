// dots.llm1: experts chosen by a sigmoid and a bias, expert that every token runs, q and k normed
// in each head (SPEC-families §11).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

// Windows: of the layers that layer_types names, else of those from max_window_layers on.
void set_dots_windows(hf::Config& config, std::vector<LayerSpec>& layers) {
  const std::int64_t window = config.window(4096), from = config.size("max_window_layers", 62, 0);
  std::vector<bool> late;
  for (std::int64_t i = 0; i < std::ssize(layers); ++i) {
    late.push_back(window != kNoWindow && i >= from);
  }
  const std::vector<bool> slides = config.sliding_layers(late);
  bool any = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    any = any || slides[i];
    layers[i].attention.window = slides[i] ? window : kNoWindow;
  }
  config.require_window(slides, window);
  if (!any) { config.fields().forget("sliding_window"); }
  config.fields().forget("max_window_layers");
}

void read_dots1(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4608,
                                        .depth = 62,
                                        .heads = 32,
                                        .kv_heads = 32,
                                        .head_width = 0,
                                        .vocab = 152064,
                                        .context = 2048,
                                        .epsilon = 1e-6,
                                        .null_as_heads = true});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes));
  layer.attention.norm = QueryKeyNorm::per_head;
  layer.attention.input_bias = layer.attention.output_bias = config.flag("attention_bias", false);
  MoeSpec moe;
  moe.router = config.sigmoid_router({.normalised = false});
  moe.gates = config.size("moe_intermediate_size", 1408);
  moe.shared = SharedSpec{config.shared_experts("n_shared_experts", 0) * moe.gates, false};
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 10944);
  std::vector<LayerSpec> layers = hf::layers_after(config, sizes, 0, layer, dense, moe);
  set_dots_windows(config, layers);
  hf::finish(model, config, sizes, std::move(layers), hf::deepseek_names());
}

}  // namespace

const Family kDots1{"dots1", "dots1", "model.embed_tokens.weight", read_dots1};

}  // namespace kappascope
