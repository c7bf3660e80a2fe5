#include "core/figure/caption.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/figure/text.h"
#include "core/stats/kappa.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

constexpr int kConstantDigits = 6;  // of a κ that a model has: 1.702

std::vector<std::string> interventions(const Trace& trace) {
  std::vector<std::string> words;
  const Json* list = meta_at(trace, "interventions");
  if (!list || !list->is_array()) { return words; }
  for (const Json& word : *list) {
    if (word.is_string()) { words.push_back(plain_text(word.get<std::string>())); }
  }
  return words;
}

bool of_whole_model(const std::string& word) {
  return word.find('@') == word.npos;
}

// What κ follows: "router probs", "z", "its own router".
std::string input_label(const Trace& trace) {
  const bool router = has_kappa_router(trace);
  if (kappa_follows_gate(trace)) { return router ? "z and its own router" : "z"; }
  return router ? "its own router" : text_of(meta_at(trace, "kappa", "input"));
}

// The one number that κ is in all that was recorded, as the run set it.
std::optional<double> set_everywhere(const Trace& trace) {
  std::optional<double> common;
  for (std::int64_t row = 0; row < trace.layers && trace.kappa; ++row) {
    const std::optional<double> own = kappa_set_by_run(TraceLayer(trace, row));
    if (!own || (common && *common != *own)) { return std::nullopt; }
    common = own;
  }
  return common;
}

std::string kappa_label(const Trace& trace) {
  if (lacks_kappa(trace)) {
    const std::optional<double> constant = kappa_constant(trace);
    return constant ? "κ = " + number_text(*constant, kConstantDigits) + ", constant" : "no κ";
  }
  if (!trace.kappa) { return "κ off"; }
  if (const std::optional<double> set = set_everywhere(trace)) {
    return "κ = " + number_text(*set, kConstantDigits);
  }
  if (!meta_at(trace, "kappa")) { return "κ"; }
  if (flag_is(meta_at(trace, "kappa", "model"), false)) { return "no learned κ"; }
  std::string text = "κ " + text_of(meta_at(trace, "kappa", "granularity"));
  const std::string input = input_label(trace);
  if (!input.empty()) { text += " from " + input; }
  const double bound = number_of(meta_at(trace, "kappa", "bound_moe"));
  if (bound == bound) { text += ", U = " + number_text(bound); }
  std::replace(text.begin(), text.end(), '_', ' ');
  const std::string reading = reading_label(trace);
  return reading.empty() ? text : text + ", " + reading;
}

// "capacity factor 3", and in which layers it is another: "… except capacity=0.5@2". A model
// without a capacity has nothing to say.
std::string capacity_label(const Trace& trace) {
  const Json* in_force = meta_at(trace, "capacity", "in_force");
  const double factor = number_of(meta_at(trace, "capacity", "factor"));
  if (flag_is(in_force, false) == flag_is(in_force, true) || std::isnan(factor)) { return ""; }
  const bool limited = flag_is(in_force, true);
  const std::string own = limited ? number_text(factor) : "off";
  std::string others;
  for (const std::string& word : interventions(trace)) {
    const bool of_layers = word.starts_with("capacity=") && !of_whole_model(word);
    if (!of_layers || word.starts_with("capacity=" + own + "@")) { continue; }
    others += (others.empty() ? " except " : ", ") + word;
  }
  return (limited ? "capacity factor " + own : "no capacity limit") + others;
}

// The interventions of which κ's and the capacity's label do not speak.
std::string other_interventions(const Trace& trace) {
  const std::optional<double> set = set_everywhere(trace);
  const bool capacity = !capacity_label(trace).empty();
  std::string text;
  for (const std::string& word : interventions(trace)) {
    const bool said = (word == "kappa=off" && !trace.kappa) ||
                      (set && word == "kappa=" + number_text(*set, kConstantDigits)) ||
                      (capacity && word.starts_with("capacity="));
    if (!said) { text += (text.empty() ? "" : ", ") + word; }
  }
  return text;
}

// "87 tokens", "80–87 tokens" of several runs; "tokens 3–9 of 87" where nothing of others is shown.
std::string tokens_label(std::int64_t least, std::int64_t most, const Contents& contents) {
  const std::string all = (least < most ? count_text(least) + "–" : "") + count_text(most);
  const TokenRange& part = contents.part;
  if (!contents.tokens || contents.statistics || part.all()) {
    return all + (most == 1 ? " token" : " tokens");
  }
  const std::int64_t last = std::min(part.last, most - 1);
  const std::string shown = "token" + std::string(part.first < last ? "s " : " ") +
                            count_text(part.first) +
                            (part.first < last ? "–" + count_text(last) : "");
  return shown + " of " + all;
}

