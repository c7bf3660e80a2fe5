#include "core/model/families/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace kappascope::hf {
namespace {

constexpr std::int64_t kMostLayers = 1024, kMostExperts = 65536, kMostOther = 1 << 24;

// Two names of one field, the later ones of `transformers` 5 and those of the families.
std::string canonical(std::string_view name) {
  constexpr std::pair<std::string_view, const char*> kNames[] = {
      {"n_routed_experts", "num_experts"},
      {"num_local_experts", "num_experts"},
      {"moe_num_experts", "num_experts"},
      {"experts_per_token", "num_experts_per_tok"},
      {"moe_k", "num_experts_per_tok"},
      {"num_mtp_layers", "num_nextn_predict_layers"},
      {"torch_dtype", "dtype"},
  };
  for (const auto& [from, to] : kNames) {
    if (name == from) { return to; }
  }
  return std::string(name);
}

// Of training, of generation, of other programs: nothing in evaluation follows from them.
bool ignored(std::string_view name) {
  constexpr std::array<std::string_view, 38> kIgnored = {"architectures",
                                                         "auto_map",
                                                         "transformers_version",
                                                         "_name_or_path",
                                                         "dtype",
                                                         "torch_dtype",
                                                         "model_type",
                                                         "initializer_range",
                                                         "attention_dropout",
                                                         "hidden_dropout",
                                                         "embd_pdrop",
                                                         "resid_pdrop",
                                                         "use_cache",
                                                         "pretraining_tp",
                                                         "output_router_logits",
                                                         "router_aux_loss_coef",
                                                         "router_jitter_noise",
                                                         "aux_loss_alpha",
                                                         "seq_aux",
                                                         "ep_size",
                                                         "scoring_func",
                                                         "moe_layer_freq",
                                                         "bos_token_id",
                                                         "eos_token_id",
                                                         "pad_token_id",
                                                         "return_dict",
                                                         "output_attentions",
                                                         "output_hidden_states",
                                                         "initial_context_length",
                                                         "num_nextn_predict_layers",
                                                         "mtp_layer_types",
                                                         "moe_capacity",
                                                         "moe_gate",
                                                         "moe_use_aux_free",
                                                         "mtp_mlp_layer_types",
                                                         "_attn_implementation",
                                                         "is_encoder_decoder",
                                                         "use_return_dict"};
  return std::find(kIgnored.begin(), kIgnored.end(), name) != kIgnored.end();
}

// model_type was found when the family was chosen.
FieldNames names_of(const Json& document) {
  return {"",
          canonical,
          ignored,
          nullptr,
          ExitCode::unsupported,
          document.at("model_type").get_ref<const std::string&>()};
}

}  // namespace

Config::Config(const Json& document, const std::string& file)
    : faults_(file), names_(names_of(document)), fields_(document, faults_, names_) {}

Sizes Config::sizes(Sizes sizes) {
  fields_.integer("hidden_size", sizes.width, 1, kMostOther);
  fields_.integer("num_hidden_layers", sizes.depth, 1, kMostLayers);
  fields_.integer("num_attention_heads", sizes.heads, 1, kMostOther);
  if (sizes.kv_heads == 0) { sizes.kv_heads = sizes.heads; }
  if (sizes.null_as_heads && fields_.is_null("num_key_value_heads")) {
    sizes.kv_heads = sizes.heads;
  }
  fields_.integer("num_key_value_heads", sizes.kv_heads, 1, kMostOther);
  fields_.integer("vocab_size", sizes.vocab, 1, kMostOther);
  fields_.integer("max_position_embeddings", sizes.context, 1, kMostOther);
  fields_.number(sizes.epsilon_field, sizes.epsilon, 0, true);
  fields_.boolean("tie_word_embeddings", sizes.tied);
  set_head_width(sizes);
  if (sizes.heads % sizes.kv_heads != 0) {
    fields_.refuse("num_key_value_heads",
                   join_words("a divisor of num_attention_heads = ", sizes.heads),
                   Json(sizes.kv_heads));
    sizes.kv_heads = sizes.heads;
  }
  return sizes;
}

