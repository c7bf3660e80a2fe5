#include "core/checkpoint/torch_pt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "core/checkpoint/zip.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
namespace pickled = testing::pickled;
using testing::checkpoint_of;
using testing::error_of;
using testing::MemoryFile;
using testing::tiny_checkpoint;
using testing::tiny_zip;
using testing::TinyEntry;
using testing::TinyZip;

// "code line" without the file's name, and with offsets inside data.pkl counted from its start.
std::string line(const std::string& bytes) {
  const MemoryFile memory(bytes);
  std::string text = error_of([&] { read_torch_pt(memory.path()); });
  const std::size_t at = text.find(memory.path() + ": ");
  if (at != std::string::npos) { text.erase(at, memory.path().size() + 2); }
  return text;
}

std::string line(const TinyZip& zip) {
  return line(zip.flat());
}

// The fault of a checkpoint whose tensor "w" is this; its offset is left out.
std::string fault(const std::string& value) {
  std::string text = line(checkpoint_of(value));
  const std::size_t begin = text.find("offset ");
  return begin == std::string::npos ? text : text.erase(begin, text.find(": ", begin) + 2 - begin);
}

std::string tensor_fault(const pickled::Tensor& tensor) {
  return fault(pickled::tensor(tensor));
}

std::string pickle_line(const std::string& opcodes) {
  return line(tiny_checkpoint(pickled::file(opcodes)));
}

