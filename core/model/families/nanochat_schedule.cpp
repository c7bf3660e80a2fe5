#include "core/model/schedule.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace kappascope {
namespace {

constexpr double kMostSteps = 1e15;  // a larger number is no count of steps

// The first of the fields that holds a number from 0 on: newer and older name.
std::optional<double> number(const Json& user, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = user.find(name);
    if (found == user.end() || !found->is_number()) { continue; }
    const double value = found->get<double>();
    if (value >= 0 && value < kMostSteps) { return value; }
  }
  return {};
}

}  // namespace

std::optional<std::int64_t> warm_up_end(const Model& model) {
  const bool nanochat = model.files.kind == FolderKind::nanochat && !model.files.meta.empty();
  if (!nanochat || !model.architecture.has_kappa()) { return {}; }
  const std::string file = model.files.meta.string();
  const Json meta = parse_json(read_text_file(file, kMetaLimit), file, NotFinite::numbers);
  const auto user = meta.find("user_config");
  if (user == meta.end() || !user->is_object()) { return {}; }
  const auto share = number(*user, {"kappa_slope_max_scale_warmup_iteration_frac"});
  const auto steps =
      number(*user, {"kappa_lr_warmup_iterations", "kappa_bias_lr_warmup_iterations"});
  if (!share && !steps) { return {}; }
  double all = number(*user, {"num_iterations"}).value_or(0);
  if (all == 0 && !model.files.steps.empty()) {
    all = static_cast<double>(model.files.steps.back());
  }
  const double least =
      number(*user, {"kappa_delay_start_min_iterations", "kappa_bias_delay_start_min_iterations"})
          .value_or(0);
  const double part =
      number(*user, {"kappa_delay_start_iteration_frac", "kappa_bias_delay_start_iteration_frac"})
          .value_or(0);
  // The trainer rounds each of the two up.
  const double delay = std::max(least, std::ceil(part * all));
  const double end = delay + (share ? std::ceil(*share * all) : *steps);
  if (!(end < kMostSteps)) { return {}; }
  return static_cast<std::int64_t>(std::ceil(end));
}

}  // namespace kappascope