// "150 documents in calls of 256 tokens", of which the capacity of experts is counted.
std::string corpus_label(const Trace& trace) {
  if (!trace.corpus) { return ""; }
  const std::int64_t documents = trace.corpus->documents;
  const double call = number_of(member(meta_at(trace, "corpus"), "call_tokens"));
  std::string text = count_text(documents) + (documents == 1 ? " document" : " documents");
  if (call > 0) { text += " in calls of " + count_text(std::llround(call)) + " tokens"; }
  return text;
}

// Of which tokens the statistics are, where that is not all.
std::string only_label(const Trace& trace) {
  return trace.only_assistant ? "statistics of the assistant's tokens alone" : "";
}

std::int64_t count_of_tokens(const Trace& trace, const Contents& contents) {
  return contents.tokens ? trace.tokens : counted_tokens(trace);
}

// What a run is, in the order of captions; the number of tokens is the last.
std::vector<std::string> items_of(const Trace& trace, const Contents& contents) {
  return {model_label(trace),
          kappa_label(trace),
          capacity_label(trace),
          other_interventions(trace),
          text_of(meta_at(trace, "dtype")),
          contents.statistics ? only_label(trace) : ""};
}

void add_item(std::string& text, const std::string& item, const char* gap) {
  if (!item.empty()) { text += (text.empty() ? "" : gap) + item; }
}

// Item `k` of a run without what its name says; the name begins with the model's, the first item.
std::string beyond_name(const Trace& trace, const std::string& name, std::string item,
                        std::size_t k) {
  if (k == 0) {
    const bool said = trace.step < 0 || name.find("step ") != name.npos;
    item = said ? "" : "step " + count_text(trace.step);
  }
  return name.find(item) == name.npos ? item : "";
}

// The items that not all runs share, without what the name says: "step 100, κ off".
std::string own_items(const Trace& trace, const std::string& name,
                      const std::vector<std::string>& items, const std::vector<bool>& common) {
  std::string own;
  for (std::size_t k = 0; k < items.size(); ++k) {
    if (!common[k]) { add_item(own, beyond_name(trace, name, items[k], k), ", "); }
  }
  return own;
}

// The model of runs at several of its steps; "" where they are of several models.
std::string common_model(Traces traces) {
  const std::string& name = traces[0]->model_name;
  const bool same = std::all_of(traces.begin(), traces.end(),
                                [&](const Trace* trace) { return trace->model_name == name; });
  return same ? name : "";
}

// Of one run that is one of several: its name, then what this does not say.
std::string caption_of_one(const Trace& trace, const std::string& name, const Contents& contents) {
  std::string text = name;
  const std::vector<std::string> items = items_of(trace, contents);
  for (std::size_t k = 0; k < items.size(); ++k) {
    add_item(text, beyond_name(trace, name, items[k], k), " · ");
  }
  const std::int64_t tokens = count_of_tokens(trace, contents);
  add_item(text, tokens_label(tokens, tokens, contents), " · ");
  add_item(text, corpus_label(trace), " · ");
  return text;
}

}  // namespace

std::string reading_label(const Trace& trace) {
  const std::string slot = text_of(meta_at(trace, "kappa_slot"));
  const std::string formula = text_of(meta_at(trace, "kappa_formula"));
  std::string text;
  if (slot == "base") { text = "base slot"; }
  if (slot == "sft") { text = "SFT slot (" + text_of(meta_at(trace, "sft_kappa")) + ")"; }
  if (!formula.empty() && formula != "2026-06") {
    text += (text.empty() ? "" : ", ") + ("formula " + formula);
  }
  return text;
}

std::string intervention_label(const Trace& trace) {
  const bool no_capacity = flag_is(meta_at(trace, "capacity", "in_force"), false);
  std::string text;
  for (const std::string& word : interventions(trace)) {
    const bool off =
        (word == "kappa=off" && !trace.kappa) || (word == "capacity=off" && no_capacity);
    if (!off) { text += (text.empty() ? "" : ", ") + word; }
  }
  return text;
}

std::string model_label(const Trace& trace) {
  const std::string name = trace.model_name.empty() ? "unnamed model" : trace.model_name;
  return trace.step < 0 ? name : name + ", step " + count_text(trace.step);
}

std::string as_one_item(std::string name) {
  constexpr std::string_view kGap = " · ";
  for (std::size_t at = 0; (at = name.find(kGap, at)) != name.npos;) {
    name.replace(at, kGap.size(), ", ");
  }
  return name;
}

