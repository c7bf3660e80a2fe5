// A part of a figure along recorded layers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// Leaves of everything that runs along recorded layers those of the model's layers that are listed
// (ascending); `layer_index` [M] has the layer of each row of the trace. Colours stay those of the
// whole. False: nothing in the figure runs along layers, and it is as it was. Errors: usage, when
// none of the layers was recorded.
bool keep_layers(Figure& figure, const std::vector<std::int64_t>& layers,
                 std::span<const std::int32_t> layer_index);

// Such a list in the name of a file: "0-3_7".
std::string layers_word(const std::vector<std::int64_t>& layers);

}  // namespace kappascope
