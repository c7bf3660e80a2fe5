#include "core/trace/recorder.h"

#include <algorithm>
#include <array>

#include "core/nan.h"
#include "core/trace/kappa_statistics.h"
#include "core/trace/running_sums.h"
#include "core/trace/schema.h"
#include "core/trace/trace_meta.h"

namespace kappascope {
namespace {

std::size_t size_of(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

struct GateField {
  const char* name;
  const char* dense_name;
  float GateStats::* value;
};
constexpr std::array<GateField, 7> kGateFields{{
    {"gate_mean_abs", "dense_gate_mean_abs", &GateStats::mean_abs},
    {"gate_active_fraction", "dense_gate_active_fraction", &GateStats::active_fraction},
    {"gate_top16_share", "dense_gate_top16_share", &GateStats::top_share},
    {"gate_entropy", "dense_gate_entropy", &GateStats::entropy},
    {"gate_kz_rms", "dense_gate_kz_rms", &GateStats::kz_rms},
    {"gate_linear_fraction", "dense_gate_linear_fraction", &GateStats::linear_fraction},
    {"gate_saturated_fraction", "dense_gate_saturated_fraction", &GateStats::saturated_fraction},
}};

struct KappaField {
  const char* name;
  float KappaStatistics::* value;
};
constexpr std::array<KappaField, 5> kKappaFields{{{"kappa_mean", &KappaStatistics::mean},
                                                  {"kappa_min", &KappaStatistics::minimum},
                                                  {"kappa_max", &KappaStatistics::maximum},
                                                  {"kappa_p05", &KappaStatistics::p05},
                                                  {"kappa_p95", &KappaStatistics::p95}}};

// The recorded layers of a kind, ascending.
std::vector<std::int64_t> chosen_layers(const Model& model, const TraceSettings& settings,
                                        bool moe) {
  const bool gated = moe || model.config.use_qwen3_dense_mlp;
  std::vector<std::int64_t> layers;
  for (const std::int64_t layer : settings.layers) {
    require(layer >= 0 && layer < model.config.n_layer, ExitCode::internal, Place{},
            "recorded layer out of range");
    if (gated && model.layers[layer].moe == moe) { layers.push_back(layer); }
  }
  return layers;
}

}  // namespace

struct TraceRecorder::State {
  const Model& model;
  const TokenizedText& text;
  TraceSettings settings;
  std::vector<std::int64_t> moe_layers, dense_layers;  // recorded, ascending
  Extents extents;
  std::unique_ptr<NpzWriter> writer;
  RunningSums sums;
  Failure failure;

  State(const std::filesystem::path& path, const Model& model_, const TokenizedText& text_,
        const TraceSettings& settings_)
      : model(model_), text(text_), settings(settings_) {
    set_extents(path);
    open(path);
    sums = RunningSums(extents[Axis::moe_layer], extents[Axis::expert]);
    write_text();
    write_indices();
  }

  void set_extents(const std::filesystem::path& path) {
    const ModelConfig& config = model.config;
    if (settings.layers.empty()) {
      for (std::int64_t i = 0; i < config.n_layer; ++i) { settings.layers.push_back(i); }
    }
    moe_layers = chosen_layers(model, settings, true);
    dense_layers = chosen_layers(model, settings, false);
    const auto rows = [&](const auto& layers) {
      return static_cast<std::int64_t>(layers.size()) * config.total_ut_steps;
    };
    extents[Axis::token] = static_cast<std::int64_t>(text.tokens.size());
    extents[Axis::top] = kTopTokens;
    extents[Axis::moe_layer] = rows(moe_layers);
    extents[Axis::expert] = config.n_exp;
    extents[Axis::slot] = config.moe_top_k;
    extents[Axis::gate] = config.gate_units();
    extents[Axis::kappa_bin] = kKappaBins;
    extents[Axis::z_bin] = kGatePreBins;
    extents[Axis::dense_layer] = rows(dense_layers);
    extents[Axis::dense_gate] = config.gate_units();
    extents[Axis::vocabulary] = config.vocab_size;
    const std::string name = path.string();
    require(!text.tokens.empty() && text.bytes.size() == text.tokens.size(), ExitCode::internal,
            Place{name}, "a text without tokens or without their bytes");
    require(moe_layers.empty() || config.n_exp <= kMostRecordedExperts, ExitCode::unsupported,
            Place{name}, "experts of a layer; expected at most ", kMostRecordedExperts,
            " for a trace, found ", config.n_exp);
  }

