#include "core/engine/interventions.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::int64_t kHighest = 1 << 24;  // number of a layer, an expert or a token
constexpr std::int64_t kLongestList = 1 << 20;
constexpr std::int64_t kMostPasses = 64, kMostExperts = 65536;
constexpr double kLargestCapacity = 1e6;  // any from E on drops nothing

constexpr EditKind kKinds[] = {
    {Edit::kappa_bias, "kappa-bias", "V", "b of κ = U^tanh(α·s + b) is V", false, true, true,
     EditValue::fraction},
    {Edit::kappa_scale, "kappa-scale", "V", "α of κ = U^tanh(α·s + b) is V", false, true, true,
     EditValue::fraction},
    {Edit::kappa_mul, "kappa-mul", "F", "κ times F, after its bound", false, true, true,
     EditValue::fraction},
    {Edit::kappa, "kappa", "V", "κ is V for every gate; off: κ = 1", true, true, true,
     EditValue::fraction},
    {Edit::top_k, "top-k", "K", "experts chosen for each token", false, false, true,
     EditValue::count},
    {Edit::capacity, "capacity", "F", "capacity factor; off: no expert drops tokens", true, false,
     true, EditValue::fraction},
    {Edit::loop, "loop", "N", "passes over the stack", false, false, false, EditValue::count},
    {Edit::ablate, "ablate", "LAYER:EXPERTS[:MODE]",
     "experts without their output; MODE: zero, reroute (not chosen) or mean (its mean output)",
     false, false, false, EditValue::text},
    {Edit::routes, "routes", "FILE",
     "experts of every token from an integer array [tokens, MoE layers, K] (.npy) or a trace",
     false, false, false, EditValue::text},
    {Edit::route, "route", "LAYER:TOKENS:EXPERTS", "the tokens' first slots go to these experts",
     false, false, false, EditValue::text},
    {Edit::gate_keep, "gate-keep", "Q", "share of Σ|a| of the gate activations that stay", false,
     true, true, EditValue::fraction},
    {Edit::patch, "patch", "TRACE:LAYERS:TOKENS",
     "outputs of MoE layers at these tokens are those of TRACE, made with --record outputs", false,
     false, false, EditValue::text},
    {Edit::budget, "budget", "K", "soft routing: sum of a token's weights in a layer", false, false,
     true, EditValue::fraction},
    {Edit::threshold, "threshold", "P", "soft routing: experts whose weight is above P run", false,
     false, true, EditValue::fraction},
    {Edit::temperature, "temperature", "T", "soft routing: temperature of the router logits", false,
     false, true, EditValue::fraction},
};
constexpr const char* kAblationNames[] = {"zero", "reroute", "mean"};

// What a list in the value of an edit is expected to be.
const char* form_of(const EditKind& kind) {
  switch (kind.edit) {
    case Edit::ablate:
      return "LAYER:EXPERTS[:zero|reroute|mean], such as 3:1, 3:0,4-6 or 3:1:mean";
    case Edit::route:
      return "LAYER:TOKENS:EXPERTS, such as 3:7:0 or 3:0-9:5,2";
    case Edit::patch:
      return "TRACE:LAYERS:TOKENS, such as out/trace.npz:3:7 or out:*:0-9";
    default:
      return "a scope such as 3, 2-5,7, *:0-3 or 4:1";
  }
}

std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

// "2-5,7"
std::string ranges_text(const std::vector<std::int64_t>& list) {
  std::string text;
  for (std::size_t i = 0; i < list.size();) {
    std::size_t last = i;
    while (last + 1 < list.size() && list[last + 1] == list[last] + 1) { ++last; }
    text += join_words(text.empty() ? "" : ",", list[i]);
    if (last > i) { text += join_words(last == i + 1 ? "," : "-", list[last]); }
    i = last + 1;
  }
  return text;
}

std::string all_or(const std::vector<std::int64_t>& list) {
  return list.empty() ? "*" : ranges_text(list);
}

// NAME=VALUE[@SCOPE]
std::string scoped_text(const Intervention& edit) {
  std::string word =
      join_words(kind_of(edit.edit).name, "=", edit.value ? number_text(*edit.value) : "off");
  if (edit.layers.empty() && edit.experts.empty()) { return word; }
  word += "@" + all_or(edit.layers);
  return edit.experts.empty() ? word : word + ":" + ranges_text(edit.experts);
}

[[noreturn]] void wrong(const EditKind& kind, std::string_view value, std::string_view expected) {
  fail(ExitCode::usage, {}, kind.name, "=", value, ": expected ", expected);
}

