// Any bytes as a meta_*.json, and behind a NUL the tensors beside it (model_lines.h): an Error, or
// a configuration whose rules can be asked; a model whose parts fit together. The weights are
// holes.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/model/families/nanochat_config.h"
#include "tests/fuzz/model_lines.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_pt.h"

namespace {

using namespace kappascope;
using testing::TensorLine;

constexpr std::uint64_t kRoom = 1 << 28;  // bytes of all tensors

void ask(const nanochat::Config& config) {
  if (config.n_layer < 1 || config.n_layer > 1024 || config.n_embd % config.n_head != 0) {
    std::abort();
  }
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (config.window(layer) < 0 || (config.is_moe(layer) && config.n_exp < 2)) { std::abort(); }
    config.has_kappa(layer);
  }
  for (const std::int64_t tokens : {std::int64_t{1}, config.sequence_len}) {
    const CapacityRule rule{config.eval_capacity, config.min_capacity};
    if (capacity_of(rule, config.moe_top_k, tokens, config.n_exp) < 0) { std::abort(); }
  }
  if (config.gate_units() < 0 || config.padded_vocab() < config.vocab_size) { std::abort(); }
  config.document.dump();
}

std::string pickled_tensor(const TensorLine& line, const std::string& key) {
  const testing::DTypeNames* const names = testing::dtype_of(line.dtype);
  testing::pickled::Tensor tensor{.type = names ? names->storage : line.dtype,
                                  .key = key,
                                  .storage_elements = 1,
                                  .shape = line.shape,
                                  .strides = line.shape};
  for (std::size_t axis = line.shape.size(); axis-- > 0;) {
    tensor.strides[axis] = tensor.storage_elements;
    tensor.storage_elements =
        std::int64_t(std::uint64_t(tensor.storage_elements) * std::uint64_t(line.shape[axis]));
  }
  return testing::pickled::tensor(tensor);
}

void write_weights(const std::filesystem::path& file, const std::vector<TensorLine>& lines) {
  std::vector<testing::TinyEntry> storages;
  std::vector<std::string> items;
  for (const TensorLine& line : lines) {
    const std::string key = std::to_string(storages.size());
    items.push_back(testing::pickled::text(line.name));
    items.push_back(pickled_tensor(line, key));
    testing::TinyEntry& storage = storages.emplace_back();
    storage.name = "m/data/" + key;
    storage.hole = line.bytes;
  }
  testing::TinyEntry pickle;
  pickle.name = "m/data.pkl";
  pickle.data = testing::pickled::file(testing::pickled::dict(items));
  storages.insert(storages.begin(), pickle);
  const testing::TinyZip zip = testing::tiny_zip(storages);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  for (const auto& [offset, bytes] : zip.pieces) {
    out.seekp(static_cast<std::streamoff>(offset));
    out << bytes;
  }
}

}  // namespace

void kappascope::testing::fuzz_meta_json(const std::uint8_t* data, std::size_t size) {
  static const TempFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), size);
  const std::string_view meta = input.substr(0, end);
  const std::vector<TensorLine> lines =
      tensor_lines(std::string(input.substr(std::min(end + 1, size))));
  std::vector<TensorInfo> tensors;
  std::uint64_t room = 0;
  for (const TensorLine& line : lines) {
    tensors.push_back({line.name, DType::float32, {8, 32}, 0, 1024});
    room = std::min(room + std::min(line.bytes, kRoom + 1), kRoom + 1);
  }
  only_file_errors([&] {
    ask(nanochat::read_config(parse_json(meta, "meta.json", NotFinite::numbers), tensors,
                              "meta.json"));
  });
  if (room > kRoom) { return; }
  static const std::filesystem::path run = folder / "chatsft_checkpoints" / "run";
  std::filesystem::create_directories(run);
  std::ofstream(run / "meta_000100.json", std::ios::binary | std::ios::trunc) << meta;
  write_weights(run / "model_000100.pt", lines);
  only_file_errors([&] { check_model(open_model(run)); });
}
