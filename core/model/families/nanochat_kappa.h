// How κ of a nanochat checkpoint is to be read: which formula, which slot, which side; and its
// parameters (SPEC-layouts §1.2a, §1.5b–f).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/model/families/nanochat_config.h"
#include "core/model/model.h"

namespace kappascope::nanochat {

// The formula in force: as chosen, else by the marks of the date. Says why in model.findings, and
// in model.warnings where the marks are not certain.
KappaFormula kappa_formula(Model& model, const Config& config, const KappaChoices& choices,
                           Faults& faults);

// The slots that the tensors have, and the side that is read. Errors: usage, when a side is chosen
// of a checkpoint that has none.
KappaSlots kappa_slots(Model& model, const Config& config, const KappaChoices& choices,
                       Faults& faults);

// s of MoE layers, with κ or without; a κ router is added where a layer has one.
KappaScore kappa_score(const Config& config, KappaFormula formula);

// κ of a layer as the formula has it; nothing where κ = 1.
std::optional<KappaSpec> kappa_spec(const Config& config, KappaFormula formula, std::int64_t layer);

// κ of one layer that has it, once every tensor was checked. `values` false: strides and origin
// only.
KappaParameters kappa_parameters(const Model& model, const Config& config, std::int64_t layer,
                                 bool values);

// Tensors and fields of κ that do not go together.
void check_kappa_layout(const Model& model, const Config& config, Faults& faults);

// What else differs from the layout of SPEC §1, one line each with its mark.
std::vector<std::string> layout_findings(const Model& model, const Config& config);

}  // namespace kappascope::nanochat