TEST(TorchPt, ReadsTensors) {
  const TinyZip zip = tiny_checkpoint();
  const MemoryFile memory(zip.flat());
  const TensorFile file = read_torch_pt(memory.path());
  ASSERT_EQ(file.tensors().size(), 3U);
  const TensorInfo& weight = *file.find("weight");
  EXPECT_EQ(weight.dtype, DType::float32);
  EXPECT_EQ(weight.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(weight.offset, zip.data_offsets[2]);
  EXPECT_EQ(weight.bytes, 24U);
  EXPECT_EQ(weight.elements(), 6);
  EXPECT_EQ(file.floats(weight), (std::vector<float>{1, -2, 0, 0, 0, 0}));
  const std::vector<float> scale = file.floats(*file.find("scale"));
  ASSERT_EQ(scale.size(), 3U);
  EXPECT_EQ(scale[1], -2);
  EXPECT_TRUE(std::isnan(scale[2]));
  const TensorInfo& step = *file.find("step");
  EXPECT_EQ(step.dtype, DType::int64);
  EXPECT_TRUE(step.shape.empty());
  EXPECT_EQ(step.elements(), 1);
}

TEST(TorchPt, ReadsTheFormsOfTorchSave) {
  using namespace pickled;
  const std::string items = "(" + text("_orig_mod.w") + pickled::tensor({}) + "u";
  const std::string metadata = dict({text("_metadata"), ordered_dict()}) + "b";
  const std::string parameter = call(global("torch._utils", "_rebuild_parameter"),
                                     tuple({pickled::tensor({}), "\x88", ordered_dict()}));
  for (const std::string& root :
       {ordered_dict() + items, ordered_dict() + items + metadata, dict({text("w"), parameter})}) {
    for (const char protocol : {2, 3, 4, 5}) {
      const MemoryFile memory(tiny_checkpoint(file(root, protocol)).flat());
      const TensorFile tensors = read_torch_pt(memory.path());
      ASSERT_EQ(tensors.tensors().size(), 1U);
      EXPECT_EQ(tensors.tensors()[0].name, "w");
      EXPECT_EQ(tensors.tensors()[0].bytes, 24U);
    }
  }
  EXPECT_EQ(pickle_line("}"), "no error");
}

TEST(TorchPt, ViewsOfAStorage) {
  EXPECT_EQ(tensor_fault({.offset = 3, .shape = {3}, .strides = {1}}), "no error");
  EXPECT_EQ(tensor_fault({.shape = {1, 6, 1}, .strides = {99, 1, 7}}), "no error");
  EXPECT_EQ(tensor_fault({.shape = {0, 4}, .strides = {5, 5}}), "no error");
  EXPECT_EQ(tensor_fault({.offset = 6, .shape = {0}, .strides = {1}}), "no error");
  EXPECT_EQ(tensor_fault({.storage_elements = 2, .shape = {2}, .strides = {1}}),
            "3 tensor w: storage '0' is too long; expected 8 bytes, found 24");
  EXPECT_EQ(tensor_fault({.shape = {3, 2}, .strides = {1, 3}}), "no error");
  EXPECT_EQ(tensor_fault({.shape = {2, 3}, .strides = {0, 1}}), "no error");
  const std::string leaves =
      "3 tensor w: leaves its storage; expected at most 6 elements, found shape ";
  EXPECT_EQ(tensor_fault({.shape = {2, 3}, .strides = {1}}),
            "3 tensor w: has 2 axes; expected as many strides, found 1");
  EXPECT_EQ(tensor_fault({.shape = {2, 3}, .strides = {4, 1}}),
            leaves + "[2, 3], strides [4, 1] from 0");
  EXPECT_EQ(tensor_fault({.shape = {2, 3}, .strides = {INT64_MAX, 1}}),
            leaves + "[2, 3], strides [9223372036854775807, 1] from 0");
  EXPECT_EQ(tensor_fault({.offset = 1}), leaves + "[2, 3], strides [3, 1] from 1");
}

TEST(TorchPt, RefusesTensorsOutsideTheirStorage) {
  EXPECT_EQ(tensor_fault({.storage_elements = 7}),
            "3 tensor w: storage '0' is too short; expected 7 elements of float32, found 6");
  EXPECT_EQ(tensor_fault({.key = "9"}), "3 tensor w: storage '9' is missing in the archive");
  EXPECT_EQ(tensor_fault({.shape = {-1}, .strides = {1}}),
            "3 tensor w: shape: expected no negative number, found -1");
  const std::int64_t half = std::int64_t{1} << 62;
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{INT64_MAX},
                                                 {half, 2},
                                                 {half, 4},
                                                 {half, half},
                                                 {INT64_MAX, 3},
                                                 {std::int64_t{1} << 32, std::int64_t{1} << 32},
                                                 {half - 1, 2}}) {
    EXPECT_EQ(tensor_fault({.shape = shape, .strides = std::vector<std::int64_t>(shape.size(), 1)})
                  .substr(0, 37),
              "3 tensor w: leaves its storage; expec")
        << shape_text(shape);
  }
  for (const std::int64_t huge : {INT64_MAX, INT64_MIN, std::int64_t{-1}, half}) {
    EXPECT_EQ(tensor_fault({.storage_elements = huge}).substr(0, 36),
              "3 tensor w: storage '0' is too short");
    EXPECT_EQ(tensor_fault({.offset = huge}).substr(0, 31), "3 tensor w: leaves its storage;");
  }
}

// What the file has in place of a tensor "w".
std::string other(const std::string& value) {
  const MemoryFile memory(checkpoint_of(value).flat());
  const TensorFile file = read_torch_pt(memory.path());
  const OtherMember* found = file.find_other("w");
  return found == nullptr ? "none" : (found->tensor ? "tensor: " : "") + found->what;
}

TEST(TorchPt, KeepsWhatIsNoPlainTensorApart) {
  using namespace pickled;
  EXPECT_EQ(other("K\7"), "an integer");
  EXPECT_EQ(other(tuple({})), "a tuple");
  EXPECT_EQ(other(call(global("my.module", "Thing"), tuple({"N"})) + "Nb"),
            "an object of class my.module Thing");
  EXPECT_EQ(other("\x8f"), "an object of class builtins set");
  EXPECT_EQ(other(pickled::tensor({.type = "ComplexFloatStorage"})),
            "tensor: a tensor of complex64");
  EXPECT_EQ(other(call(global("torch._utils", "_rebuild_sparse_tensor"), tuple({}))),
            "tensor: a sparse tensor");
  EXPECT_EQ(other("}"), "none");
  EXPECT_EQ(other(dict({text("x"), "K\7"})), "none");  // it is w.x
  EXPECT_EQ(fault(call(global("torch._utils", "_rebuild_tensor_v2"), ")")),
            "3 tensor w: a plain tensor has 6 arguments, found 0");
  EXPECT_EQ(fault(call(global("torch._utils", "_rebuild_parameter"), ")")),
            "3 tensor w: a parameter has 3 arguments, found 0");
  EXPECT_EQ(line(tiny_checkpoint(file("]"))).substr(0, 2), "4 ");
  EXPECT_EQ(line(tiny_checkpoint(file(dict({"K\1", pickled::tensor({})})))), "no error");
}

