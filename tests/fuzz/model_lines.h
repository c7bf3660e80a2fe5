// What a model folder is made of in one text: its configuration, and behind a NUL the tensors
// beside it, lines of "NAME DTYPE LENGTH,LENGTH", "-" where there is no length.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/description.h"
#include "core/model/end_tokens.h"
#include "core/model/model.h"

namespace kappascope::testing {

// What a type of numbers is called in each form of weights; "" where torch has no storage of it.
struct DTypeNames {
  DType dtype;
  const char *safetensors, *storage;
};
inline constexpr DTypeNames kDTypeNames[] = {{DType::float32, "F32", "FloatStorage"},
                                             {DType::bfloat16, "BF16", "BFloat16Storage"},
                                             {DType::float16, "F16", "HalfStorage"},
                                             {DType::int64, "I64", "LongStorage"},
                                             {DType::int32, "I32", "IntStorage"},
                                             {DType::uint8, "U8", "ByteStorage"},
                                             {DType::boolean, "BOOL", "BoolStorage"},
                                             {DType::float64, "F64", "DoubleStorage"},
                                             {DType::int8, "I8", "CharStorage"},
                                             {DType::int16, "I16", "ShortStorage"},
                                             {DType::uint16, "U16", ""},
                                             {DType::uint32, "U32", ""},
                                             {DType::uint64, "U64", ""},
                                             {DType::float8_e4m3, "F8_E4M3", ""},
                                             {DType::float8_e5m2, "F8_E5M2", ""},
                                             {DType::float8_e8m0, "F8_E8M0", ""}};

// nullptr: safetensors has none of that name.
inline const DTypeNames* dtype_of(std::string_view safetensors) {
  for (const DTypeNames& names : kDTypeNames) {
    if (names.safetensors == safetensors) { return &names; }
  }
  return nullptr;
}

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
    const DTypeNames* const names = dtype_of(dtype);
    line.bytes = names ? dtype_bytes(names->dtype) : 1;  // of no known type: the reader refuses it
    std::istringstream shape(lengths == "-" ? "" : lengths);
    for (std::string length; std::getline(shape, length, ',');) {
      line.shape.push_back(std::int64_t(std::strtoull(length.c_str(), nullptr, 10)));
      line.bytes *= std::uint64_t(line.shape.back());
    }
  }
  return lines;
}

inline std::string line_of(const std::string& name, const std::string& dtype,
                           const std::vector<std::int64_t>& shape) {
  std::string lengths;
  for (const std::int64_t length : shape) {
    lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
  }
  return name + " " + dtype + " " + (lengths.empty() ? "-" : lengths) + "\n";
}
inline std::string line_of(const std::string& name, DType dtype,
                           const std::vector<std::int64_t>& shape) {
  for (const DTypeNames& names : kDTypeNames) {
    if (names.dtype == dtype) { return line_of(name, names.safetensors, shape); }
  }
  std::abort();
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
