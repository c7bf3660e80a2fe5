// Tensors of any names, types, shapes and values, written as `train` writes them: what the reader
// of .pt files finds is what was given.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <set>

#include "core/checkpoint/torch_pt.h"
#include "core/checkpoint/torch_writer.h"
#include "core/utf8.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"

namespace {

using namespace kappascope;

struct GivenTensor {
  TorchTensor tensor;
  std::string bytes;
};

std::vector<GivenTensor> given_by(FuzzedDataProvider& data) {
  constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::int64,
                              DType::int32,   DType::uint8,    DType::boolean, DType::float64};
  std::vector<GivenTensor> all;
  std::set<std::string> names;
  for (int i = 0; i < 5 && (i == 0 || data.remaining_bytes() > 0); ++i) {
    GivenTensor one;
    one.tensor.name = data.ConsumeRandomLengthString(16);
    if (!is_utf8(one.tensor.name) || !names.insert(one.tensor.name).second) {
      one.tensor.name = "tensor." + std::to_string(i);
      if (!names.insert(one.tensor.name).second) { continue; }
    }
    one.tensor.dtype = data.PickValueInArray(kTypes);
    std::size_t size = dtype_bytes(one.tensor.dtype);
    for (int axes = data.ConsumeIntegralInRange(0, 3); axes > 0; --axes) {
      one.tensor.shape.push_back(data.ConsumeIntegralInRange<std::int64_t>(0, 9));
      size *= std::size_t(one.tensor.shape.back());
    }
    one.bytes = data.ConsumeBytesAsString(size);
    one.bytes.resize(size);
    all.push_back(one);
  }
  return all;
}

}  // namespace

void kappascope::testing::fuzz_torch_writer(const std::uint8_t* bytes, std::size_t size) {
  static const testing::TempFolder folder;
  FuzzedDataProvider data(bytes, size);
  const std::vector<GivenTensor> all = given_by(data);
  std::vector<TorchTensor> tensors;
  for (const GivenTensor& one : all) { tensors.push_back(one.tensor); }
  std::size_t at = 0;
  write_torch_pt(folder / "model.pt", tensors,
                 [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
                   sink(std::as_bytes(std::span(all[at++].bytes)));
                 });
  const TensorFile file = read_torch_pt(folder / "model.pt");
  if (!file.wrappers().empty()) { return; }  // parts of names that the reader leaves out
  if (file.tensors().size() != all.size()) { std::abort(); }
  for (const GivenTensor& one : all) {
    const TensorInfo* found = file.find(one.tensor.name);
    if (found == nullptr || found->dtype != one.tensor.dtype || found->shape != one.tensor.shape) {
      std::abort();
    }
    const auto stored = file.data(*found);
    const auto wanted = std::as_bytes(std::span(one.bytes));
    if (!std::equal(stored.begin(), stored.end(), wanted.begin(), wanted.end())) { std::abort(); }
  }
}