  bool records(ArrayGroup group) const {
    switch (group) {
      case ArrayGroup::tokens:
        return true;
      case ArrayGroup::moe:
        return !moe_layers.empty();
      case ArrayGroup::dense:
        return !dense_layers.empty();
      case ArrayGroup::gates:
        return !moe_layers.empty() && settings.record_gates;
      case ArrayGroup::logits:
        return settings.record_logits;
      case ArrayGroup::moe_optional:
        return false;
    }
    return false;
  }

  // Announces every array, sorted by name, and the document about them.
  void open(const std::filesystem::path& path) {
    std::vector<const ArraySchema*> schemas;
    std::vector<NpyArray> arrays;
    for (const ArraySchema& schema : array_schemas()) {
      if (!records(schema.group)) { continue; }
      schemas.push_back(&schema);
      arrays.push_back({std::string(schema.name), schema.type, schema.shape(extents)});
      if (schema.name == "token_text") { arrays.back().text_width = text_width(display_texts()); }
      if (schema.name == "token_bytes_hex") { arrays.back().text_width = text_width(hex_texts()); }
    }
    const std::string document = meta_text(trace_meta(model, text, settings, extents, schemas));
    arrays.push_back(meta_array(document));
    std::sort(arrays.begin(), arrays.end(),
              [](const NpyArray& a, const NpyArray& b) { return a.name < b.name; });
    writer = std::make_unique<NpzWriter>(path, std::move(arrays));
    writer->write_text(kMetaArray, 0, std::span(&document, 1));
  }

  std::vector<std::string> display_texts() const {
    std::vector<std::string> texts;
    for (const std::string& bytes : text.bytes) { texts.push_back(display_text(bytes)); }
    return texts;
  }

  std::vector<std::string> hex_texts() const {
    std::vector<std::string> texts;
    for (const std::string& bytes : text.bytes) { texts.push_back(hex_text(bytes)); }
    return texts;
  }

  template <typename T>
  void put(std::string_view array, std::int64_t first, const T* values, std::int64_t count) {
    writer->write(array, first, std::as_bytes(std::span(values, size_of(count))));
  }

  void write_text() {
    writer->write_text("token_text", 0, display_texts());
    writer->write_text("token_bytes_hex", 0, hex_texts());
    std::vector<std::int32_t> ids, starts, ends;
    for (const Token& token : text.tokens) {
      ids.push_back(token.id);
      starts.push_back(token.char_start);
      ends.push_back(token.char_end);
    }
    writer->write("token_id", ids);
    writer->write("char_start", starts);
    writer->write("char_end", ends);
    // No token stands before the first one.
    writer->write("nll", std::vector<float>{kNaN});
    writer->write("target_rank", std::vector<std::int32_t>{-1});
  }

  void write_indices() {
    const auto indices = [&](const std::vector<std::int64_t>& layers, const char* layer_array,
                             const char* pass_array) {
      std::vector<std::int32_t> layer_index, pass_index;
      for (std::int64_t pass = 0; pass < model.config.total_ut_steps; ++pass) {
        for (const std::int64_t layer : layers) {
          layer_index.push_back(static_cast<std::int32_t>(layer));
          pass_index.push_back(static_cast<std::int32_t>(pass));
        }
      }
      if (layers.empty()) { return; }
      writer->write(layer_array, layer_index);
      writer->write(pass_array, pass_index);
    };
    indices(moe_layers, "layer_index", "pass_index");
    indices(dense_layers, "dense_layer_index", "dense_pass_index");
  }

