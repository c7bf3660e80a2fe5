#include "core/trace/side_totals.h"

#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "core/trace/recorded_fields.h"

namespace kappascope {

void SideTotals::add(const GateStats& stats) {
  static_assert(kSideGates + kGateFields.size() == kSideNumbers.size());
  for (std::size_t i = 0; i < kGateFields.size(); ++i) {
    numbers[kSideGates + i].add(stats.*kGateFields[i].value);
  }
}

void SideTotals::add(const SideTotals& other) {
  if (kappa.empty()) { kappa = other.kappa; }
  for (std::size_t i = 0; i < numbers.size(); ++i) { numbers[i].add(other.numbers[i]); }
}

double SideTotals::mean(std::string_view number) const {
  const auto found = std::find(kSideNumbers.begin(), kSideNumbers.end(), number);
  require(found != kSideNumbers.end(), ExitCode::internal, {}, "a number of a dense layer called ",
          number);
  return numbers[std::size_t(found - kSideNumbers.begin())].mean();
}

bool SideTotals::consistent() const {
  return layer >= 0 && pass >= 0 &&
         std::all_of(numbers.begin(), numbers.end(), [](const NumberTotals& number) {
           return number.count >= 0 && number.quantiles.consistent();
         });
}

void add_sides(std::vector<SideTotals>& to, const std::vector<SideTotals>& from) {
  for (const SideTotals& side : from) { side_of(to, side.layer, side.pass).add(side); }
}

SideTotals& side_of(std::vector<SideTotals>& sides, std::int64_t layer, std::int64_t pass) {
  const auto place = std::lower_bound(
      sides.begin(), sides.end(), std::tuple(pass, layer), [](const SideTotals& a, const auto& b) {
        return std::tuple<std::int64_t, std::int64_t>(a.pass, a.layer) < b;
      });
  if (place != sides.end() && place->layer == layer && place->pass == pass) { return *place; }
  SideTotals side;
  side.layer = std::int32_t(layer);
  side.pass = std::int32_t(pass);
  return *sides.insert(place, std::move(side));
}

}  // namespace kappascope
