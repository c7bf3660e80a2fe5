#include "core/figure/catalogue.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "core/error.h"
#include "core/figure/figures.h"
#include "core/figure/layer_range.h"
#include "core/figure/parts.h"
#include "core/figure/prepared.h"
#include "core/figure/restyle.h"
#include "core/figure/runs.h"
#include "core/figure/side_by_side.h"

namespace kappascope {
namespace {

constexpr FigureEntry kCatalogue[] = {
    {"loss", "Loss along the text", "negative log-likelihood of each token and its running mean",
     FigureGroup::router, Several::overlay, "nll", kTokensChoice, figures::loss},
    {"logit-lens", "Logit lens",
     "likeliest next token by the residual stream after each layer, layer × token",
     FigureGroup::router, Several::one_each, "lens_logprob", kByRankChoice | kTokensChoice,
     figures::logit_lens, false, false, false, false, FigureNeeds::lens},
    {"patching", "Activation patching",
     "what a prediction gains from another text's outputs, layer × token", FigureGroup::router,
     Several::one_each, "patch_logprob", kTokensChoice, figures::patching, false, false, false,
     false, FigureNeeds::patching},
    {"router-confidence", "Confidence of the router", "largest routing probability, layer × token",
     FigureGroup::router, Several::one_each, "router_top1_prob", kTokensChoice,
     figures::router_confidence},
    {"router-margin", "Margin of the choice of experts",
     "how far the choice of experts is from another, layer × token", FigureGroup::router,
     Several::one_each, "router_margin", kTokensChoice, figures::router_margin},
    {"router-entropy", "Entropy of the router",
     "how spread the routing probability is, layer × token", FigureGroup::router, Several::one_each,
     "router_entropy", kTokensChoice, figures::router_entropy},
    {"router-probability", "Routing probability",
     "routing probability in one layer, expert × token", FigureGroup::router, Several::one_each,
     "router_top1_prob", kLayerChoice | kTokensChoice, figures::router_probability},
    {"expert-choice", "Expert of each token", "which expert each token chose, layer × token",
     FigureGroup::experts, Several::one_each, "load", kSlotChoice | kTokensChoice,
     figures::expert_choice},
    {"expert-load", "Load of the experts", "load and gate mass of each expert over its even share",
     FigureGroup::experts, Several::one_each, "load", kNoChoice, figures::expert_load, false, false,
     true},
    {"expert-drops", "Assignments dropped over capacity",
     "assignments over capacity, layer × token, and rate per layer", FigureGroup::experts,
     Several::one_each, "drop_rate", kTokensChoice, figures::expert_drops},
    {"expert-coactivation", "Experts chosen together",
     "experts chosen together in one layer, over chance", FigureGroup::experts, Several::one_each,
     "coactivation", kLayerChoice, figures::expert_coactivation, false, false, true},
    {"expert-budget", "Experts run per token",
     "experts run per token and budget of soft routing over relative depth, one line a model",
     FigureGroup::experts, Several::overlay, "experts_run", kNoChoice, figures::expert_budget,
     false, false, true},
    {"soft-weight", "Weights of soft routing",
     "weight of every expert by soft routing in one layer, expert × token", FigureGroup::experts,
     Several::one_each, "soft_weight", kLayerChoice | kTokensChoice, figures::soft_weight},
    {"expert-importance", "Importance and load of each expert",
     "what each expert adds to the stream over how many assignments it gets", FigureGroup::experts,
     Several::one_each, "saliency", kNoChoice, figures::expert_importance, false, false, true},
    {"expert-domains", "Domains of the experts",
     "domains in the assignments of each expert of one layer, over their share of the corpus",
     FigureGroup::experts, Several::one_each, "domain_over_corpus", kLayerChoice,
     figures::expert_domains, false, false, true, true},
    {"expert-tokens", "Most frequent tokens of the experts",
     "most frequent tokens of each expert of one layer, over a corpus", FigureGroup::experts,
     Several::one_each, "share_of_expert", kLayerChoice, figures::expert_tokens, false, false, true,
     true},
    {"decode-overlap", "Routing of generated tokens",
     "experts that the next token chose, too, and hot set, of a prompt and of what was generated",
     FigureGroup::experts, Several::one_each, "neighbour_overlap", kNoChoice,
     figures::decode_overlap, false, false, false, false, FigureNeeds::generation},
    {"kappa-tokens", "Sharpness κ of each token", "κ of each token, layer × token",
     FigureGroup::kappa, Several::one_each, "kappa_log_mean", kTokensChoice, figures::kappa_tokens,
     true},
    {"kappa-experts", "Sharpness κ of each expert", "κ of each expert, layer × expert",
     FigureGroup::kappa, Several::one_each, "kappa_log_mean", kNoChoice, figures::kappa_experts,
     true, false, true},
    {"kappa-depth", "Sharpness κ over depth", "κ over relative depth, one line a model",
     FigureGroup::kappa, Several::overlay, "kappa", kNoChoice, figures::kappa_depth, true, false,
     true},
    {"kappa-distribution", "Distribution of κ",
     "distribution of κ in each layer, or of each expert of one", FigureGroup::kappa,
     Several::one_each, "kappa", kByExpertChoice | kLayerIfByExpert, figures::kappa_distribution,
     true, false, true},
    {"kappa-parameters", "Learned parameters of κ",
     "α and b of κ = U^tanh(α·s + b) and the bounds they imply", FigureGroup::kappa,
     Several::one_each, "kappa_scale", kByExpertChoice | kLayerIfByExpert,
     figures::kappa_parameters, true, false, true},
    {"kappa-vs-score", "κ as a function of the score",
     "κ of gate units as a function of the router's score", FigureGroup::kappa, Several::one_each,
     "kappa", kLayerChoice | kExpertChoice | kGatesChoice, figures::kappa_vs_score, true},
    {"silu-kappa", "The gate at the expert's κ", "the gate z·σ(κz) at the κ of one expert",
     FigureGroup::kappa, Several::one_each, "kappa", kLayerChoice | kExpertChoice,
     figures::silu_kappa, false, false, true},
    {"kappa-confidence", "κ against the router's confidence",
     "κ against the router's confidence, with rank correlations", FigureGroup::kappa,
     Several::one_each, "kappa_confidence", kNoChoice, figures::kappa_confidence, true},
    {"gate-sharpness", "Effective sharpness of the gates",
     "effective sharpness of the gates, layer × token", FigureGroup::gates, Several::one_each,
     "gate_kz_rms", kByExpertChoice | kTokensChoice, figures::gate_sharpness},
    {"gate-active", "Active gate units", "share of active gate units, layer × token",
     FigureGroup::gates, Several::one_each, "gate_active_fraction", kByExpertChoice | kTokensChoice,
     figures::gate_active},
    {"gate-top16", "Concentration of the gates",
     "share of the largest gate units in the activation, layer × token", FigureGroup::gates,
     Several::one_each, "gate_top16_share", kByExpertChoice | kTokensChoice, figures::gate_top16},
    {"gate-saturation", "Where the gates work",
     "linear, knee and saturated share of gate units per layer", FigureGroup::gates,
     Several::one_each, "gate_saturated_fraction", kNoChoice, figures::gate_saturation, false,
     false, true},
    {"effect", "What κ changes in the gates", "what κ adds to the gate in each layer",
     FigureGroup::kappa, Several::one_each, "effect", kNoChoice, figures::effect, false, false,
     true},
    {"sharpness-by-confidence", "The gate as the score grows",
     "the gate of one gate unit at a low, the median and a high score", FigureGroup::kappa,
     Several::one_each, "kappa_input", kLayerChoice | kExpertChoice,
     figures::sharpness_by_confidence, true},
    {"statistics-depth", "Statistics over depth",
     "κ, load, confidence and gates over relative depth, one line a model", FigureGroup::router,
     Several::overlay, "relative_depth", kNoChoice, figures::statistics_depth, false, false, true},
    {"routing-change", "Tokens routed otherwise", "tokens that chose other experts, layer × token",
     FigureGroup::experts, Several::difference, "routed_otherwise", kTokensChoice,
     figures::routing_change},
    {"step-series", "Steps of training", "κ, load and router saturation over the steps of a model",
     FigureGroup::router, Several::overlay, "router_saturation", kNoChoice, figures::step_series,
     false, true},
};

// Why a trace has not what a figure needs.
const char* missing_because(FigureNeeds needs) {
  switch (needs) {
    case FigureNeeds::lens:
      return "the run has no lens (kappascope run --lens)";
    case FigureNeeds::patching:
      return "it is not of kappascope patch";
    case FigureNeeds::generation:
      return "nothing of it was generated (kappascope generate)";
    case FigureNeeds::nothing:
      break;
  }
  return "";
}

bool has_column(const Table& table, std::string_view name) {
  return std::any_of(table.columns.begin(), table.columns.end(),
                     [&](const Column& column) { return column.name == name; });
}

// One value for all rows; −1: none.
Column constant(const char* name, std::int64_t value) {
  if (value < 0) { return {name, std::vector<std::string>{""}}; }
  return {name, std::vector<std::int64_t>{value}};
}

// Columns for what the whole figure is about.
std::vector<Column> common_columns(const Figure& figure, const FigureEntry& entry,
                                   const Trace& trace, const FigureChoices& chosen) {
  std::vector<Column> columns;
  const unsigned heeded = entry.heeded(chosen);
  if (heeded & kLayerChoice) {
    const auto row = static_cast<std::size_t>(std::max<std::int64_t>(0, figure.row));
    const bool one = figure.row >= 0;
    columns.push_back(constant("layer", one ? trace.layer_index[row] : -1));
    columns.push_back(constant("pass", one ? trace.pass_index[row] : -1));
  }
  if (heeded & kExpertChoice) { columns.push_back(constant("expert", figure.expert)); }
  if (heeded & kSlotChoice) { columns.push_back(constant("slot", chosen.slot)); }
  return columns;
}

void complete(Table& table, const std::string& run, const Trace& trace,
              const std::vector<Column>& common) {
  const std::string model = trace.model_name.empty() ? "unnamed model" : trace.model_name;
  std::vector<Column> columns = {{"run", std::vector<std::string>{run}},
                                 {"model", std::vector<std::string>{model}}};
  for (const Column& column : common) {
    if (!has_column(table, column.name)) { columns.push_back(column); }
  }
  std::move(table.columns.begin(), table.columns.end(), std::back_inserter(columns));
  table.columns = std::move(columns);
}

// Why a trace has no part in a figure: it shows the κ of a model, which some models do not have
// (silu-kappa shows their gate, too), or one line a trace and this one has none; else "".
std::string left_out_because(const FigureEntry& entry, const Trace& trace) {
  if (trace.corpus && !entry.of_corpus) { return "a corpus keeps only sums over tokens"; }
  if (trace.corpus == nullptr && entry.of_corpus_only) {
    return "it is not the result of a corpus";
  }
  if (!entry.shows(trace)) { return std::string(missing_because(entry.needs)); }
  if (entry.of_kappa && lacks_kappa(trace)) { return lacks_kappa_because(trace); }
  if (entry.several != Several::overlay) { return ""; }
  const bool of_loss = entry.metric == "nll";
  if (!of_loss) { return trace.layers == 0 ? "no MoE layer was recorded" : ""; }
  const bool any = std::any_of(trace.nll.begin(), trace.nll.end(),
                               [](float value) { return std::isfinite(value); });
  return any ? "" : "no token has a predecessor";
}

// A figure is never given what it does not show.
void check_number(const FigureEntry& entry, std::size_t traces) {
  const bool right = entry.several == Several::one_each     ? traces == 1
                     : entry.several == Several::difference ? traces == 2
                                                            : traces >= 1;
  require(right, ExitCode::internal, {}, entry.id, ": a figure of ", traces, " traces");
}

// A panel without a value says why and nothing else: no legend, no line at a value.
void clear_empty_panels(Figure& figure) {
  for (Panel& panel : figure.panels) {
    if (!is_empty(panel)) { continue; }
    panel.references.clear();
    panel.lines.clear();
    panel.points.clear();
  }
}

}  // namespace

bool FigureEntry::shows(const Trace& trace) const {
  if (trace.corpus) { return of_corpus; }
  switch (needs) {
    case FigureNeeds::lens:
      return trace.lens_layers > 0;
    case FigureNeeds::patching:
      return !trace.patch_logprob.empty();
    case FigureNeeds::generation:
      return !trace.phase.empty();
    case FigureNeeds::nothing:
      break;
  }
  return !of_corpus_only;
}

unsigned FigureEntry::heeded(const FigureChoices& chosen) const {
  const bool of_layer = chosen.by_expert && (choices & kLayerIfByExpert);
  const unsigned set = choices | (of_layer ? kLayerChoice : kNoChoice);
  return chosen.by_expert ? set & ~unsigned{kTokensChoice} : set;
}

TokenRange FigureEntry::tokens_of(const FigureChoices& chosen) const {
  return heeded(chosen) & kTokensChoice ? chosen.tokens : TokenRange{};
}

std::string FigureEntry::file_name(const FigureChoices& chosen) const {
  const FigureChoices usual;
  const unsigned set = heeded(chosen);
  std::string name(id);
  const auto add = [&](bool heeds, const char* word, std::int64_t value, std::int64_t otherwise) {
    if (heeds && value != otherwise) { name += word + std::to_string(value); }
  };
  if (chosen.by_expert && (set & kByExpertChoice)) { name += "-by-expert"; }
  if (chosen.by_rank && (set & kByRankChoice)) { name += "-by-rank"; }
  add(set & kLayerChoice, "-layer", chosen.layer, usual.layer);
  add(set & kLayerChoice, "-pass", chosen.pass, usual.pass);
  const bool of_layer = chosen.by_expert && (choices & kLayerIfByExpert);
  add(of_layer || (set & kExpertChoice), "-expert", chosen.expert, usual.expert);
  add(set & kSlotChoice, "-slot", chosen.slot, usual.slot);
  add(set & kGatesChoice, "-gates", chosen.gates, usual.gates);
  const TokenRange part = tokens_of(chosen);
  if (!part.all()) {
    name += "-tokens" + std::to_string(part.first) + "-" + std::to_string(part.last);
  }
  return name;
}

Figure FigureEntry::make(Traces traces, const FigureChoices& chosen) const {
  check_number(*this, traces.size());
  const bool given = !chosen.runs.empty();
  const std::vector<std::string> all = given ? chosen.runs : run_names(traces);
  std::vector<const Trace*> shown;
  std::vector<std::string> left_out, names;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const std::string why = left_out_because(*this, *traces[i]);
    if (!why.empty()) { left_out.push_back(all[i] + " is not drawn: " + why + "."); }
    if (!why.empty()) { continue; }
    shown.push_back(traces[i]);
    names.push_back(all[i]);
  }
  const bool none = shown.size() < (several == Several::difference ? 2U : 1U);
  if (none) {
    shown.assign(traces.begin(), traces.end());
    names = all;
  }
  const std::vector<std::string> usual = run_names(shown), unnamed(1);
  if (!given) { names = usual; }
  FigureChoices named = chosen;
  named.runs = names;
  const auto tokenless = std::find_if(
      shown.begin(), shown.end(), [&](const Trace* trace) { return trace->corpus && !of_corpus; });
  Figure figure =
      tokenless == shown.end() ? draw(shown, named) : start_figure(shown, std::string(id));
  figure.subtitle = caption(shown, given || shown.size() > 1 ? names : unnamed,
                            contents_of(figure, tokens_of(chosen)));
  if (several == Several::difference && !none) {
    figure.subtitle = against_label(names.back(), names.front()) + " · " + figure.subtitle;
  }
  figure.name = file_name(chosen);
  const auto without = std::find_if(shown.begin(), shown.end(),
                                    [](const Trace* trace) { return lacks_kappa(*trace); });
  if (none && of_kappa && without != shown.end()) {
    make_empty(figure, no_kappa_because(**without));
  }
  if (tokenless != shown.end()) {
    make_empty(figure, "nothing to show: " + left_out_because(*this, **tokenless));
  }
  clear_empty_panels(figure);
  bands_to_lines(figure);
  if (!none) { figure.notes.insert(figure.notes.end(), left_out.begin(), left_out.end()); }
  const bool overlay = shows_all() && traces.size() > 1;  // then one table for each trace
  const std::vector<std::string> words = file_words(usual);
  for (std::size_t i = 0; i < figure.tables.size(); ++i) {
    const std::size_t of = shows_all() ? std::min(i, shown.size() - 1) : shown.size() - 1;
    complete(figure.tables[i], names[of], *shown[of],
             common_columns(figure, *this, *shown[of], chosen));
    if (overlay) { figure.tables[i].run = words[of]; }
  }
  keep_tokens(figure, tokens_of(chosen), shown.front()->path.string());
  if (!chosen.layers.empty() && !(heeded(chosen) & kLayerChoice)) {
    const bool lens = needs == FigureNeeds::lens;
    figure.part_of_layers = keep_layers(figure, chosen.layers,
                                        lens ? shown[0]->lens_layer_index : shown[0]->layer_index);
  }
  if (figure.part_of_layers) { figure.name += "-layers" + layers_word(chosen.layers); }
  return figure;
}