std::int64_t whole(const EditKind& kind, std::string_view word, std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kHighest) {
    wrong(kind, word, form_of(kind));
  }
  return value;
}

// Of "2-5,7", in the order given.
std::vector<std::int64_t> parse_list(const EditKind& kind, std::string_view word,
                                     std::string_view text) {
  std::vector<std::int64_t> list;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::int64_t first = whole(kind, word, part.substr(0, dash));
    const std::int64_t last = dash == part.npos ? first : whole(kind, word, part.substr(dash + 1));
    if (last < first) { wrong(kind, word, "ranges from low to high"); }
    if (std::ssize(list) + last - first >= kLongestList) {
      wrong(kind, word, join_words("at most ", kLongestList, " numbers"));
    }
    for (std::int64_t i = first; i <= last; ++i) { list.push_back(i); }
    if (comma == text.npos) { break; }
    text.remove_prefix(comma + 1);
  }
  return list;
}

// The same, ascending and each once; of "*" empty: all.
std::vector<std::int64_t> parse_ranges(const EditKind& kind, std::string_view word,
                                       std::string_view text) {
  if (text == "*") { return {}; }
  std::vector<std::int64_t> list = parse_list(kind, word, text);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

void parse_scope(const EditKind& kind, std::string_view word, std::string_view scope,
                 Intervention& edit) {
  if (!kind.layers) { wrong(kind, word, "no scope: it is of the whole model"); }
  const std::size_t colon = scope.find(':');
  edit.layers = parse_ranges(kind, word, scope.substr(0, colon));
  if (colon == scope.npos) { return; }
  if (!kind.experts) { wrong(kind, word, "layers alone in its scope, no experts"); }
  edit.experts = parse_ranges(kind, word, scope.substr(colon + 1));
}

// The parts between colons.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == text.npos) { return parts; }
    text.remove_prefix(colon + 1);
  }
}

Intervention parse_ablate(const EditKind& kind, std::string_view value) {
  const std::vector<std::string_view> parts = parts_of(value);
  if (parts.size() < 2 || parts.size() > 3) { wrong(kind, value, form_of(kind)); }
  Intervention edit{.edit = kind.edit};
  edit.layers = parse_ranges(kind, value, parts[0]);
  edit.experts = parse_ranges(kind, value, parts[1]);
  if (parts.size() == 2) { return edit; }
  const auto mode = std::find(std::begin(kAblationNames), std::end(kAblationNames), parts[2]);
  if (mode == std::end(kAblationNames)) { wrong(kind, value, form_of(kind)); }
  edit.ablation = Ablation(mode - std::begin(kAblationNames));
  return edit;
}

Intervention parse_route(const EditKind& kind, std::string_view value) {
  const std::vector<std::string_view> parts = parts_of(value);
  if (parts.size() != 3) { wrong(kind, value, form_of(kind)); }
  Intervention edit{.edit = kind.edit};
  edit.layers = parse_ranges(kind, value, parts[0]);
  edit.tokens = parse_ranges(kind, value, parts[1]);
  edit.experts = parse_list(kind, value, parts[2]);
  std::vector<std::int64_t> each = edit.experts;
  std::sort(each.begin(), each.end());
  if (std::adjacent_find(each.begin(), each.end()) != each.end()) {
    wrong(kind, value, "each expert once");
  }
  return edit;
}

Intervention parse_routes(const EditKind& kind, std::string_view value) {
  if (value.empty()) { wrong(kind, value, "a file"); }
  Intervention edit{.edit = kind.edit};
  edit.file = value;
  return edit;
}

// The name of the file may have colons.
Intervention parse_patch(const EditKind& kind, std::string_view value) {
  const std::size_t last = value.rfind(':');
  const std::size_t before =
      last == value.npos || last == 0 ? value.npos : value.rfind(':', last - 1);
  if (before == value.npos || before == 0) { wrong(kind, value, form_of(kind)); }
  Intervention edit{.edit = kind.edit};
  edit.file = value.substr(0, before);
  edit.layers = parse_ranges(kind, value, value.substr(before + 1, last - before - 1));
  edit.tokens = parse_ranges(kind, value, value.substr(last + 1));
  return edit;
}

