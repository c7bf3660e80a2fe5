// Where a part of one trace is in another one, so that one selection serves both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/trace/trace.h"

namespace kappascope {

// Layers are those of the same number and pass, experts and slots of the same number. Tokens are
// the same where both traces have the same; of one text in other tokens they are those that begin
// where the text has the same place, by character offsets; of another text there are none.
class Counterparts {
 public:
  Counterparts() = default;
  Counterparts(const Trace& from, const Trace& to);

  // Of a subject of `from` in `to`, and the other way; −1 for what has no counterpart.
  Subject there(const Subject& subject) const;
  Subject back(const Subject& subject) const;

  bool same_tokens() const { return same_tokens_; }
  // Why tokens do not go with each other one by one: "90 tokens instead of 88 of this text: …",
  // "other tokens of this text: …", "another text: …"; "" where they do.
  const std::string& note() const { return note_; }

 private:
  void pair_first_tokens(const Trace& a, const Trace& b);
  struct Way {
    std::vector<std::int32_t> rows, tokens;  // by number there; −1: none. `tokens`: unless same
    std::vector<std::int32_t> experts;       // of each row that is led to
    std::int64_t slots = 0;
  };
  Subject along(const Way& way, const Subject& subject) const;

  bool same_tokens_ = false;
  std::string note_;
  Way there_, back_;
};

}  // namespace kappascope
