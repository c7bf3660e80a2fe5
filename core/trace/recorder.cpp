#include "core/trace/recorder.h"

#include <algorithm>

#include "core/nan.h"
#include "core/trace/in_force.h"
#include "core/trace/kappa_statistics.h"
#include "core/trace/logits_file.h"
#include "core/trace/recorded_fields.h"
#include "core/trace/running_sums.h"
#include "core/trace/schema.h"
#include "core/trace/trace_meta.h"

namespace kappascope {
struct TraceRecorder::State {
  const Model& model;
  const RunPlan& plan;
  const TokenizedText& text;
  TraceSettings settings;
  std::vector<std::int64_t> moe_layers, dense_layers, shared_layers;  // recorded, ascending
  Extents extents;
  std::unique_ptr<NpzWriter> writer;
  RunningSums sums;
  ParametersInForce in_force;
  bool selection_scores = false, learned_kappa = false, clamped = false;  // in a recorded layer
  Failure failure;

  State(const std::filesystem::path& path, const Model& model_, const RunPlan& plan_,
        const TokenizedText& text_, const TraceSettings& settings_)
      : model(model_), plan(plan_), text(text_), settings(settings_) {
    set_extents(path);
    for (const std::int64_t layer : moe_layers) {
      selection_scores = selection_scores || has_selection_bias(layer);
      clamped = clamped || model.architecture.layers[layer].moe()->gate.limit.has_value();
      const KappaPlan& kappa = plan.kappa_of(layer, 0);
      learned_kappa = learned_kappa || !kappa.bias.empty() || !kappa.scale.empty();
    }
    in_force = ParametersInForce(model, plan, moe_layers);
    open(path);
    sums = RunningSums(extents[Axis::moe_layer], extents[Axis::expert]);
    write_text();
    write_indices();
  }

  void set_extents(const std::filesystem::path& path) {
    const Architecture& architecture = model.architecture;
    if (settings.layers.empty()) {
      for (std::int64_t i = 0; i < architecture.depth(); ++i) { settings.layers.push_back(i); }
    }
    moe_layers = settings.layers_of(architecture, true);
    dense_layers = settings.layers_of(architecture, false);
    for (const std::int64_t layer : moe_layers) {
      if (architecture.layers[layer].moe()->shared) { shared_layers.push_back(layer); }
    }
    const auto rows = [&](const auto& layers) {
      return static_cast<std::int64_t>(layers.size()) * plan.passes;
    };
    extents[Axis::token] = static_cast<std::int64_t>(text.tokens.size());
    extents[Axis::top] = kTopTokens;
    extents[Axis::moe_layer] = rows(moe_layers);
    extents[Axis::expert] = architecture.most_experts();
    extents[Axis::slot] = plan.most_slots();
    extents[Axis::gate] = std::max<std::int64_t>(1, architecture.most_gates(true));
    extents[Axis::kappa_bin] = kKappaBins;
    extents[Axis::z_bin] = kGatePreBins;
    extents[Axis::dense_layer] = rows(dense_layers);
    extents[Axis::shared_layer] = rows(shared_layers);
    extents[Axis::dense_gate] = architecture.most_gates(false);
    extents[Axis::vocabulary] = architecture.vocab;
    require(!text.tokens.empty() && text.bytes.size() == text.tokens.size(), ExitCode::internal, {},
            "a text without tokens or without their bytes");
    require(moe_layers.empty() || extents[Axis::expert] <= kMostRecordedExperts,
            ExitCode::unsupported, Place{path.native()}, "experts of a layer; expected at most ",
            kMostRecordedExperts, " for a trace, found ", extents[Axis::expert]);
  }

  bool has_selection_bias(std::int64_t layer) const {
    if (plan.layers[layer].has(ExpertMode::reroute)) { return true; }
    return model.architecture.layers[layer].moe()->router.selection_bias &&
           model.weights.tensor(Role::selection_bias, layer) != nullptr;
  }