std::string against_label(const std::string& run, const std::string& first) {
  return as_one_item(run) + " against " + as_one_item(first);
}

std::string caption(Traces traces, const std::vector<std::string>& names,
                    const Contents& contents) {
  if (traces.size() == 1 && !names[0].empty()) {
    return caption_of_one(*traces[0], names[0], contents);
  }
  std::vector<std::vector<std::string>> items;
  std::int64_t least = count_of_tokens(*traces[0], contents), most = least;
  for (const Trace* trace : traces) {
    items.push_back(items_of(*trace, contents));
    least = std::min(least, count_of_tokens(*trace, contents));
    most = std::max(most, count_of_tokens(*trace, contents));
  }
  std::string text;
  std::vector<bool> common;
  for (std::size_t k = 0; k < items[0].size(); ++k) {
    common.push_back(std::all_of(items.begin(), items.end(),
                                 [&](const auto& other) { return other[k] == items[0][k]; }));
    if (common[k]) { add_item(text, items[0][k], " · "); }
    if (k == 0 && !common[0]) { add_item(text, common_model(traces), " · "); }
  }
  add_item(text, tokens_label(least, most, contents), " · ");
  if (traces.size() == 1) { add_item(text, corpus_label(*traces[0]), " · "); }
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const std::string own = own_items(*traces[i], names[i], items[i], common);
    if (!own.empty()) { add_item(text, as_one_item(names[i]) + ": " + own, " · "); }
  }
  return text;
}

Contents contents_of(const Figure& figure, TokenRange part) {
  Contents contents{false, figure.panels.empty(), part};
  for (const Panel& panel : figure.panels) {
    (has_token_axis(panel) ? contents.tokens : contents.statistics) = true;
  }
  return contents;
}

Contents contents_of(const std::vector<Figure>& figures, TokenRange part) {
  Contents all{false, figures.empty(), part};
  for (const Figure& figure : figures) {
    const Contents one = contents_of(figure, part);
    all = {all.tokens || one.tokens, all.statistics || one.statistics, part};
  }
  return all;
}

bool without_capacity(const Trace& trace) {
  const std::vector<std::string> words = interventions(trace);
  return flag_is(meta_at(trace, "capacity", "in_force"), false) &&
         std::none_of(words.begin(), words.end(), [](const std::string& word) {
           return word.starts_with("capacity=") && !word.starts_with("capacity=off");
         });
}

bool lacks_kappa(const Trace& trace) {
  return flag_is(meta_at(trace, "kappa", "model"), false) && trace.kappa_factor.empty();
}

bool kappa_follows_gate(const Trace& trace) {
  return text_of(meta_at(trace, "kappa", "input")) == "gate_proj";
}

bool has_kappa_router(const Trace& trace) {
  return flag_is(meta_at(trace, "kappa", "router"), true);
}

bool parameters_changed(const Trace& trace) {
  return !trace.kappa_bias_in_force.empty() || !trace.kappa_scale_in_force.empty();
}

std::optional<double> kappa_constant(const Trace& trace) {
  const double constant = number_of(meta_at(trace, "kappa", "constant"));
  return std::isnan(constant) ? std::nullopt : std::optional(constant);
}

std::string lacks_kappa_because(const Trace& trace) {
  if (!lacks_kappa(trace)) { return ""; }
  const std::optional<double> constant = kappa_constant(trace);
  if (!constant) { return "this model has no κ"; }
  return *constant == 1
             ? "this model has no κ: it is 1 in every gate"
             : "κ of this model is the constant " + number_text(*constant, kConstantDigits);
}

std::string no_kappa_because(const Trace& trace) {
  if (lacks_kappa(trace)) { return "nothing to show: " + lacks_kappa_because(trace); }
  return trace.kappa ? "" : "nothing to show: κ was turned off in this run";
}

std::string no_parameters_because(const Trace& trace) {
  const std::string why = no_kappa_because(trace);
  if (!why.empty()) { return why; }
  if (const std::optional<double> set = set_everywhere(trace)) {
    return "nothing to show: the run set κ to " + number_text(*set, kConstantDigits);
  }
  return trace.model || !trace.kappa_bias_in_force.empty()
             ? "nothing to show: κ has no learned parameters here"
             : "nothing to show: model.npz, which holds the parameters of κ, is not beside "
               "the trace";
}

std::string no_score_because(const Trace& trace) {
  return kappa_follows_gate(trace) && !set_everywhere(trace)
             ? "nothing to show: κ follows from the gates' own pre-activations z, not from a score"
             : "";
}

}  // namespace kappascope