void Config::set_head_width(Sizes& sizes) {
  const bool given = fields_.find("head_dim") != nullptr;
  if (!sizes.own_heads) { return; }
  if (sizes.head_width == 0 || (fields_.is_null("head_dim") && !given)) {
    sizes.head_width = sizes.width / sizes.heads;
  }
  fields_.integer("head_dim", sizes.head_width, 2, kMostOther);
  if (sizes.head_width < 2 || sizes.head_width % 2 != 0 ||
      sizes.heads * sizes.head_width > kMostOther) {
    fields_.refuse("head_dim", "an even head width", Json(sizes.head_width));
    sizes.head_width = 2;
  }
}

std::int64_t Config::size(const char* field, std::int64_t absent, std::int64_t low) {
  fields_.integer(field, absent, low, kMostOther);
  return absent;
}

bool Config::flag(const char* field, bool absent) {
  if (fields_.is_null(field)) { absent = false; }  // as Python has it
  fields_.boolean(field, absent);
  return absent;
}

double Config::number(const char* field, double absent) {
  fields_.number(field, absent, 0, true);
  return absent;
}

std::vector<std::string> Config::per_layer(const char* field, std::int64_t layers,
                                           const std::vector<std::string>& known,
                                           std::vector<std::string> absent) {
  std::vector<std::string> words = std::move(absent);
  if (const Json* found = fields_.find(field)) {
    const auto is_known = [&](const Json& word) {
      return word.is_string() &&
             std::find(known.begin(), known.end(), word.get<std::string>()) != known.end();
    };
    std::string names;
    for (const std::string& word : known) { names += (names.empty() ? "" : ", ") + word; }
    if (!found->is_array() || std::ssize(*found) != layers) {
      fields_.refuse(field, join_words("a list of ", layers, " words, one a layer"), *found);
    } else if (const auto odd = std::find_if_not(found->begin(), found->end(), is_known);
               odd != found->end()) {
      fields_.refuse(field, "words of " + names, *odd);
    } else {
      words = found->get<std::vector<std::string>>();
    }
  }
  fields_.record(field, words);
  return words;
}

RouterSpec Config::router(std::int64_t experts, std::int64_t slots, CombineWeight weight,
                          bool may_be_dense) {
  RouterSpec spec;
  spec.experts = experts;
  spec.slots = slots;
  spec.weight = weight;
  fields_.integer("num_experts", spec.experts, may_be_dense ? 0 : 1, kMostExperts);
  fields_.integer("num_experts_per_tok", spec.slots, 1, kMostExperts);
  if (spec.experts > 0 && spec.slots > spec.experts) {
    fields_.refuse("num_experts_per_tok", join_words("at most num_experts = ", spec.experts),
                   Json(spec.slots));
    spec.slots = spec.experts;
  }
  return spec;
}

RouterSpec Config::normalising_router(std::int64_t experts, std::int64_t slots, bool absent,
                                      bool may_be_dense) {
  return router(
      experts, slots,
      flag("norm_topk_prob", absent) ? CombineWeight::softmax_of_chosen : CombineWeight::score,
      may_be_dense);
}

std::vector<bool> Config::sliding_layers(const std::vector<bool>& absent) {
  std::vector<std::string> words;
  for (const bool slides : absent) { words.emplace_back(slides ? kSliding : kFull); }
  std::vector<bool> result;
  for (const std::string& word :
       per_layer("layer_types", std::ssize(absent), {kFull, kSliding}, std::move(words))) {
    result.push_back(word == kSliding);
  }
  return result;
}

void Config::require_silu() {
  const std::string act = fields_.text("hidden_act").value_or("silu");
  // swish is another name of it.
  if (act != "silu" && act != "swish") { fields_.refuse("hidden_act", "silu", Json(act)); }
}

void Config::require_quantization(std::string_view method) {
  const Json* found = fields_.find("quantization_config");
  if (found == nullptr) { return; }
  if (!found->is_object()) {
    return fields_.refuse("quantization_config", "an object or null", *found);
  }
  const Json used = found->value("quant_method", Json());
  if (used == Json(method) && !method.empty()) { return require_blocks(*found); }
  const std::string expected = method.empty() ? "none: float32, bfloat16 or float16 weights"
                                              : std::string(method) + " or none";
  faults_.add(ExitCode::unsupported, "", "quantization_config.quant_method is not supported in ",
              names_.family, "; expected ", expected, ", found ", found_text(used));
}