  // How many of an array's axes are recorded; 0: it is not.
  std::size_t recorded_rank(const ArraySchema& schema) const {
    if (schema.group != ArrayGroup::moe_optional) {
      return records(schema.group) ? schema.rank() : 0;
    }
    if (moe_layers.empty()) { return 0; }
    if (schema.name == "expert_output_norm") { return schema.rank(); }
    if (schema.name == "gate_clamped_fraction") { return clamped ? schema.rank() : 0; }
    if (schema.name == "selection_score") { return selection_scores ? schema.rank() : 0; }
    if (schema.name == "ablation_nll") { return settings.ablation ? schema.rank() : 0; }
    if (schema.name == "kappa_u_square") { return learned_kappa ? schema.rank() : 0; }
    return in_force.rank(schema.name);
  }

  bool records(ArrayGroup group) const {
    switch (group) {
      case ArrayGroup::tokens:
        return true;
      case ArrayGroup::moe:
        return !moe_layers.empty();
      case ArrayGroup::dense:
        return !dense_layers.empty();
      case ArrayGroup::shared:
        return !shared_layers.empty();
      case ArrayGroup::gates:
        return !moe_layers.empty() && settings.record_gates;
      case ArrayGroup::logits:
        return settings.record_logits;
      case ArrayGroup::against:
        return settings.against_logits != nullptr;
      case ArrayGroup::moe_optional:
        break;
    }
    fail(ExitCode::internal, {}, "a group of arrays without a rule");
  }

  // Announces every array, sorted by name, and the document about them.
  void open(const std::filesystem::path& path) {
    std::vector<RecordedArray> recorded;
    std::vector<NpyArray> arrays;
    for (const ArraySchema& schema : array_schemas()) {
      const std::size_t rank = recorded_rank(schema);
      if (rank == 0) { continue; }
      recorded.push_back({&schema, rank});
      arrays.push_back({std::string(schema.name), schema.type, schema.shape(extents, rank)});
      if (schema.name == "token_text") {
        arrays.back().text_width = text_width(texts_as(display_text));
      }
      if (schema.name == "token_bytes_hex") {
        arrays.back().text_width = text_width(texts_as(hex_text));
      }
    }
    const std::string document =
        meta_text(trace_meta(model, plan, text, settings, extents, recorded));
    arrays.push_back(meta_array(document));
    std::sort(arrays.begin(), arrays.end(),
              [](const NpyArray& a, const NpyArray& b) { return a.name < b.name; });
    writer = std::make_unique<NpzWriter>(path, std::move(arrays));
    writer->write_text(kMetaArray, 0, std::span(&document, 1));
  }

  std::vector<std::string> texts_as(std::string (*shown)(std::string_view)) const {
    std::vector<std::string> texts;
    for (const std::string& bytes : text.bytes) { texts.push_back(shown(bytes)); }
    return texts;
  }

  template <typename T>
  void put(std::string_view array, std::int64_t first, const T* values, std::int64_t count) {
    writer->write(array, first, std::as_bytes(std::span(values, std::size_t(count))));
  }

  void write_text() {
    writer->write_text("token_text", 0, texts_as(display_text));
    writer->write_text("token_bytes_hex", 0, texts_as(hex_text));
    std::vector<std::int32_t> ids, starts, ends;
    for (const Token& token : text.tokens) {
      ids.push_back(token.id);
      starts.push_back(token.char_start);
      ends.push_back(token.char_end);
    }
    writer->write("token_id", ids);
    writer->write("char_start", starts);
    writer->write("char_end", ends);
    // Nothing precedes the first token.
    writer->write("nll", std::vector<float>{kNaN});
    writer->write("target_rank", std::vector<std::int32_t>{-1});
  }