void check_value(const EditKind& kind, std::string_view word, double value) {
  const bool integer = value == std::floor(value);
  const float narrow = float(value);  // what kernels take
  switch (kind.edit) {
    case Edit::kappa_bias:
    case Edit::kappa_scale:
      if (!std::isfinite(narrow)) { wrong(kind, word, "a number that float32 holds"); }
      return;
    case Edit::kappa_mul:
    case Edit::kappa:
      if (value <= 0) { wrong(kind, word, "a number > 0"); }
      if (!(narrow > 0) || !std::isfinite(narrow)) {
        wrong(kind, word, "a number > 0 that float32 holds");
      }
      return;
    case Edit::capacity:
      if (value <= 0 || value > kLargestCapacity) {
        wrong(kind, word, "a number > 0, at most 1e6, or off where nothing is to be dropped");
      }
      return;
    case Edit::top_k:
      if (!integer || value < 1 || value > kMostExperts) {
        wrong(kind, word, join_words("a whole number from 1 to ", kMostExperts));
      }
      return;
    case Edit::loop:
      if (!integer || value < 1 || value > kMostPasses) {
        wrong(kind, word, join_words("a whole number from 1 to ", kMostPasses));
      }
      return;
    case Edit::gate_keep:
      if (value <= 0 || value > 1) { wrong(kind, word, "a number over 0, at most 1"); }
      return;
    case Edit::budget:
    case Edit::temperature:
      if (value <= 0) { wrong(kind, word, "a number > 0"); }
      return;
    case Edit::threshold:
      if (value < 0 || value >= 1) { wrong(kind, word, "a number from 0 to below 1"); }
      return;
    case Edit::ablate:
    case Edit::routes:
    case Edit::route:
    case Edit::patch:
      break;  // have no number
  }
  fail(ExitCode::internal, {}, "an edit of no kind");
}

// NAME=VALUE[@SCOPE]
Intervention parse_scoped(const EditKind& kind, std::string_view value) {
  Intervention edit;
  edit.edit = kind.edit;
  const std::size_t at = value.find('@');
  const std::string_view number = value.substr(0, at);
  if (number != "off" || !kind.off) {
    double parsed = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), parsed);
    if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(parsed)) {
      wrong(kind, value, kind.off ? "a number or off" : "a number");
    }
    check_value(kind, value, parsed);
    edit.value = parsed;
  }
  // One text for one edit.
  if (edit.edit == Edit::kappa && edit.value == 1.0) { edit.value.reset(); }
  if (at != value.npos) { parse_scope(kind, value, value.substr(at + 1), edit); }
  return edit;
}

}  // namespace

std::span<const EditKind> edit_kinds() {
  return kKinds;
}

const EditKind& kind_of(Edit edit) {
  const auto found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const EditKind& kind) { return kind.edit == edit; });
  require(found != std::end(kKinds), ExitCode::internal, {}, "an edit of no kind");
  return *found;
}

std::string Intervention::text() const {
  const char* const name = kind_of(edit).name;
  switch (edit) {
    case Edit::ablate:
      return join_words(name, "=", all_or(layers), ":", all_or(experts),
                        ablation == Ablation::zero ? "" : ":",
                        ablation == Ablation::zero ? "" : kAblationNames[int(ablation)]);
    case Edit::route:
      return join_words(name, "=", all_or(layers), ":", all_or(tokens), ":", all_or(experts));
    case Edit::routes:
      return join_words(name, "=", file);
    case Edit::patch:
      return join_words(name, "=", file, ":", all_or(layers), ":", all_or(tokens));
    default:
      return scoped_text(*this);
  }
}

Intervention parse_intervention(std::string_view name, std::string_view value) {
  const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                 [&](const EditKind& one) { return one.name == name; });
  if (kind == std::end(kKinds)) {
    std::string names;
    for (const EditKind& one : kKinds) {
      names += (names.empty() ? "" : ", ") + std::string(one.name);
    }
    fail(ExitCode::usage, {}, "intervention ", name, ": expected one of ", names);
  }
  switch (kind->edit) {
    case Edit::ablate:
      return parse_ablate(*kind, value);
    case Edit::route:
      return parse_route(*kind, value);
    case Edit::routes:
      return parse_routes(*kind, value);
    case Edit::patch:
      return parse_patch(*kind, value);
    default:
      return parse_scoped(*kind, value);
  }
}

Intervention parse_intervention(std::string_view word) {
  const std::size_t at = word.find('=');
  require(at != word.npos, ExitCode::usage, {}, "intervention ", word,
          ": expected NAME=VALUE[@SCOPE]");
  return parse_intervention(word.substr(0, at), word.substr(at + 1));
}

std::vector<Intervention> in_order(std::vector<Intervention> list) {
  std::stable_sort(list.begin(), list.end(),
                   [](const Intervention& a, const Intervention& b) { return a.edit < b.edit; });
  return list;
}

std::vector<std::string> canonical_words(const std::vector<Intervention>& list) {
  std::vector<std::string> words;
  for (const Intervention& edit : in_order(list)) { words.push_back(edit.text()); }
  return words;
}

}  // namespace kappascope