// Of the object whose method is read: how numbers of eight bits are scaled.
void Config::require_blocks(const Json& used) {
  const auto require_value = [&](const char* field, const Json& value) {
    const auto found = used.find(field);
    if (found == used.end() || *found == value) { return; }
    faults_.add(ExitCode::unsupported, "", "quantization_config.", field, " is not supported in ",
                names_.family, "; expected ", value.dump(), ", found ", found_text(*found));
  };
  if (used.value("quant_method", "") != "fp8") { return; }
  require_value("weight_block_size", Json{128, 128});
  require_value("fmt", "e4m3");
}

std::int64_t Config::window(std::int64_t absent) {
  const bool null = fields_.is_null("sliding_window");
  std::int64_t keys = null ? 0 : absent;
  fields_.integer("sliding_window", keys, 1, kNoWindow);
  return keys == 0 ? kNoWindow : keys - 1;
}

void Config::require_window(const std::vector<bool>& sliding, std::int64_t window) {
  const bool any = std::find(sliding.begin(), sliding.end(), true) != sliding.end();
  if (any && window == kNoWindow) {
    fields_.refuse("layer_types", "full_attention alone without sliding_window", Json(kSliding));
  }
}

LayerSpec Config::layer(const Sizes& sizes, const RotarySpec& rotary) const {
  LayerSpec layer;
  layer.attention_norm = layer.feed_forward_norm = {.epsilon = sizes.epsilon, .weight = true};
  AttentionSpec& attention = layer.attention;
  attention.heads = sizes.heads;
  attention.kv_heads = sizes.kv_heads;
  attention.head_width = sizes.head_width;
  attention.window = kNoWindow;
  attention.scale = 1 / std::sqrt(double(sizes.head_width));
  attention.rotary = rotary;
  attention.norm = QueryKeyNorm::none;
  attention.norm_spec = layer.attention_norm;
  return layer;
}

void Config::fill(Architecture& architecture, const Sizes& sizes,
                  std::vector<LayerSpec> layers) const {
  architecture.width = sizes.width;
  architecture.vocab = architecture.padded_vocab = sizes.vocab;
  architecture.context = sizes.context;
  architecture.layers = std::move(layers);
  architecture.output.norm = architecture.layers.front().attention_norm;
  // Angles grow slower than the text: no length is the last one. A model may have it in one kind of layer.
  double longer = 1;
  for (const LayerSpec& layer : architecture.layers) {
    const RotarySpec& rotary = layer.attention.rotary;
    if (rotary.scaling == RotaryScaling::dynamic) { longer = std::max(longer, rotary.factor); }
  }
  architecture.context =
      std::int64_t(std::min(double(kMostOther), double(sizes.context) * longer));
}

std::vector<bool> sparse_layers(Config& config, std::int64_t layers) {
  const std::int64_t step = config.size("decoder_sparse_step", 1);
  std::vector<bool> sparse;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    sparse.push_back((layer + 1) % step == 0);
  }
  const Json* dense = config.fields().find("mlp_only_layers");
  std::vector<std::int64_t> found;
  if (dense != nullptr && !dense->is_array()) {
    config.fields().refuse("mlp_only_layers", "a list of layers", *dense);
  } else if (dense != nullptr) {
    for (const Json& layer : *dense) {
      if (!layer.is_number_integer()) {
        config.fields().refuse("mlp_only_layers", "a list of layers", layer);
        break;
      }
      const auto at = layer.get<std::int64_t>();
      if (at >= 0 && at < layers) { sparse[at] = false; }
    }
  }
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    if (!sparse[layer]) { found.push_back(layer); }
  }
  config.fields().forget("decoder_sparse_step");
  config.fields().record("mlp_only_layers", found);
  return sparse;
}

}  // namespace kappascope::hf