  void write_indices() {
    const auto indices = [&](const auto& layers, const char* layer_array, const char* pass_array) {
      std::vector<std::int32_t> layer_index, pass_index;
      for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
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
    indices(shared_layers, "shared_layer_index", "shared_pass_index");
  }

  // Row of (layer, pass) among the recorded ones: passes outside, layers inside.
  static std::int64_t row(const std::vector<std::int64_t>& layers, std::int64_t layer,
                          std::int64_t pass) {
    const auto found = std::lower_bound(layers.begin(), layers.end(), layer);
    require(found != layers.end() && *found == layer, ExitCode::internal, Place{},
            "a tap of layer ", layer, ", which is not recorded");
    return pass * static_cast<std::int64_t>(layers.size()) + (found - layers.begin());
  }

  static void require_sizes(bool agree) {
    require(agree, ExitCode::internal, {}, "a tap whose sizes are not the model's");
  }

  void check_moe(const MoeTap& tap) const {
    const RoutingView& routing = tap.routing;
    require_sizes(tap.pass >= 0 && tap.pass < plan.passes && !routing.cells.row_start &&
                  routing.experts == extents[Axis::expert] &&
                  routing.slots <= extents[Axis::slot] && tap.gates == extents[Axis::gate]);
  }

  // Values of the slots of the tap's tokens, `width` each; a layer with fewer slots than the arrays
  // leaves the rest `empty`.
  template <typename T>
  void put_slots(std::string_view array, const MoeTap& tap, std::int64_t row, const T* values,
                 T empty, std::int64_t width = 1) {
    const std::int64_t slots = extents[Axis::slot], tokens = tap.routing.tokens;
    const std::int64_t first = (row * extents[Axis::token] + tap.first_token) * slots * width;
    if (tap.routing.slots == slots) { return put(array, first, values, tokens * slots * width); }
    std::vector<T> padded(std::size_t(tokens * slots * width), empty);
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::copy_n(values + t * tap.routing.slots * width, tap.routing.slots * width,
                  padded.begin() + t * slots * width);
    }
    put(array, first, padded.data(), std::ssize(padded));
  }

  void record_routing(const MoeTap& tap, std::int64_t row) {
    const RoutingView& routing = tap.routing;
    const std::int64_t tokens = routing.tokens, experts = routing.experts;
    const std::int64_t first = row * extents[Axis::token] + tap.first_token;  // in [M,T]
    put("router_logits", first * experts, routing.logits, tokens * experts);
    put("router_top1_prob", first, routing.numbers.top1_prob, tokens);
    put("router_selected_mass", first, routing.numbers.selected_mass, tokens);
    put("router_margin", first, routing.numbers.margin, tokens);
    put("router_top_gap", first, routing.numbers.top_gap, tokens);
    put("router_entropy", first, routing.numbers.entropy, tokens);
    if (selection_scores) {
      put("selection_score", first * experts,
          tap.selection_score ? tap.selection_score : routing.logits, tokens * experts);
    }
    const Assignments& cells = routing.cells;
    const std::vector<std::int16_t> chosen(cells.expert, cells.expert + tokens * routing.slots);
    put_slots<std::int16_t>("expert_index", tap, row, chosen.data(), -1);
    put_slots<float>("expert_weight", tap, row, cells.weight, 0);
    put_slots<std::uint8_t>("expert_kept", tap, row, cells.kept, 0);
    put_slots<float>("kappa_input", tap, row, cells.score, kNaN);
  }

  void record_moe(const MoeTap& tap) {
    check_moe(tap);
    const std::int64_t m = row(moe_layers, tap.layer, tap.pass);
    record_routing(tap, m);
    put_slots("expert_output_norm", tap, m, tap.output_norm, kNaN);
    record_kappa(tap, m);
    if (clamped && tap.gate_clamped) {
      put_slots("gate_clamped_fraction", tap, m, tap.gate_clamped, kNaN);
    }
    for (const GateField& field : kGateFields) {
      put_slots(field.name, tap, m,
                column(tap.gate_stats, tap.routing.tokens * tap.routing.slots, field).data(), kNaN);
    }
    if (settings.record_gates) {
      put_slots("kappa", tap, m, tap.kappa, kNaN, tap.gates);
      put_slots("gate_pre", tap, m, tap.gate_pre, kNaN, tap.gates);
      put_slots("gate_act", tap, m, tap.gate_act, kNaN, tap.gates);
    }
    sums.add(tap, m);
  }

