// Any bytes as a meta_*.json, followed by a NUL byte and tensor names, one a line: an Error, or a
// configuration whose rules can be asked.
#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "core/model/families/nanochat_config.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_meta_json(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), size);
  std::istringstream names(std::string(input.substr(std::min(end + 1, size))));
  std::vector<TensorInfo> tensors;
  for (std::string name; std::getline(names, name);) {
    tensors.push_back({name, DType::float32, {8, 32}, 0, 1024});
  }
  testing::only_file_errors([&] {
    const nanochat::Config config = nanochat::read_config(
        parse_json(input.substr(0, end), "meta.json", NotFinite::numbers), tensors, "meta.json");
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
  });
}