TEST(TorchPt, DictsInDictsAndWrappers) {
  using namespace pickled;
  const auto names = [](const std::string& root) {
    const MemoryFile memory(tiny_checkpoint(file(root)).flat());
    std::string all;
    const TensorFile file = read_torch_pt(memory.path());
    for (const TensorInfo& tensor : file.tensors()) { all += tensor.name + " "; }
    return all;
  };
  const std::string w = pickled::tensor({});
  EXPECT_EQ(names(dict({text("model"), dict({text("a.b"), w, text("c"), w})})),
            "model.a.b model.c ");
  EXPECT_EQ(names(dict({text("module"), dict({text("a"), w}), text("x._orig_mod.b"), w})),
            "a x.b ");
  // One dict, twice referred to: "}" memoised as 0.
  EXPECT_EQ(names("}(" + text("a") + "}q" + std::string(1, '\0') + "(" + text("w") + w + "u" +
                  text("b") + "h" + std::string(1, '\0') + "u"),
            "a.w ");
  // A dict in itself.
  EXPECT_EQ(names("}q" + std::string(1, '\0') + "(" + text("a") + "h" + std::string(1, '\0') +
                  text("w") + w + "u"),
            "w ");
}

// Every reference to a long name costs the pickle two bytes.
TEST(TorchPt, NamesTakeNoMoreThanTheFile) {
  using namespace pickled;
  const std::string name(4000, 'n');
  std::string items;
  for (int i = 0; i < 100000; ++i) { items += std::string("h\0h\1", 4); }
  const std::string head =
      text(name) + std::string("q\0", 2) + "0" + pickled::tensor({}) + std::string("q\1", 2) + "0";
  EXPECT_EQ(line(tiny_checkpoint(file(head + "}(" + items + "u"))).substr(0, 2), "4 ");
}

TEST(TorchPt, ReportsEveryFaultAtOnce) {
  using namespace pickled;
  const std::string text_line = line(
      tiny_checkpoint(file(dict({text("a"), pickled::tensor({.key = "8"}), text("b"),
                                 pickled::tensor({}), text("c"), pickled::tensor({.key = "9"})}))));
  EXPECT_EQ(text_line.substr(0, 12), "3 tensor a: ");
  EXPECT_NE(text_line.find("; tensor c: offset "), std::string::npos) << text_line;
  EXPECT_EQ(text_line.find("tensor b"), std::string::npos) << text_line;
  EXPECT_EQ(line(tiny_checkpoint(file(
                dict({text("w"), pickled::tensor({}), text("_orig_mod.w"), pickled::tensor({})})))),
            "3 tensor w: occurs more than once");
}

TEST(TorchPt, DoesWithoutByteOrderAndChecksum) {
  std::vector<TinyEntry> entries = testing::checkpoint_entries(testing::checkpoint_pickle());
  entries[0].crc = 0;  // not computed
  EXPECT_EQ(line(tiny_zip(entries)), "no error");
  entries.erase(entries.begin() + 1);
  EXPECT_EQ(line(tiny_zip(entries)), "no error");
}

