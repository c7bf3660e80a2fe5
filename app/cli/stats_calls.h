// Documents of a corpus as calls of the model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/stats/corpus_pass.h"
#include "core/trace/recorder.h"

namespace kappascope {

// A document as the model is fed it.
struct CorpusText {
  std::uint64_t document = 0;  // document_key()
  std::string domain;
  TokenizedText text;
  bool only_assistant = false;  // the others of its tokens are not counted
};

// Documents one after another, as many as there is room for in a call, none cut that fits into one;
// a longer one begins a call of its own, its last piece shares the next. With `window` its pieces
// overlap by half a call, as `run --window` cuts a text.
class CallPacker {
 public:
  // Runs a call. When it comes back everything added so far has been run, and of the document that
  // is being added the first `pieces`.
  using Run = std::function<void(const CorpusCall& call, std::int64_t pieces)>;

  // `room`: tokens of a call, at most sequence_len.
  CallPacker(std::int64_t room, bool window, Run run)
      : room_(room), window_(window), run_(std::move(run)) {}

  // `done`: pieces of it that were run before.
  void add(const CorpusText& text, std::int64_t done = 0);
  void flush();  // runs what waits

 private:
  void put(const CorpusText& text, std::int64_t begin, std::int64_t end);
  void run(std::int64_t pieces);
  void add_pieces(const CorpusText& text, std::int64_t done);
  void add_windows(const CorpusText& text, std::int64_t done);

  std::int64_t room_;
  bool window_;
  Run run_;
  CorpusCall call_;
};

}  // namespace kappascope
