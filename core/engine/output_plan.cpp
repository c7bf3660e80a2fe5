#include "core/engine/output_plan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "core/error.h"

namespace kappascope {

std::string problem_of(const Model& model, const GivenOutputs& outputs) {
  if (outputs.config_sha256 != model.config_sha256) {
    return join_words("recorded of another model; expected config_sha256 ", model.config_sha256,
                      ", found ", outputs.config_sha256);
  }
  if (outputs.directory_sha256 != model.directory_sha256) {
    return join_words("recorded of another checkpoint; expected tensor_directory_sha256 ",
                      model.directory_sha256, ", found ", outputs.directory_sha256);
  }
  if (outputs.step != model.files.step) {
    const auto text = [](const std::optional<std::int64_t>& step) {
      return step ? std::to_string(*step) : std::string("none");
    };
    return join_words("recorded at another step of training; expected ", text(model.files.step),
                      ", found ", text(outputs.step));
  }
  if (outputs.width != model.architecture.width) {
    return join_words("width of the outputs; expected ", model.architecture.width, ", found ",
                      outputs.width);
  }
  return "";
}

std::vector<std::int64_t> layers_of(const GivenOutputs& outputs) {
  std::vector<std::int64_t> layers(outputs.layer.begin(), outputs.layer.end());
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

std::string place_outputs(RunPlan& plan, const std::shared_ptr<const GivenOutputs>& outputs,
                          std::int64_t layer, const std::vector<std::int64_t>& tokens) {
  if (layer < 0 || layer >= std::ssize(plan.layers)) {
    return join_words("layer ", layer, "; expected 0 to ", plan.layers.size() - 1);
  }
  if (!plan.layers[layer].spec->moe()) { return join_words("layer ", layer, " has no experts"); }
  PatchedOutputs patch{outputs, std::vector<std::int64_t>(std::size_t(plan.passes), -1), tokens};
  for (std::size_t r = 0; r < outputs->layer.size(); ++r) {
    if (outputs->layer[r] != layer || outputs->pass[r] >= plan.passes) { continue; }
    std::int64_t& row = patch.row[outputs->pass[r]];
    if (row >= 0) { return join_words("layer ", layer, ", pass ", outputs->pass[r], " twice"); }
    row = std::int64_t(r);
  }
  const auto missing = std::find(patch.row.begin(), patch.row.end(), -1);
  if (missing != patch.row.end()) {
    return join_words("layer ", layer, ", pass ", missing - patch.row.begin(),
                      ": its outputs were not recorded");
  }
  plan.layers[layer].patches.push_back(std::move(patch));
  return "";
}

void check_tokens(const GivenOutputs& outputs, std::int64_t tokens) {
  require(outputs.tokens == tokens, ExitCode::unsupported, {.file = outputs.file},
          "patch: recorded of a text of another length; expected ", tokens, " tokens, found ",
          outputs.tokens);
}

}  // namespace kappascope
