#include "core/model/families/hf.h"

#include <utility>

#include "core/model/reading.h"

namespace kappascope::hf {

void finish(Model& model, Config& config, const Sizes& sizes, std::vector<LayerSpec> layers,
            const ExpertNames& names, bool eight_bits) {
  config.faults().throw_if_any();
  config.fill(model.architecture, sizes, std::move(layers));
  Faults faults(model.files.weights.string());
  assign_roles(model, names, sizes.tied, eight_bits, faults);
  faults.throw_if_any();
  const LayerSpec* moe = model.architecture.first_moe();
  model.findings.push_back(
      join_words("κ is not learned: it is ", moe ? moe->moe()->gate.kappa : 1.0, " in every gate"));
  model.kappa.resize(model.architecture.layers.size());
  model.document = config.fields().resolved();
  model.unknown_fields = config.fields().unknown();
  Leftovers left = leftovers(model, names.front);
  model.unknown_tensors = std::move(left.unknown);
  for (const auto& [kind, tensors] : left.by_rule) {
    model.notes.push_back("left out, " + kind + ": " + listed(tensors));
  }
}

}  // namespace kappascope::hf
