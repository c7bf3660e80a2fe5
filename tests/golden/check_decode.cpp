// kappascope_check_decode [--plain] [--cuda] [--oracle FOLDER] MODEL…: for each model, calls that
// go on after kept tokens give what one call of all tokens gives, and the same bits when they are
// made again. Capacity is off, since it follows the tokens of a call. Without a GPU, or without
// KAPPASCOPE_ORACLE where a folder of that is named, 77.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "core/engine/cache_plan.h"
#include "core/engine/engine.h"

namespace kappascope {
namespace {

constexpr std::int64_t kTokens = 150;  // at most
// And as much of what is expected, or of the root mean square of its row: what is rounded off where
// large values cancel.
constexpr double kTolerance = 1e-4;
constexpr float kNearTie = 2e-5f;  // of the router's margin, where experts may differ

using Row = std::pair<std::int64_t, std::int64_t>;  // pass, layer

struct Values {
  std::int64_t width = 0;     // of a token
  std::vector<float> values;  // [T,width]
  template <typename T>
  void add(const T* from, std::int64_t tokens, std::int64_t each) {
    width = each;
    values.insert(values.end(), from, from + tokens * each);
  }
};

// What a text's calls gave, token after token.
struct Record final : Probe {
  std::map<std::string, Values> of;

  ProbeWants wants() const noexcept override {
    return {
        .routing = true, .gate_stats = true, .hidden = true, .next_token = true, .logits = true};
  }
  Values& at(const char* name, std::int64_t pass, std::int64_t layer) {
    return of[join_words("pass ", pass, " layer ", layer, ' ', name)];
  }
  bool moe(const MoeTap& tap) noexcept override {
    const RoutingView& r = tap.routing;
    at("router logits", tap.pass, tap.layer).add(r.logits, r.tokens, r.experts);
    at("expert", tap.pass, tap.layer).add(r.cells.expert, r.tokens, r.slots);
    at("weight", tap.pass, tap.layer).add(r.cells.weight, r.tokens, r.slots);
    at("score", tap.pass, tap.layer).add(r.cells.score, r.tokens, r.slots);
    at("output norm", tap.pass, tap.layer).add(tap.output_norm, r.tokens, r.slots);
    at("output", tap.pass, tap.layer).add(tap.output, r.tokens, tap.width);
    margin[{tap.pass, tap.layer}].add(r.numbers.margin, r.tokens, 1);
    return true;
  }
  bool hidden(const RowsTap& tap) noexcept override {
    at("hidden", tap.pass, tap.layer).add(tap.rows, tap.tokens, tap.width);
    return true;
  }
  bool next_token(const NextTokenTap& tap) noexcept override {
    of["logits"].add(tap.logits, tap.tokens, tap.vocab);
    return true;
  }
  std::map<Row, Values> margin;
};

class Check {
 public:
  Check(const std::string& folder, const LoadOptions& options)
      : folder_(folder), model_(open_model(folder)) {
    std::vector<Intervention> no_drops;
    const LayerSpec* moe = model_.architecture.first_moe();
    if (moe && moe->moe()->router.capacity) { no_drops.push_back({.edit = Edit::capacity}); }
    plan_ = resolve(model_, no_drops);
    const std::int64_t count = std::min(kTokens, model_.architecture.context);
    for (std::int64_t t = 0; t < count; ++t) {
      ids_.push_back(std::int32_t((t * t * 29 + t * 13 + 7) % model_.architecture.vocab));
    }
    LoadOptions load = options;
    load.tokens = count;
    load.cache = plan_cache(model_.architecture, plan_.passes, count).bytes();
    require_done(engine(load.device).load(model_, load, progress_, loaded_));
    require_done(loaded_->make_cache(plan_.passes, count, cache_));
  }

  bool run() {
    const std::int64_t all = std::ssize(ids_);
    const Record parts = by_parts();
    cache_ = nullptr;
    grown_ = true;
    const Record again = by_parts();
    bool good = same_bits(parts, again);
    // Where it was begun again, the tokens before were run in a shorter text.
    if (begun_ > 0) { good = compare(parts, 0, first_begun_) && good; }
    return compare(parts, begun_, all) && good;
  }

 private:
  static void require_done(const Failure& failure) {
    if (failure) { throw Error(failure); }
  }

  // The tokens [first, last) against one call of the text up to `last`.
  bool compare(const Record& parts, std::int64_t first, std::int64_t last) {
    Record whole;
    require_done(loaded_->forward({.ids = std::span(ids_).first(last)}, plan_, whole, progress_));
    const std::int64_t agreeing = tokens_that_agree(whole, parts, first, last);
    double worst = 0;
    std::string where;
    for (const auto& [name, expected] : whole.of) {
      const double most = difference(expected, parts.of.at(name), first, agreeing);
      if (most > worst) {
        worst = most;
        where = name;
      }
    }
    const bool good = worst <= 1 && 3 * (agreeing - first) > 2 * (last - first);
    std::cout << (good ? "ok     " : "WRONG  ") << folder_ << ": tokens " << first << " to "
              << agreeing << " of " << last << ", worst " << worst << " of the tolerance, " << where
              << '\n';
    return good;
  }

