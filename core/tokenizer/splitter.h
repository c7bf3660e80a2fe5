// Cuts text into the pieces that byte-pair merging works on, by the tokenizer's regular expression.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/tokenizer/pattern.h"

namespace kappascope {

// A compiled pattern. Immutable; safe to use from several threads.
class Splitter {
 public:
  // A pattern that does not compile or is not known to mean the same in PCRE2: unsupported. `file`
  // is for messages, here and in every Scan.
  Splitter(std::string_view pattern, PatternLanguage language, std::string_view file);
  ~Splitter();
  Splitter(Splitter&&) noexcept;
  Splitter& operator=(Splitter&&) noexcept;

  // Passes over texts, one after another, in one thread. The Splitter must outlive it.
  class Scan {
   public:
    // `source` names the texts in messages.
    Scan(const Splitter& splitter, std::string_view source);
    Scan(Scan&&) noexcept;
    ~Scan();

    // Begins at the start of `text`, valid UTF-8.
    void start(std::string_view text);

    // The next match: leftmost, then as the pattern prefers; empty ones, too, but not right behind
    // the match before. False at the end. Work is linear in the length of all texts whatever the
    // pattern: one that wants more is damaged.
    bool find(std::string_view& match);

    // The next match that is not empty; text that the pattern leaves unmatched is skipped, as
    // tiktoken does.
    bool next(std::string_view& piece);

   private:
    struct State;
    std::size_t match_end(std::size_t begin);  // npos when nothing matches there
    std::unique_ptr<State> state_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kappascope
