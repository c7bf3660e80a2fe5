#include "core/train/corpus.h"

#include <utility>

#include "core/checkpoint/tensor.h"
#include "core/error.h"
#include "core/train/random.h"

namespace kappascope {
namespace {

constexpr std::int64_t kHeldOut = 20;  // one row in so many

}  // namespace

Corpus::Corpus(std::vector<std::int32_t> stream, std::int64_t context, std::int64_t seed)
    : stream_(std::move(stream)), context_(context), seed_(seed) {
  const std::int64_t rows = (std::ssize(stream_) - 1) / context;
  require(rows >= 2, ExitCode::unsupported, {}, "the texts have ", stream_.size(),
          " tokens; expected at least ", 2 * context + 1, ", two sequences of --context ", context);
  sha256_ = sha256_hex(
      {reinterpret_cast<const char*>(stream_.data()), stream_.size() * sizeof stream_[0]});
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool held = rows < kHeldOut ? row + 1 == rows : row % kHeldOut == kHeldOut - 1;
    (held ? held_out_ : training_).push_back(row);
  }
}

Sequences Corpus::training_batch(std::int64_t step, std::int64_t count) {
  return training_batch(step, count, count, 0, 1);
}

Sequences Corpus::training_batch(std::int64_t step, std::int64_t count, std::int64_t call, int rank,
                                 int ranks) {
  Sequences result;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % call * ranks / call != rank) { continue; }
    const std::int64_t place = step * count + i, epoch = place / training_rows();
    if (epoch != epoch_) {
      order_ = training_;
      Random random(seed_, join_words("order of pass ", epoch));
      random.shuffle(order_);
      epoch_ = epoch;
    }
    add_row(order_[place % training_rows()], result);
  }
  return result;
}

Sequences Corpus::held_out_batch(std::int64_t first, std::int64_t count) const {
  Sequences result;
  for (std::int64_t i = first; i < first + count; ++i) { add_row(held_out_[i], result); }
  return result;
}

void Corpus::add_row(std::int64_t row, Sequences& to) const {
  const auto first = stream_.begin() + row * context_;
  to.ids.insert(to.ids.end(), first, first + context_);
  to.targets.insert(to.targets.end(), first + 1, first + context_ + 1);
}

}  // namespace kappascope
