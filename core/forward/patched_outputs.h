// Outputs of MoE layers that another run gave, in the place of a layer's own (SPEC §9, patch).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/forward/feed_forward.h"

namespace kappascope {

// What an MoE layer gives, [T,H], with the rows of the call that the plan replaces; then RowsTap.
at::Tensor patched_output(const at::Tensor& output, std::int64_t layer, std::int64_t pass,
                          const CallContext& context);

}  // namespace kappascope