  // A third of the text, single tokens, a few at once, many at once, single tokens.
  Record by_parts() {
    Record record;
    const std::int64_t all = std::ssize(ids_);
    if (cache_) { cache_->clear(); }
    begun_ = 0;
    std::int64_t done = 0;
    const auto call = [&](std::int64_t count) {
      count = std::min(count, all - done);
      if (count == 0) { return; }
      // A cache that has always had room for all, and one that grows, keep the same.
      if (grown_) { require_done(loaded_->make_cache(plan_.passes, done + count, cache_)); }
      std::int64_t first = done;
      if (done > 0 && !positions_go_on(model_.architecture, done, done + count)) {
        cache_->clear();
        first = 0;
        first_begun_ = begun_ > 0 ? first_begun_ : done;
        begun_ = done;
      }
      ForwardCall part{.ids = std::span(ids_).subspan(first, done + count - first)};
      part.text_offset = first;
      part.first_recorded = done - first;
      part.text_tokens = all;
      part.cache = cache_.get();
      require_done(loaded_->forward(part, plan_, record, progress_));
      done += count;
    };
    call(all / 3);
    for (std::int64_t i = 0; i < all / 4; ++i) { call(1); }
    call(5);
    call(all / 5);
    while (done < all) { call(1); }
    return record;
  }

  bool same_bits(const Record& one, const Record& other) const {
    for (const auto& [name, values] : one.of) {
      const std::vector<float>& more = other.of.at(name).values;
      if (values.values.size() != more.size() ||
          std::memcmp(values.values.data(), more.data(), more.size() * sizeof(float)) != 0) {
        std::cout << "WRONG  " << folder_ << ": the same calls give other bits in " << name << '\n';
        return false;
      }
    }
    return true;
  }

  // Tokens before the first whose experts differ at a near tie, after which others may.
  static std::int64_t tokens_that_agree(const Record& whole, const Record& parts,
                                        std::int64_t first, std::int64_t last) {
    std::int64_t agree = last;
    for (const auto& [row, margin] : whole.margin) {
      const std::string name = join_words("pass ", row.first, " layer ", row.second, " expert");
      const Values &one = whole.of.at(name), &other = parts.of.at(name);
      for (std::int64_t t = first; t < agree; ++t) {
        const auto begin = one.values.begin() + t * one.width;
        const bool same =
            std::equal(begin, begin + one.width, other.values.begin() + t * other.width);
        if (!same && margin.values[t] < kNearTie) { agree = t; }
      }
    }
    return agree;
  }

  // The largest |difference| of tokens [first, last), in units of the tolerance.
  static double difference(const Values& expected, const Values& found, std::int64_t first,
                           std::int64_t last) {
    double worst = 0;
    for (std::int64_t t = first; t < last; ++t) {
      const std::span row = std::span(expected.values).subspan(t * expected.width, expected.width);
      const double scale = root_mean_square(row);
      for (std::int64_t i = 0; i < expected.width; ++i) {
        const double a = row[i], b = found.values[t * expected.width + i];
        if (std::isnan(a) && std::isnan(b)) { continue; }
        const double apart = std::abs(a - b) / (kTolerance * (1 + std::max(scale, std::abs(a))));
        worst = std::isnan(apart) ? 1e30 : std::max(worst, apart);
      }
    }
    return worst;
  }

  static double root_mean_square(std::span<const float> row) {  // of those that are numbers
    double sum = 0;
    for (const float value : row) { sum += std::isnan(value) ? 0 : double(value) * value; }
    return std::sqrt(sum / double(row.size()));
  }

  const std::string folder_;
  const Model model_;
  RunPlan plan_;
  std::vector<std::int32_t> ids_;
  NoProgress progress_;
  std::unique_ptr<EngineModel> loaded_;
  std::unique_ptr<TokenCache> cache_;
  // Where the text was last run from its start again, since its length turned positions otherwise;
  // and where that was for the first time.
  bool grown_ = false;
  std::int64_t begun_ = 0, first_begun_ = 0;
};

// Those of a folder of the oracle, sorted.
void add_oracle(const std::string& name, std::vector<std::string>& models) {
  const char* oracle = std::getenv("KAPPASCOPE_ORACLE");
  require(oracle && *oracle, ExitCode::io, {}, "KAPPASCOPE_ORACLE does not name the oracle");
  const auto before = std::ssize(models);
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(oracle) / name)) {
    if (entry.is_directory()) { models.push_back(entry.path().string()); }
  }
  std::sort(models.begin() + before, models.end());
}

int check_all(int argc, char** argv) {
  LoadOptions options;
  std::vector<std::string> models;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--plain") {
      options.plain = true;
    } else if (word == "--cuda") {
      options.device = ComputeDevice::cuda;
    } else if (word == "--oracle") {
      add_oracle(argv[++i], models);
    } else {
      models.push_back(argv[i]);
    }
  }
  bool good = !models.empty();
  for (const std::string& model : models) {
    try {
      good = Check(model, options).run() && good;
    } catch (const Error& error) {
      if (error.code() == ExitCode::gpu) { throw; }
      std::cout << "WRONG  " << model << ": " << error.what() << '\n';
      good = false;
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  try {
    return kappascope::check_all(argc, argv);
  } catch (const kappascope::Error& error) {
    std::cerr << "kappascope_check_decode: " << error.what() << '\n';
    const bool skipped =
        error.code() == kappascope::ExitCode::gpu || error.code() == kappascope::ExitCode::io;
    return skipped ? 77 : 1;
  }
}
