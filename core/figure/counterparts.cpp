#include "core/figure/counterparts.h"

#include "core/figure/text.h"
#include "core/stats/difference.h"
#include "core/stats/layer.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// What the tokens spell, without those that are not part of the text.
std::string words_of(const Trace& trace) {
  std::string text;
  for (std::size_t t = 0; t < trace.token_text.size(); ++t) {
    const bool counted = trace.char_start.size() == trace.token_text.size();
    if (!counted || trace.char_end[t] > trace.char_start[t]) { text += trace.token_text[t]; }
  }
  return text;
}

std::string document_hash(const Trace& trace) {
  return text_of(meta_at(trace, "document", "sha256"));
}

// Of one text, the one perhaps cut shorter than the other.
bool same_text(const Trace& a, const Trace& b) {
  const std::string of_a = document_hash(a), of_b = document_hash(b);
  return !of_a.empty() && !of_b.empty() ? of_a == of_b : words_of(a) == words_of(b);
}

std::vector<std::int32_t> experts_of(const Trace& trace) {
  std::vector<std::int32_t> experts;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    experts.push_back(std::int32_t(TraceLayer(trace, row).experts));
  }
  return experts;
}

std::int32_t at(const std::vector<std::int32_t>& list, std::int32_t i) {
  return i >= 0 && i < std::ssize(list) ? list[i] : -1;
}

}  // namespace

// Texts that a model went on with: what follows their common beginning is not of one text.
void Counterparts::pair_first_tokens(const Trace& a, const Trace& b) {
  std::int64_t shared = 0;
  const auto same = [&](std::size_t t) {
    return a.token_id[t] == b.token_id[t] && a.token_text[t] == b.token_text[t];
  };
  while (shared < std::min(a.tokens, b.tokens) && same(std::size_t(shared))) { ++shared; }
  for (std::int64_t t = 0; t < shared; ++t) {
    there_.tokens[t] = back_.tokens[t] = std::int32_t(t);
  }
  note_ = "generated: the first " + count_text(shared) +
          (shared == 1 ? " token is shared" : " tokens are shared");
}

Counterparts::Counterparts(const Trace& from, const Trace& to) {
  there_.rows.assign(std::size_t(from.layers), -1);
  back_.rows.assign(std::size_t(to.layers), -1);
  for (const RowPair& pair : common_rows(from, to)) {
    there_.rows[pair.a] = std::int32_t(pair.b);
    back_.rows[pair.b] = std::int32_t(pair.a);
  }
  there_.experts = experts_of(to);
  back_.experts = experts_of(from);
  there_.slots = to.slots;
  back_.slots = from.slots;
  same_tokens_ = tokens_differ_because(from, to).empty();
  if (same_tokens_) { return; }
  there_.tokens.assign(std::size_t(from.tokens), -1);
  back_.tokens.assign(std::size_t(to.tokens), -1);
  if (!from.phase.empty() || !to.phase.empty()) {
    pair_first_tokens(from, to);
    return;
  }
  if (!same_text(from, to)) {
    note_ = "another text: no token is shared";
    return;
  }
  for (const Stretch& stretch : common_stretches(from, to)) {
    for (std::int64_t t = stretch.first_a; t <= stretch.last_a; ++t) {
      there_.tokens[t] = std::int32_t(stretch.first_b);
    }
    for (std::int64_t t = stretch.first_b; t <= stretch.last_b; ++t) {
      back_.tokens[t] = std::int32_t(stretch.first_a);
    }
  }
  note_ = (to.tokens == from.tokens
               ? "other tokens"
               : count_text(to.tokens) + " tokens instead of " + count_text(from.tokens)) +
          " of this text: the selection follows its characters";
}

Subject Counterparts::along(const Way& way, const Subject& subject) const {
  Subject found;
  found.row = at(way.rows, subject.row);
  found.token = same_tokens_ ? subject.token : at(way.tokens, subject.token);
  found.slot = subject.slot < way.slots ? subject.slot : -1;
  const bool known = found.row >= 0 && subject.expert < at(way.experts, found.row);
  found.expert = known ? subject.expert : -1;
  return found;
}

Subject Counterparts::there(const Subject& subject) const {
  return along(there_, subject);
}

Subject Counterparts::back(const Subject& subject) const {
  return along(back_, subject);
}

}  // namespace kappascope