  // κ over the gate units of each kept slot.
  void record_kappa(const MoeTap& tap, std::int64_t m) {
    LayerKappa kappa(plan.kappa_of(tap.layer, tap.pass).view(), tap.routing.experts, tap.gates);
    const Assignments& cells = tap.routing.cells;
    std::vector<KappaStatistics> slots(std::size_t(tap.routing.tokens * tap.routing.slots),
                                       {kNaN, kNaN, kNaN, kNaN, kNaN});
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!cells.kept[i]) { continue; }
      slots[i] = tap.kappa_stats ? tap.kappa_stats[i] : kappa.at(cells.expert[i], cells.score[i]);
    }
    for (const KappaField& field : kKappaFields) {
      put_slots(field.name, tap, m, column(slots.data(), std::ssize(slots), field).data(), kNaN);
    }
  }

  void record_dense(const DenseTap& tap) {
    require_sizes(tap.pass >= 0 && tap.pass < plan.passes &&
                  tap.gates == extents[Axis::dense_gate]);
    const std::int64_t m = row(dense_layers, tap.layer, tap.pass);
    // The same in every chunk of a text.
    if (tap.first_token == 0) { put("dense_kappa", m * tap.gates, tap.kappa, tap.gates); }
    for (const GateField& field : kGateFields) {
      put(field.dense_name, m * extents[Axis::token] + tap.first_token,
          column(tap.gate_stats, tap.tokens, field).data(), tap.tokens);
    }
  }

  void record_shared(const SharedTap& tap) {
    const std::int64_t first =
        row(shared_layers, tap.layer, tap.pass) * extents[Axis::token] + tap.first_token;
    put("shared_weight", first, tap.weight, tap.tokens);
    put("shared_output_norm", first, tap.output_norm, tap.tokens);
    for (const GateField& field : kGateFields) {
      put(std::string("shared_") + field.name, first,
          column(tap.gate_stats, tap.tokens, field).data(), tap.tokens);
    }
  }

  // Row r is that of token first_token + r and predicts the one after it, which the text's last
  // token does not have.
  void record_next_token(const NextTokenTap& tap) {
    const std::int64_t targets = std::min(tap.tokens, extents[Axis::token] - tap.first_token - 1);
    put("nll", tap.first_token + 1, tap.nll, targets);
    put("target_rank", tap.first_token + 1, tap.target_rank, targets);
    put("top_token_id", tap.first_token * kTopTokens, tap.top_id, tap.tokens * kTopTokens);
    put("top_token_logprob", tap.first_token * kTopTokens, tap.top_logprob,
        tap.tokens * kTopTokens);
    if (settings.keep_logits) { settings.keep_logits->keep(tap); }
    if (settings.against_logits) {
      const std::vector<float> divergence = settings.against_logits->divergence(tap);
      put("kl_against", tap.first_token, divergence.data(), std::ssize(divergence));
    }
    if (!settings.record_logits) { return; }
    require_sizes(tap.vocab == extents[Axis::vocabulary]);
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
                             const RunPlan& plan, const TokenizedText& text,
                             const TraceSettings& settings)
    : state_(std::make_unique<State>(path, model, plan, text, settings)) {}

TraceRecorder::~TraceRecorder() = default;

ProbeWants TraceRecorder::wants() const noexcept {
  const TraceSettings& settings = state_->settings;
  ProbeWants wants;
  wants.routing = wants.gate_stats = wants.next_token = true;
  wants.gates = settings.record_gates;
  wants.logits = settings.record_logits || settings.keep_logits || settings.against_logits;
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

bool TraceRecorder::shared(const SharedTap& tap) noexcept {
  return state_->guarded([&] { state_->record_shared(tap); });
}

bool TraceRecorder::next_token(const NextTokenTap& tap) noexcept {
  return state_->guarded([&] { state_->record_next_token(tap); });
}

void TraceRecorder::set_ablation(std::int64_t layer, const std::vector<double>& change) {
  for (std::int64_t pass = 0; pass < state_->plan.passes; ++pass) {
    const std::int64_t first =
        State::row(state_->moe_layers, layer, pass) * state_->extents[Axis::expert];
    state_->put("ablation_nll", first, change.data(), std::ssize(change));
  }
}

void TraceRecorder::finish() {
  State& state = *state_;
  if (state.failure) { throw Error(state.failure); }
  if (!state.moe_layers.empty()) {
    state.sums.write(*state.writer);
    if (state.learned_kappa) {  // u carries the formula's multiplier
      const KappaSpec* kappa = state.model.architecture.first_kappa(true);
      state.sums.write_u_square(*state.writer, kappa ? kappa->multiplier : 1);
    }
    state.in_force.write(*state.writer);
  }
  state.writer->finish();
}

const Failure& TraceRecorder::failure() const {
  return state_->failure;
}

}  // namespace kappascope
