// The tokens of a training run, cut into sequences: which are trained on, in which order, and which
// are held out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kappascope {

// Sequences one after another: ids [B·C] and the token that follows each.
struct Sequences {
  std::vector<std::int32_t> ids, targets;
};

// A stream of tokens in rows of C; row r predicts tokens r·C + 1 to (r + 1)·C. Every twentieth row
// is held out, the last one of fewer than twenty; what does not fill a row is left out.
class Corpus {
 public:
  // Errors: unsupported, when the stream has less than two rows.
  Corpus(std::vector<std::int32_t> stream, std::int64_t context, std::int64_t seed);

  std::int64_t training_rows() const { return std::int64_t(training_.size()); }
  std::int64_t held_out_rows() const { return std::int64_t(held_out_.size()); }
  const std::string& sha256() const { return sha256_; }  // of the stream

  // The `count` rows of step `step`: every row once before one comes again, each time in another
  // order of the seed. Of several ranks the rows of one: of every `call` rows, which the ranks
  // share, its part.
  Sequences training_batch(std::int64_t step, std::int64_t count);
  Sequences training_batch(std::int64_t step, std::int64_t count, std::int64_t call, int rank,
                           int ranks);
  Sequences held_out_batch(std::int64_t first, std::int64_t count) const;

 private:
  void add_row(std::int64_t row, Sequences& to) const;

  std::vector<std::int32_t> stream_;
  std::int64_t context_, seed_;
  std::string sha256_;
  std::vector<std::int64_t> training_, held_out_;  // rows
  std::int64_t epoch_ = -1;                        // whose order `order_` is
  std::vector<std::int64_t> order_;
};

}  // namespace kappascope
