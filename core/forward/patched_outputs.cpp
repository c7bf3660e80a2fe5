#include "core/forward/patched_outputs.h"

#include <algorithm>
#include <vector>

#include "core/forward/backend.h"
#include "core/forward/layer_record.h"

namespace kappascope {
namespace {

// The tokens of the text, among those that the call records, that a patch is of.
std::vector<std::int64_t> tokens_of(const PatchedOutputs& patch, const CallContext& context) {
  const std::int64_t first = context.first_token();
  const std::int64_t end = context.call.text_offset + context.tokens();
  std::vector<std::int64_t> tokens;
  for (const std::int64_t t : patch.tokens) {
    if (t >= first && t < end) { tokens.push_back(t); }
  }
  for (std::int64_t t = first; patch.tokens.empty() && t < end; ++t) { tokens.push_back(t); }
  return tokens;
}

// What was recorded as context of a later call was not kept: those rows stay as they are.
at::Tensor patched(const at::Tensor& output, const PatchedOutputs& patch, std::int64_t row,
                   const CallContext& context) {
  const GivenOutputs& from = *patch.from;
  const std::vector<std::int64_t> tokens = tokens_of(patch, context);
  if (tokens.empty()) { return output; }
  const at::Tensor rows = at::empty({std::ssize(tokens)}, at::kLong);
  const at::Tensor values = at::empty({std::ssize(tokens), from.width}, at::kFloat);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    rows.mutable_data_ptr<std::int64_t>()[i] = tokens[i] - context.call.text_offset;
    const float* given = from.output.data() + (row * from.tokens + tokens[i]) * from.width;
    std::copy_n(given, from.width, values.mutable_data_ptr<float>() + std::int64_t(i) * from.width);
  }
  // Not in place: a copy of the layer's own output may be on its way to the host.
  return output.index_copy(0, rows.to(output.device()),
                           values.to(output.device(), output.scalar_type()));
}

}  // namespace

at::Tensor patched_output(const at::Tensor& output, std::int64_t layer, std::int64_t pass,
                          const CallContext& context) {
  at::Tensor result = output;
  for (const PatchedOutputs& patch : context.plan.layers[layer].patches) {
    const std::int64_t row = patch.row[pass];
    if (row >= 0) { result = patched(result, patch, row, context); }
  }
  if (context.wants.outputs) { give_rows_to_probe(result, layer, pass, &Probe::output, context); }
  return result;
}

}  // namespace kappascope
