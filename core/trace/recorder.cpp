#include "core/trace/recorder.h"

#include <algorithm>

#include "core/nan.h"
#include "core/trace/counted_sums.h"
#include "core/trace/lens_texts.h"
#include "core/trace/logits_file.h"
#include "core/trace/recorded_arrays.h"
#include "core/trace/recorded_fields.h"
#include "core/trace/row_tokens.h"
#include "core/trace/running_sums.h"
#include "core/trace/schema.h"
#include "core/trace/slots_in_use.h"
#include "core/trace/trace_meta.h"

namespace kappascope {
struct TraceRecorder::State : RecordedArrays {
  const Model& model;
  const RunPlan& plan;
  const TokenizedText& text;
  const TraceSettings settings;
  const std::filesystem::path path;
  std::unique_ptr<NpzWriter> writer;
  RunningSums sums;
  LensTexts lens_texts;
  // With soft routing K is the largest number of experts that a token runs, known at the end: until
  // then the arrays have room for all, in a file beside.
  std::int64_t most_run = 1;
  Failure failure;

  State(const std::filesystem::path& path_, const Model& model_, const RunPlan& plan_,
        const TokenizedText& text_, const TraceSettings& settings_)
      : RecordedArrays(model_, plan_, text_, settings_),
        model(model_),
        plan(plan_),
        text(text_),
        settings(with_layers(settings_, model_)),
        path(path_),
        lens_texts(settings_.tokenizer) {
    require(moe_layers.empty() || extents[Axis::expert] <= kMostRecordedExperts,
            ExitCode::unsupported, Place{path.native()}, "experts of a layer; expected at most ",
            kMostRecordedExperts, " for a trace, found ", extents[Axis::expert]);
    open(soft ? wide_path() : path);
    sums = RunningSums(extents[Axis::moe_layer], extents[Axis::expert]);
    write_text();
    write_indices();
  }

  std::filesystem::path wide_path() const { return path.native() + ".all-experts"; }

  // Announces every array, sorted by name, and the document about them.
  void open(const std::filesystem::path& to) {
    std::vector<RecordedArray> recorded;
    std::vector<NpyArray> arrays;
    for (const ArraySchema& schema : array_schemas()) {
      const std::size_t rank = axes_of(schema);
      if (rank == 0) { continue; }
      recorded.push_back({&schema, rank});
      arrays.push_back({std::string(schema.name), schema.type, schema.shape(extents, rank)});
      if (schema.name == "token_text") {
        arrays.back().text_width = text_width(texts_as(display_text));
      }
      if (schema.name == "token_bytes_hex") {
        arrays.back().text_width = text_width(texts_as(hex_text));
      }
      if (schema.name == "lens_token_text") { arrays.back().text_width = lens_texts.width(); }
    }
    const std::string document =
        meta_text(trace_meta(model, plan, text, settings, extents, recorded));
    arrays.push_back(meta_array(document));
    std::sort(arrays.begin(), arrays.end(),
              [](const NpyArray& a, const NpyArray& b) { return a.name < b.name; });
    writer = std::make_unique<NpzWriter>(to, std::move(arrays));
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
    if (!text.assistant.empty()) {
      put("token_mask", 0, text.assistant.data(), std::ssize(text.assistant));
    }
    if (!text.phase.empty()) { put("phase", 0, text.phase.data(), std::ssize(text.phase)); }
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
    indices(lens_layers, "lens_layer_index", "lens_pass_index");
    if (soft) { write_soft_rules(soft_rules(plan, moe_layers, extents[Axis::expert]), *writer); }
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
    std::vector<std::int16_t> chosen(cells.expert, cells.expert + tokens * routing.slots);
    if (soft) { record_soft(routing, first, chosen); }
    put_slots<std::int16_t>("expert_index", tap, row, chosen.data(), -1);
    put_slots<float>("expert_weight", tap, row, cells.weight, 0);
    put_slots<std::uint8_t>("expert_kept", tap, row, cells.kept, 0);
    put_slots<float>("kappa_input", tap, row, cells.score, kNaN);
  }

  // What does not run has no slot.
  void record_soft(const RoutingView& routing, std::int64_t first,
                   std::vector<std::int16_t>& chosen) {
    put("soft_weight", first * routing.experts, routing.soft_weight,
        routing.tokens * routing.experts);
    for (std::int64_t t = 0; t < routing.tokens; ++t) {
      const std::uint8_t* kept = routing.cells.kept + t * routing.slots;
      const std::int64_t run = std::count(kept, kept + routing.slots, 1);  // they come first
      most_run = std::max(most_run, run);
      const auto row = chosen.begin() + t * routing.slots;
      std::fill(row + run, row + routing.slots, std::int16_t{-1});
    }
  }

  // Writes the trace with the slots that are used.
  void narrow() {
    writer->finish();
    const RemovedAtEnd remove{wide_path()};
    const NpzReader wide(wide_path());
    const std::int64_t before = extents[Axis::slot];
    extents[Axis::slot] = most_run;
    open(path);
    for (const NpyArray& array : wide.arrays()) {
      if (array.name != kMetaArray) { copy_slots(wide, array, before, most_run, *writer); }
    }
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
    add_sums(tap, m);
  }

  void add_sums(const MoeTap& tap, std::int64_t m) {
    if (!settings.only_assistant) { return sums.add(tap, m); }
    const auto counted = std::span(text.assistant).subspan(tap.first_token, tap.routing.tokens);
    sums.add(CountedSums(tap, plan, counted).in(tap), m);
  }

  void record_kappa(const MoeTap& tap, std::int64_t m) {
    const std::vector<KappaStatistics> slots = slot_kappa(tap, plan);
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

  void record_lens(const LensTap& tap) {
    const std::int64_t first =
        row(lens_layers, tap.layer, tap.pass) * extents[Axis::token] + tap.first_token;
    put("lens_token_id", first, tap.top_id, tap.tokens);
    writer->write_text("lens_token_text", first, lens_texts.of(tap.top_id, tap.tokens));
    put("lens_logprob", first, tap.top_logprob, tap.tokens);
    put("lens_target_rank", first, tap.target_rank, tap.tokens);
  }

  void record_output(const RowsTap& tap) {
    require_sizes(tap.width == extents[Axis::width]);
    const std::int64_t m = row(moe_layers, tap.layer, tap.pass);
    put("moe_output", (m * extents[Axis::token] + tap.first_token) * tap.width, tap.rows,
        tap.tokens * tap.width);
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
  wants.gates = settings.record_gates || settings.only_assistant;
  wants.lens = settings.lens;
  wants.outputs = settings.record_outputs;
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

bool TraceRecorder::lens(const LensTap& tap) noexcept {
  return state_->guarded([&] { state_->record_lens(tap); });
}

bool TraceRecorder::output(const RowsTap& tap) noexcept {
  return state_->guarded([&] { state_->record_output(tap); });
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

void TraceRecorder::set_patching(const std::vector<double>& change) {
  state_->writer->write("patch_logprob", change);
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
  if (state.soft) { state.narrow(); }
  state.writer->finish();
}

const Failure& TraceRecorder::failure() const {
  return state_->failure;
}

}  // namespace kappascope
