#include "core/model/weights.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace kappascope {

bool Stored::is_bfloat16() const {
  const auto narrow = [](const TensorInfo* one) { return one->dtype == DType::bfloat16; };
  return narrow(tensor) && std::all_of(experts.begin(), experts.end(), narrow);
}

std::int64_t Stored::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) { count *= extent; }
  return count;
}

std::vector<const TensorInfo*> Stored::tensors() const {
  std::vector<const TensorInfo*> all = experts;
  if (experts.empty() && tensor != nullptr) { all.push_back(tensor); }
  all.insert(all.end(), scales.begin(), scales.end());
  return all;
}

std::int32_t& WeightTable::place(Role role, std::int64_t layer) {
  while (std::ssize(places_) < layer + 2) { places_.emplace_back().fill(-1); }
  return places_[layer + 1][std::size_t(role)];
}

void WeightTable::add(Stored stored) {
  place(stored.role, stored.layer) = std::int32_t(all_.size());
  all_.push_back(std::move(stored));
}

void WeightTable::share(Role role, std::int64_t layer, std::int64_t of_layer) {
  const std::int32_t shared = place(role, of_layer);
  place(role, layer) = shared;
}

void WeightTable::tie(Role role, Role of) {
  const std::int32_t shared = place(of, -1);
  place(role, -1) = shared;
}

const Stored* WeightTable::find(Role role, std::int64_t layer) const {
  if (layer < -1 || layer + 1 >= std::ssize(places_)) { return nullptr; }
  const std::int32_t at = places_[layer + 1][std::size_t(role)];
  return at < 0 ? nullptr : &all_[at];
}

const TensorInfo* WeightTable::tensor(Role role, std::int64_t layer) const {
  const Stored* stored = find(role, layer);
  return stored == nullptr ? nullptr : stored->tensor;
}

const TensorInfo& WeightTable::required(Role role, std::int64_t layer) const {
  const TensorInfo* found = tensor(role, layer);
  require(found != nullptr, ExitCode::internal, {}, "weight ", int(role), " of layer ", layer,
          " is not in this model");
  return *found;
}

}  // namespace kappascope