std::vector<Figure> FigureEntry::make_all(Traces traces, const FigureChoices& chosen,
                                          bool panels) const {
  const std::size_t first = several == Several::difference ? 1 : 0;
  std::vector<Figure> figures;
  if (series && traces.size() < 2) { return figures; }
  const auto shown = [&](const Trace* trace) { return shows(*trace); };
  if (std::none_of(traces.begin(), traces.end(), shown)) { return figures; }
  if (shows_all() || (traces.size() == 1 && first == 0)) {
    figures.push_back(make(traces, chosen));
    return figures;
  }
  const std::vector<std::string> usual = run_names(traces), words = file_words(usual);
  const std::vector<std::string>& runs = chosen.runs.empty() ? usual : chosen.runs;
  for (std::size_t i = first; i < traces.size(); ++i) {
    const std::array<const Trace*, 2> pair = {traces[0], traces[i]};
    FigureChoices own = chosen;
    own.runs = first == 0 ? std::vector{runs[i]} : std::vector{runs[0], runs[i]};
    figures.push_back(make(first == 0 ? traces.subspan(i, 1) : Traces(pair), own));
    if (!panels && traces.size() > first + 1) { figures.back().run = words[i]; }
  }
  if (!panels || figures.size() < 2) { return figures; }
  const Contents contents = contents_of(figures, tokens_of(chosen));
  Figure all = side_by_side(std::move(figures), {runs.begin() + std::ptrdiff_t(first), runs.end()},
                            std::string(title), caption(traces, runs, contents));
  figures.clear();
  figures.push_back(std::move(all));
  return figures;
}

const char* FigureEntry::absent_because(Traces traces) const {
  if (of_corpus_only) { return "shows the result of a corpus, which kappascope stats makes"; }
  if (traces.front()->corpus) { return "is not drawn of a corpus, which keeps sums over tokens"; }
  if (needs == FigureNeeds::lens) { return "shows the lens, which kappascope run --lens records"; }
  if (needs == FigureNeeds::patching) { return "shows what kappascope patch measures"; }
  if (needs == FigureNeeds::generation) { return "shows what kappascope generate records"; }
  return "compares traces; expected a second one";
}

std::span<const FigureEntry> figure_catalogue() {
  return kCatalogue;
}

const FigureEntry& figure_entry(std::string_view id) {
  for (const FigureEntry& entry : kCatalogue) {
    if (entry.id == id) { return entry; }
  }
  std::string known;
  for (const FigureEntry& entry : kCatalogue) {
    known += (known.empty() ? "" : ", ") + std::string(entry.id);
  }
  fail(ExitCode::usage, {}, "no figure is called '", id, "'; expected one of ", known);
}

}  // namespace kappascope
