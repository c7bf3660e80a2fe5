// What a model folder is made of in one text: its configuration, and behind a NUL the tensors
// beside it, lines of "NAME DTYPE LENGTH,LENGTH", "-" where there is no length.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "core/model/description.h"
#include "core/model/end_tokens.h"
#include "core/model/model.h"

namespace kappascope::testing {

struct TensorLine {
  std::string name, dtype;  // dtype as safetensors spells it: "BF16"
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;
};

inline std::vector<TensorLine> tensor_lines(const std::string& text) {
  std::istringstream rows(text);
  std::vector<TensorLine> lines;
  for (std::string name, dtype, lengths; rows >> name >> dtype >> lengths;) {
    TensorLine& line = lines.emplace_back(TensorLine{name, dtype, {}, 0});
    line.bytes = dtype == "F32" ? 4 : dtype == "U8" || dtype == "F8_E4M3" ? 1 : 2;
    std::istringstream shape(lengths == "-" ? "" : lengths);
    for (std::string length; std::getline(shape, length, ',');) {
      line.shape.push_back(std::int64_t(std::strtoull(length.c_str(), nullptr, 10)));
      line.bytes *= std::uint64_t(line.shape.back());
    }
  }
  return lines;
}

inline std::string line_of(const std::string& name, DType dtype,
                           const std::vector<std::int64_t>& shape) {
  const bool wide = dtype == DType::float32, byte = dtype == DType::uint8;
  std::string lengths;
  for (const std::int64_t length : shape) {
    lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
  }
  return name +
         (wide   ? " F32 "
          : byte ? " U8 "
                 : " BF16 ") +
         (lengths.empty() ? "-" : lengths) + "\n";
}

inline std::string lines_of(const TensorFile& file) {
  std::string lines;
  for (const TensorInfo& tensor : file.tensors()) {
    lines += line_of(tensor.name, tensor.dtype, tensor.shape);
  }
  return lines;
}

// Parts that fit together, or the program ends.
inline void check_model(const Model& model) {
  const std::size_t layers = model.architecture.layers.size();
  if (layers == 0 || model.kappa.size() != layers) { std::abort(); }
  if (count_parameters(model).total < 0 || layer_ranges(model).empty()) { std::abort(); }
  first_score(model.architecture);
  end_tokens(model);
}

}  // namespace kappascope::testing