TEST(TorchPt, OpensSparseGigabytesByTheirDirectory) {
  std::vector<TinyEntry> entries = testing::checkpoint_entries(
      pickled::file(pickled::dict({pickled::text("w"),
                                   pickled::tensor({.storage_elements = std::int64_t{15} << 30,
                                                    .shape = {15, 1 << 30},
                                                    .strides = {1 << 30, 1}}),
                                   pickled::text("v"),
                                   pickled::tensor({.storage_elements = std::int64_t{15} << 30,
                                                    .offset = std::int64_t{14} << 30,
                                                    .shape = {4},
                                                    .strides = {1}})})));
  entries[2].hole = (std::uint64_t{60} << 30) - entries[2].data.size();
  const TinyZip zip = tiny_zip(entries);
  MemoryFile memory;
  zip.write(memory);
  const TensorFile file = read_torch_pt(memory.path());
  EXPECT_EQ(file.find("w")->bytes, std::uint64_t{60} << 30);
  EXPECT_EQ(file.floats(*file.find("v")), (std::vector<float>(4, 0)));
  // End records, directory, pickle, byte order, the local headers of these two and data/0, and the
  // four numbers.
  const std::uint64_t directory = zip.size - 22 - 20 - 56 - zip.directory_offset;
  const std::uint64_t headers =
      3 * 30 + std::string("tiny/data.pkltiny/byteordertiny/data/0").size();
  EXPECT_EQ(file.file().bytes_read(),
            22 + 20 + 56 + directory + entries[0].data.size() + 6 + headers + 4 * sizeof(float));
}

TEST(TorchPt, EveryPrefixFails) {
  const std::string good = tiny_checkpoint().flat();
  ASSERT_EQ(line(good), "no error");
  for (std::size_t n = 0; n < good.size(); ++n) {
    ASSERT_EQ(line(good.substr(0, n)).substr(0, 2), "3 ") << n;
  }
}

TEST(TorchPt, EveryFlippedByteParsesOrFails) {
  const std::string good = tiny_checkpoint().flat();
  std::mt19937 random(20260602);
  MemoryFile memory(good);
  for (std::size_t i = 0; i < good.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(good[i]);
    std::vector<std::uint8_t> values = {0, 0x7F, 0x80, 0xFF, static_cast<std::uint8_t>(random())};
    for (int bit = 0; bit < 8; ++bit) {
      values.push_back(static_cast<std::uint8_t>(byte ^ 1U << bit));
    }
    for (const std::uint8_t value : values) {
      memory.write(i, std::string(1, static_cast<char>(value)));
      error_of([&] {  // anything but an Error would get through
        const TensorFile file = read_torch_pt(memory.path());
        for (const TensorInfo& tensor : file.tensors()) { file.data(tensor); }
      });
    }
    memory.write(i, good.substr(i, 1));
  }
}

// The same with the pickle's checksum left out, so that its changes are not caught by the checksum.
TEST(TorchPt, EveryFlippedByteOfThePickleParsesOrFails) {
  std::vector<TinyEntry> entries = testing::checkpoint_entries(testing::checkpoint_pickle());
  entries[0].crc = 0;
  const TinyZip zip = tiny_zip(entries);
  MemoryFile memory(zip.flat());
  const std::string& pickle = entries[0].data;
  std::mt19937 random(20260603);
  for (std::size_t i = 0; i < pickle.size(); ++i) {
    for (int k = 0; k < 16; ++k) {
      const auto value =
          static_cast<std::uint8_t>(k < 8 ? static_cast<unsigned>(pickle[i]) ^ 1U << k : random());
      memory.write(zip.data_offsets[0] + i, std::string(1, static_cast<char>(value)));
      error_of([&] { read_torch_pt(memory.path()); });
    }
    memory.write(zip.data_offsets[0] + i, pickle.substr(i, 1));
  }
}

TEST(TorchPt, RealCheckpoints) {
  const char* oracle = std::getenv("KAPPASCOPE_ORACLE");
  if (oracle == nullptr) { GTEST_SKIP() << "skipped: KAPPASCOPE_ORACLE is not set"; }
  int seen = 0;
  for (const char* kind : {"kappa", "demo", "softmoe"}) {
    for (const auto& folder : fs::directory_iterator(fs::path(oracle) / kind)) {
      for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".pt") { continue; }
        const TensorFile file = read_torch_pt(entry.path());
        ASSERT_NE(file.find("transformer.wte.weight"), nullptr) << entry.path();
        for (const TensorInfo& tensor : file.tensors()) {
          ASSERT_EQ(file.data(tensor).size(), tensor.bytes);
          ASSERT_EQ(tensor.offset % 64, 0U) << tensor.name;
        }
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace kappascope
