// Which of the sets of κ parameters of a checkpoint is read: by pass, or the base's or the SFT's by
// its folder (SPEC-layouts §1.2b).
#include "core/model/families/nanochat_kappa.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/model/families/nanochat_weights.h"

namespace kappascope::nanochat {
namespace {

// The marked folder that is nearest: of the model folder and its three parents.
struct SideFolder {
  KappaSide side = KappaSide::base;
  std::string folder;  // "" when none is marked
};
SideFolder side_above(std::filesystem::path folder) {
  for (int up = 0; up < 4; ++up, folder = folder.parent_path()) {
    const std::string name = folder.filename().string();
    if (name == "chatsft_checkpoints" || name == "chatrl_checkpoints") {
      return {KappaSide::sft, name};
    }
    if (name == "base_checkpoints" || name == "base_mixed_checkpoints") {
      return {KappaSide::base, name};
    }
  }
  return {};
}

// cos(W₀, W₁) of the two parts of a κ router: copies that went on by themselves stay alike.
double cosine_of_parts(const std::vector<float>& both) {
  const std::size_t half = both.size() / 2;
  double product = 0, first = 0, second = 0;
  for (std::size_t i = 0; i < half; ++i) {
    product += double(both[i]) * both[half + i];
    first += double(both[i]) * both[i];
    second += double(both[half + i]) * both[half + i];
  }
  return product / std::sqrt(first * second);
}

SideFolder side_as_named(const Model& model) {
  return side_above(std::filesystem::absolute(model.files.weights).parent_path());
}

// By the folder as it is named and, where links lead elsewhere, by the real one, which counts: what
// was trained is in the file.
SideFolder side_by_folder(const Model& model) {
  std::error_code gone;
  const std::filesystem::path real = std::filesystem::canonical(model.files.weights, gone);
  const SideFolder found = gone ? SideFolder{} : side_above(real.parent_path());
  return found.folder.empty() ? side_as_named(model) : found;
}

void warn_of_link(Model& model, const SideFolder& real) {
  const SideFolder named = side_as_named(model);
  if (named.folder.empty() || named.side == real.side) { return; }
  model.warnings.push_back(describe(
      {.file = model.files.weights.native()},
      join_words("a link from ", named.folder, " to ", real.folder, ": the real folder counts, ",
                 "--kappa-slot ", name(named.side), " is the other reading")));
}

// A layer's κ router of two sets; nullptr: it has one, or none.
const TensorInfo* two_kappa_routers(const Model& model, const Config& config, std::int64_t layer) {
  const TensorInfo* router = model.weights.tensor(Role::kappa_router, layer);
  return router && router->shape[0] == 2 * config.n_exp ? router : nullptr;
}

bool has_two_kappa_routers(const Model& model, const Config& config) {
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (two_kappa_routers(model, config, layer)) { return true; }
  }
  return false;
}

// Where κ was on in SFT alone.
void warn_of_base(Model& model, KappaSide side) {
  if (side != KappaSide::base) { return; }
  model.warnings.push_back(
      describe({.file = model.files.meta.native()},
               "use_kappa_swiglu_sft_only: κ was off in base training and its validation; --kappa "
               "off runs it so"));
}

void warn_of_sft(Model& model, const Config& config, SftKappa reading) {
  double most = 0;
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (const TensorInfo* router = two_kappa_routers(model, config, layer)) {
      most = std::max(most, cosine_of_parts(model.tensors->floats(*router)));
    }
  }
  char cosine[96] = "";
  if (most > 0.5) {
    std::snprintf(cosine, sizeof cosine,
                  "; the two parts of a κ router are alike (cosine %.2f), as independent ones are",
                  most);
  }
  const char* other = reading == SftKappa::residual ? "independent" : "residual";
  model.warnings.push_back(describe(
      {.file = model.files.weights.native()},
      join_words("SFT slot of κ read as ", name(reading), ": nothing in the file says which; ",
                 "--sft-kappa ", other, " is the other reading", cosine)));
}

}  // namespace

KappaSlots kappa_slots(Model& model, const Config& config, const KappaChoices& choices,
                       Faults& faults) {
  KappaSlots slots;
  for (const KappaParameters& kappa : model.kappa) {
    slots.count = std::max(slots.count, kappa.slots);
  }
  if (!config.separate_base_sft_kappa) {
    require(!choices.side && !choices.sft, ExitCode::usage, {.file = model.files.meta.native()},
            "--kappa-slot and --sft-kappa are for checkpoints ",
            "with base and SFT slots; separate_base_sft_kappa is not true here");
    const std::int64_t passes = config.total_ut_steps;
    if (slots.count > 1) {
      model.findings.push_back(join_words("κ slots: ", slots.count, ", one per pass"));
    }
    if (slots.count > passes || (slots.count > 1 && slots.count < passes)) {
      model.warnings.push_back(describe(
          {.file = model.files.weights.native()},
          join_words(slots.count, " slots of κ for ", passes, passes == 1 ? " pass" : " passes",
                     ": pass t uses slot min(t, ", slots.count - 1, ")")));
    }
    if (config.sft_only_kappa) { warn_of_base(model, side_by_folder(model).side); }
    return slots;
  }
  if (slots.count > 2) {
    faults.add(ExitCode::damaged, "", "slots of κ: expected 1 or 2 with separate_base_sft_kappa, ",
               "found ", slots.count);
  }
  const SideFolder folder = side_by_folder(model);
  warn_of_link(model, folder);
  slots.side = choices.side.value_or(folder.side);
  slots.sft = choices.sft.value_or(SftKappa::residual);
  // One set has no other reading.
  const bool reads_two =
      *slots.side == KappaSide::sft && (slots.count > 1 || has_two_kappa_routers(model, config));
  model.findings.push_back(join_words("κ slot ", name(*slots.side), ": ",
                                      choices.side            ? "as asked for"
                                      : folder.folder.empty() ? "no folder is marked as SFT"
                                                              : "the folder is in " + folder.folder,
                                      reads_two ? join_words(", read as ", name(slots.sft)) : ""));
  if (reads_two && !choices.sft) { warn_of_sft(model, config, slots.sft); }
  if (config.sft_only_kappa) { warn_of_base(model, *slots.side); }
  return slots;
}

}  // namespace kappascope::nanochat