  // Row of (layer, pass) among the recorded ones: passes outside, layers inside.
  static std::int64_t row(const std::vector<std::int64_t>& layers, std::int64_t layer,
                          std::int64_t pass) {
    const auto found = std::lower_bound(layers.begin(), layers.end(), layer);
    require(found != layers.end() && *found == layer, ExitCode::internal, Place{},
            "a tap of layer ", layer, ", which is not recorded");
    return pass * static_cast<std::int64_t>(layers.size()) + (found - layers.begin());
  }

  void check_moe(const MoeTap& tap) const {
    const RoutingView& routing = tap.routing;
    const bool agrees = tap.pass >= 0 && tap.pass < model.config.total_ut_steps &&
                        !routing.cells.row_start && routing.experts == extents[Axis::expert] &&
                        routing.slots == extents[Axis::slot] && tap.gates == extents[Axis::gate];
    require(agrees, ExitCode::internal, Place{}, "a tap whose sizes are not the model's");
  }

  // `first`: of the tap's tokens, in [M,T].
  void record_routing(const RoutingView& routing, std::int64_t first) {
    const std::int64_t tokens = routing.tokens, slots = tokens * routing.slots;
    const std::int64_t first_slot = first * routing.slots;
    put("router_logits", first * routing.experts, routing.logits, tokens * routing.experts);
    put("router_top1_prob", first, routing.numbers.top1_prob, tokens);
    put("router_selected_mass", first, routing.numbers.selected_mass, tokens);
    put("router_margin", first, routing.numbers.margin, tokens);
    put("router_top_gap", first, routing.numbers.top_gap, tokens);
    put("router_entropy", first, routing.numbers.entropy, tokens);
    std::vector<std::int16_t> experts(routing.cells.expert, routing.cells.expert + slots);
    put("expert_index", first_slot, experts.data(), slots);
    put("expert_weight", first_slot, routing.cells.weight, slots);
    put("expert_kept", first_slot, routing.cells.kept, slots);
    put("kappa_input", first_slot, routing.cells.score, slots);
  }

  void record_moe(const MoeTap& tap) {
    check_moe(tap);
    const std::int64_t m = row(moe_layers, tap.layer, tap.pass);
    const std::int64_t first = m * extents[Axis::token] + tap.first_token;  // in [M,T]
    const std::int64_t slots = tap.routing.tokens * tap.routing.slots;
    const std::int64_t first_slot = first * tap.routing.slots;
    record_routing(tap.routing, first);
    record_kappa(tap, first_slot);
    std::vector<float> column(size_of(slots));
    for (const GateField& field : kGateFields) {
      for (std::size_t i = 0; i < column.size(); ++i) {
        column[i] = tap.gate_stats[i].*field.value;
      }
      put(field.name, first_slot, column.data(), slots);
    }
    if (settings.record_gates) {
      put("kappa", first_slot * tap.gates, tap.kappa, slots * tap.gates);
      put("gate_pre", first_slot * tap.gates, tap.gate_pre, slots * tap.gates);
      put("gate_act", first_slot * tap.gates, tap.gate_act, slots * tap.gates);
    }
    sums.add(tap, m);
  }

  // κ over the gate units of each kept slot; `first` in [M,T,K].
  void record_kappa(const MoeTap& tap, std::int64_t first) {
    const LayerPlan& plan = model.layers[tap.layer];
    const bool on = plan.kappa && settings.kappa;
    LayerKappa kappa(on ? plan.kappa_parameters.view() : KappaView{}, tap.routing.experts,
                     tap.gates);
    const Assignments& cells = tap.routing.cells;
    std::vector<KappaStatistics> slots(size_of(tap.routing.tokens * tap.routing.slots),
                                       {kNaN, kNaN, kNaN, kNaN, kNaN});
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!cells.kept[i]) { continue; }
      slots[i] = tap.kappa_stats ? tap.kappa_stats[i] : kappa.at(cells.expert[i], cells.score[i]);
    }
    std::vector<float> column(slots.size());
    for (const KappaField& field : kKappaFields) {
      for (std::size_t i = 0; i < column.size(); ++i) { column[i] = slots[i].*field.value; }
      put(field.name, first, column.data(), static_cast<std::int64_t>(column.size()));
    }
  }

