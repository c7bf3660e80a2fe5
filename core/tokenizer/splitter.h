// Cuts text into the pieces that byte-pair merging works on, by the tokenizer's regular expression.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace kappascope {

// A compiled pattern. Immutable; safe to use from several threads.
class Splitter {
 public:
  // `pattern` in tiktoken's language (pattern.h); one that does not compile or is not known to mean
  // the same in PCRE2: unsupported. `file` is for messages, here and in every Scan.
  Splitter(std::string_view pattern, std::string_view file);
  ~Splitter();
  Splitter(Splitter&&) noexcept;
  Splitter& operator=(Splitter&&) noexcept;

  // One pass over one text, in one thread. The Splitter must outlive it.
  class Scan {
   public:
    // `text` is valid UTF-8; `source` names it in messages.
    Scan(const Splitter& splitter, std::string_view text, std::string_view source);
    ~Scan();

    // The next match, never empty; text that the pattern leaves unmatched is skipped, as tiktoken
    // does. False at the end. Work is linear in the text's length whatever the pattern: one that
    // wants more is damaged.
    bool next(std::string_view& piece);

   private:
    struct State;
    std::size_t match_end(std::size_t begin);  // `begin` itself when nothing matches there
    std::unique_ptr<State> state_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kappascope
