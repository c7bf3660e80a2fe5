#include "core/checkpoint/tensor_call.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kappascope {
namespace {

using Kind = PickleValue::Kind;

// A function of torch and its arguments, whatever form the call has in the pickle.
struct Call {
  std::string_view function;
  const std::vector<PickleId>* arguments = nullptr;
};

// The arguments in front of the tensor's own, and how many there are.
struct Wrapper {
  std::string_view function;
  std::size_t least, most;
};
constexpr std::array<Wrapper, 2> kParameters = {
    {{"torch._utils _rebuild_parameter", 3, 3},
     {"torch._utils _rebuild_parameter_with_state", 4, 4}}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOtherTensors = {
    {{"torch._utils _rebuild_sparse_tensor", "a sparse tensor"},
     {"torch._utils _rebuild_qtensor", "a quantized tensor"},
     {"torch._utils _rebuild_nested_tensor", "a nested tensor"},
     {"torch._utils _rebuild_meta_tensor_no_storage", "a tensor without numbers (device meta)"}}};

class CallReader {
 public:
  CallReader(const Pickle& pickle, std::string& broken) : pickle_(pickle), broken_(broken) {}

  std::optional<TensorCall> read(const PickleValue& value) {
    std::optional<Call> call = call_of(value);
    // A parameter with attributes of a tensor with attributes: no more than a few deep.
    for (int depth = 0; call && depth < 8; ++depth) {
      if (const auto plain = plain_tensor(*call)) { return plain; }
      if (!broken_.empty()) { return std::nullopt; }
      call = unwrapped(*call);
    }
    return std::nullopt;
  }

 private:
  const PickleValue& at(PickleId id) const { return pickle_.at(id); }

  std::optional<Call> call_of(const PickleValue& value) const {
    if (value.kind != Kind::object) { return std::nullopt; }
    return Call{at(value.items[0]).text, &at(value.items[1]).items};
  }

  bool counts(std::string_view what, std::size_t least, std::size_t most, std::size_t found) {
    if (found >= least && found <= most) { return true; }
    broken_ = join_words(what, " has ", least, " arguments, found ", found);
    return false;
  }

  // (storage, offset, size, stride[, requires_grad, backward_hooks[, dtype, metadata]])
  std::optional<TensorCall> plain_tensor(const Call& call) {
    for (const auto& [function, what] : kOtherTensors) {
      if (call.function == function) { return TensorCall{what}; }
    }
    const bool v1 = call.function == "torch._utils _rebuild_tensor";
    const bool v2 = call.function == "torch._utils _rebuild_tensor_v2";
    const bool v3 = call.function == "torch._utils _rebuild_tensor_v3";
    if (!v1 && !v2 && !v3) { return std::nullopt; }
    const std::vector<PickleId>& arguments = *call.arguments;
    const std::size_t least = v1 ? 4 : v2 ? 6 : 7;
    if (!counts("a plain tensor", least, v1 ? 4 : v2 ? 7 : 8, arguments.size())) {
      return std::nullopt;
    }
    return TensorCall{{},
                      &at(arguments[0]),
                      &at(arguments[1]),
                      &at(arguments[2]),
                      &at(arguments[3]),
                      v3 ? &at(arguments[6]) : nullptr};
  }

  // (tensor, requires_grad, backward_hooks[, state]) and (function, type, arguments, state)
  std::optional<Call> unwrapped(const Call& call) {
    const std::vector<PickleId>& arguments = *call.arguments;
    for (const Wrapper& wrapper : kParameters) {
      if (call.function != wrapper.function) { continue; }
      if (!counts("a parameter", wrapper.least, wrapper.most, arguments.size())) {
        return std::nullopt;
      }
      return call_of(at(arguments[0]));
    }
    if (call.function != "torch._tensor _rebuild_from_type_v2") { return std::nullopt; }
    if (!counts("a tensor with attributes", 4, 4, arguments.size())) { return std::nullopt; }
    const PickleValue& function = at(arguments[0]);
    const PickleValue& inner = at(arguments[2]);
    if (function.kind != Kind::global || inner.kind != Kind::tuple) { return std::nullopt; }
    return Call{function.text, &inner.items};
  }

  const Pickle& pickle_;
  std::string& broken_;
};

}  // namespace

std::optional<TensorCall> read_tensor_call(const Pickle& pickle, const PickleValue& value,
                                           std::string& broken) {
  return CallReader(pickle, broken).read(value);
}

std::optional<DType> dtype_of(std::string_view global) {
  struct Row {
    std::string_view storage, dtype;
    DType is;
  };
  constexpr std::array<Row, 8> kRows = {
      {{"torch FloatStorage", "torch float32", DType::float32},
       {"torch DoubleStorage", "torch float64", DType::float64},
       {"torch BFloat16Storage", "torch bfloat16", DType::bfloat16},
       {"torch HalfStorage", "torch float16", DType::float16},
       {"torch LongStorage", "torch int64", DType::int64},
       {"torch IntStorage", "torch int32", DType::int32},
       {"torch ByteStorage", "torch uint8", DType::uint8},
       {"torch BoolStorage", "torch bool", DType::boolean}}};
  for (const Row& row : kRows) {
    if (global == row.storage || global == row.dtype) { return row.is; }
  }
  return std::nullopt;
}

std::string number_name(std::string_view global) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kStorages = {
      {{"torch ComplexFloatStorage", "complex64"},
       {"torch ComplexDoubleStorage", "complex128"},
       {"torch ShortStorage", "int16"},
       {"torch CharStorage", "int8"}}};
  for (const auto& [storage, name] : kStorages) {
    if (global == storage) { return std::string(name); }
  }
  return std::string(global.substr(std::min(global.size(), global.find(' ') + 1)));
}

}  // namespace kappascope
