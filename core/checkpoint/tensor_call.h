// What a pickle of torch.save says of one tensor: a call of one of torch's _rebuild_ functions.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "core/checkpoint/pickle.h"
#include "core/checkpoint/tensor.h"

namespace kappascope {

// The functions and classes that are understood; objects of all others are no tensors.
inline constexpr std::array<std::string_view, 19> kTorchGlobals = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_sparse_tensor",
    "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_nested_tensor",
    "torch._utils _rebuild_meta_tensor_no_storage",
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch BFloat16Storage",
    "torch HalfStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ByteStorage",
    "torch BoolStorage"};

// Arguments of a plain tensor, of a parameter or of a tensor with attributes, unwrapped.
struct TensorCall {
  std::string_view other =
      {};  // not empty: a tensor of this kind, which is not read; the rest is null
  const PickleValue* storage = nullptr;  // persistent id
  const PickleValue* offset = nullptr;   // elements of the storage
  const PickleValue* shape = nullptr;
  const PickleValue* strides = nullptr;
  const PickleValue* dtype = nullptr;  // of an untyped storage; null: that of the storage
};

// Nothing: the value is no tensor. A call with a wrong number or kind of arguments: `broken` says
// what is wrong.
std::optional<TensorCall> read_tensor_call(const Pickle& pickle, const PickleValue& value,
                                           std::string& broken);

// "torch FloatStorage" → float32, "torch float32" likewise; nothing for what is not read.
std::optional<DType> dtype_of(std::string_view global);

// "torch float8_e4m3fn" and "torch ComplexFloatStorage" → the name of the numbers, for messages.
std::string number_name(std::string_view global);

}  // namespace kappascope
