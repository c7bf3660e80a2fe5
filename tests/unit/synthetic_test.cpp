#include "tests/tools/synthetic.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "core/checkpoint/torch_pt.h"
#include "core/checkpoint/zip.h"
#include "core/trace/trace.h"
#include "tests/tools/synthetic_trace.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using synthetic::ModelSpec;
using synthetic::ModelTensor;
using testing::TempFolder;

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Synthetic, SameWordsSameBytes) {
  const TempFolder folder;
  ModelSpec spec;
  write_model(folder.path() / "a", spec);
  write_model(folder.path() / "b", spec);
  spec.seed = 2;
  write_model(folder.path() / "c", spec);
  const std::string a = content(folder.path() / "a/model_000100.pt");
  EXPECT_EQ(a, content(folder.path() / "b/model_000100.pt"));
  EXPECT_NE(a, content(folder.path() / "c/model_000100.pt"));
}

// Values that every machine must draw.
TEST(Synthetic, ValuesOfTheSeed) {
  ModelTensor tensor;
  tensor.tensor.name = "transformer.wte.weight";
  tensor.deviation = 1;
  const std::vector<float> expected = {-0x1.28db760000000p+0f, 0x1.28e2640000000p-2f,
                                       -0x1.4e34620000000p-2f, 0x1.0ea5800000000p-1f};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(synthetic::DrawnValues(tensor, 1)[i], expected[i]) << i;
  }
}

TEST(Synthetic, MeanAndDeviationAreAsAsked) {
  ModelTensor tensor;
  tensor.tensor.name = "resid_lambdas";
  tensor.mean = 1;
  tensor.deviation = 0.25;
  constexpr int kCount = 100000;
  double sum = 0, square = 0;
  for (int i = 0; i < kCount; ++i) {
    const double value = synthetic::DrawnValues(tensor, 7)[static_cast<std::uint64_t>(i)];
    sum += value;
    square += (value - 1) * (value - 1);
  }
  EXPECT_NEAR(sum / kCount, 1, 4 * 0.25 / std::sqrt(kCount));
  EXPECT_NEAR(std::sqrt(square / kCount), 0.25, 4 * 0.25 / std::sqrt(2.0 * kCount));
}

TEST(Synthetic, ReadBackAsWritten) {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const TempFolder folder;
    ModelSpec spec;
    spec.dtype = dtype;
    write_model(folder.path(), spec);
    const TensorFile file = read_torch_pt(folder.path() / "model_000100.pt");
    const std::vector<ModelTensor> tensors = model_tensors(spec);
    EXPECT_EQ(file.tensors().size(), tensors.size());
    for (const ModelTensor& tensor : tensors) {
      const TensorInfo* found = file.find(tensor.tensor.name);
      ASSERT_NE(found, nullptr) << tensor.tensor.name;
      EXPECT_EQ(found->shape, tensor.tensor.shape);
      EXPECT_EQ(found->offset % 64, 0u);
      const std::vector<float> values = file.floats(*found);
      // bfloat16 keeps 8 significant bits
      const float room = dtype == DType::float32 ? 0 : 1.0f / 256;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float expected = synthetic::DrawnValues(tensor, spec.seed)[i];
        ASSERT_NEAR(values[i], expected, room * std::fabs(expected)) << tensor.tensor.name << i;
      }
    }
  }
}

TEST(Synthetic, ChecksumsAreRight) {
  const TempFolder folder;
  write_model(folder.path(), ModelSpec{});
  const InputFile file = InputFile::open(folder.path() / "model_000100.pt");
  const ZipDirectory zip = ZipDirectory::read(file);
  for (const ZipEntry& entry : zip.entries()) {
    const auto bytes = file.map(zip.data_offset(file, entry), entry.size, entry.name);
    const auto* first = reinterpret_cast<const Bytef*>(bytes.data());
    EXPECT_EQ(::crc32_z(0, first, bytes.size()), entry.crc32) << entry.name;
  }
}

TEST(Synthetic, SparseFilesPassFourGibibytes) {
  const TempFolder folder;
  ModelSpec spec;
  spec.sparse = true;
  spec.hidden = 4096;
  spec.experts = 32;
  spec.layers = 2;
  spec.heads = 32;
  spec.kv_heads = 8;
  write_model(folder.path(), spec);
  const TensorFile file = read_torch_pt(folder.path() / "model_000100.pt");
  const TensorInfo* tensor = file.find("transformer.h.1.mlp.experts.c_proj");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->bytes, std::uint64_t{32} * 16384 * 4096 * 4);  // past 32 bits by itself
  EXPECT_GT(tensor->offset, std::uint64_t{1} << 32);
  EXPECT_EQ(file.floats(*tensor, (std::int64_t{1} << 31) - 2, 2), (std::vector<float>{0, 0}));
}

TEST(Synthetic, TraceOpensWithItsModel) {
  const TempFolder folder;
  ModelSpec spec;
  spec.passes = 2;
  spec.dense_kappa = true;
  write_model(folder.path(), spec);
  synthetic::TraceSpec trace_spec;
  trace_spec.tokens = 40;
  trace_spec.gates = trace_spec.logits = true;
  const std::filesystem::path output = folder.path() / "trace";
  write_trace(output, open_model(folder.path()), trace_spec);
  const Trace trace = open_trace(output / "trace.npz");
  ASSERT_NE(trace.model, nullptr);
  EXPECT_EQ(trace.tokens, 40);
  EXPECT_EQ(trace.layers, 4);  // two MoE layers, two passes
  EXPECT_EQ(trace.experts, 4);
  EXPECT_EQ(trace.slots, 2);
  EXPECT_EQ(trace.gates, 128);
  EXPECT_EQ(trace.dense_layers, 2);
  EXPECT_EQ(trace.logits.size(), 40u * 256);
  ASSERT_EQ(trace.kappa_hist.size(), 4u * 4 * 64);
  // Counts are of kept (token, gate) pairs.
  std::int64_t kept = 0, counted = 0, z_counted = 0;
  for (const std::uint8_t flag : trace.expert_kept) { kept += flag; }
  for (const std::int64_t count : trace.kappa_hist) { counted += count; }
  for (const std::int64_t count : trace.gate_pre_hist) { z_counted += count; }
  EXPECT_GT(kept, 0);
  EXPECT_EQ(counted, kept * 128);
  EXPECT_EQ(z_counted, kept * 128);
}

}  // namespace
}  // namespace kappascope
