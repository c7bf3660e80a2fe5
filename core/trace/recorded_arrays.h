// Which layers and which arrays a trace has, as model, plan and settings say.
#pragma once

#include <cstdint>
#include <vector>

#include "core/trace/in_force.h"
#include "core/trace/recorder.h"
#include "core/trace/schema.h"

namespace kappascope {

struct RecordedArrays {
  RecordedArrays(const Model& model, const RunPlan& plan, const TokenizedText& text,
                 const TraceSettings& settings);

  // Of the model, ascending; of lens_layers both kinds.
  std::vector<std::int64_t> moe_layers, dense_layers, shared_layers, lens_layers;
  Extents extents;
  ParametersInForce in_force;
  bool selection_scores = false, learned_kappa = false, clamped = false;  // in a recorded layer
  bool soft = false;  // soft routing; the extent of Axis::slot then is that of all experts

  // How many of an array's axes are recorded; 0: it is not.
  std::size_t axes_of(const ArraySchema& schema) const;

 private:
  void set_extents(const Architecture& architecture, std::int64_t passes);
  bool records(ArrayGroup group) const;
  // As the settings want.
  bool gates_, logits_, outputs_, lens_, against_, ablation_, patching_, chat_, generated_;
};

// The settings with every layer named where they name none.
TraceSettings with_layers(TraceSettings settings, const Model& model);

}  // namespace kappascope