  void record_dense(const DenseTap& tap) {
    const bool agrees = tap.pass >= 0 && tap.pass < model.config.total_ut_steps &&
                        tap.gates == extents[Axis::dense_gate];
    require(agrees, ExitCode::internal, Place{}, "a tap whose sizes are not the model's");
    const std::int64_t m = row(dense_layers, tap.layer, tap.pass);
    // The same in every chunk of a text.
    if (tap.first_token == 0) { put("dense_kappa", m * tap.gates, tap.kappa, tap.gates); }
    std::vector<float> column(size_of(tap.tokens));
    for (const GateField& field : kGateFields) {
      for (std::size_t i = 0; i < column.size(); ++i) {
        column[i] = tap.gate_stats[i].*field.value;
      }
      put(field.dense_name, m * extents[Axis::token] + tap.first_token, column.data(), tap.tokens);
    }
  }

  // Row r sits at token first_token + r and predicts the one after it, which the text's last token
  // does not have.
  void record_next_token(const NextTokenTap& tap) {
    const std::int64_t tokens = extents[Axis::token];
    const std::int64_t targets = std::min(tap.tokens, tokens - tap.first_token - 1);
    put("nll", tap.first_token + 1, tap.nll, targets);
    put("target_rank", tap.first_token + 1, tap.target_rank, targets);
    put("top_token_id", tap.first_token * kTopTokens, tap.top_id, tap.tokens * kTopTokens);
    put("top_token_logprob", tap.first_token * kTopTokens, tap.top_logprob,
        tap.tokens * kTopTokens);
    if (!settings.record_logits) { return; }
    require(tap.vocab == extents[Axis::vocabulary], ExitCode::internal, Place{},
            "a tap whose sizes are not the model's");
    put("logits", tap.first_token * tap.vocab, tap.logits, tap.tokens * tap.vocab);
  }

  // Runs `work` and keeps what it throws: nothing may pass through the engine library.
  template <typename Work>
  bool guarded(Work work) noexcept {
    if (failure) { return false; }
    try {
      work();
    } catch (...) { failure = failure_in_flight(); }
    return !failure;
  }
};

TraceRecorder::TraceRecorder(const std::filesystem::path& path, const Model& model,
                             const TokenizedText& text, const TraceSettings& settings)
    : state_(std::make_unique<State>(path, model, text, settings)) {}

TraceRecorder::~TraceRecorder() = default;

ProbeWants TraceRecorder::wants() const noexcept {
  ProbeWants wants;
  wants.routing = wants.gate_stats = wants.next_token = true;
  wants.gates = state_->settings.record_gates;
  wants.logits = state_->settings.record_logits;
  return wants;
}

bool TraceRecorder::wants_layer(std::int64_t layer) const noexcept {
  const std::vector<std::int64_t>& layers = state_->settings.layers;
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

bool TraceRecorder::moe(const MoeTap& tap) noexcept {
  return state_->guarded([&] { state_->record_moe(tap); });
}

bool TraceRecorder::dense(const DenseTap& tap) noexcept {
  return state_->guarded([&] { state_->record_dense(tap); });
}

bool TraceRecorder::next_token(const NextTokenTap& tap) noexcept {
  return state_->guarded([&] { state_->record_next_token(tap); });
}

void TraceRecorder::finish() {
  State& state = *state_;
  if (state.failure) { throw Error(state.failure); }
  if (!state.moe_layers.empty()) { state.sums.write(*state.writer); }
  state.writer->finish();
}

const Failure& TraceRecorder::failure() const {
  return state_->failure;
}

}  // namespace kappascope
