// kappascope_dump_hidden MODEL IDS OUT.npz: runs token ids and writes what the trace does not hold:
// layerL.{router_input,moe_output,hidden} ([T,H], "utP." in front with several passes), for the
// comparison with the reference's numbers.
#include <fstream>
#include <iostream>
#include <map>

#include "core/engine.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

class HiddenProbe final : public Probe {
 public:
  explicit HiddenProbe(const ModelConfig& config) : config_(config) {}
  ProbeWants wants() const noexcept override { return {.routing = true, .hidden = true}; }
  bool moe(const MoeTap& tap) noexcept override {
    keep(tap.layer, tap.pass, "router_input", tap.router_input, tap.tokens, tap.width);
    keep(tap.layer, tap.pass, "moe_output", tap.output, tap.tokens, tap.width);
    return true;
  }
  bool hidden(const HiddenTap& tap) noexcept override {
    keep(tap.layer, tap.pass, "hidden", tap.hidden, tap.tokens, tap.width);
    return true;
  }
  void write(const std::string& path) const {
    std::vector<NpyArray> arrays;
    for (const auto& [name, values] : values_)
      arrays.push_back({name, NpyType::float32, {std::int64_t(values.size()) / width_, width_}, 0});
    NpzWriter writer(path, arrays);
    for (const auto& [name, values] : values_) writer.write(name, values);
    writer.finish();
  }

 private:
  void keep(std::int64_t layer, std::int64_t pass, const char* what, const float* values,
            std::int64_t tokens, std::int64_t width) {
    const std::string front = config_.total_ut_steps > 1 ? join_words("ut", pass, ".") : "";
    values_[join_words(front, "layer", layer, ".", what)].assign(values, values + tokens * width);
    width_ = width;
  }
  const ModelConfig& config_;
  std::map<std::string, std::vector<float>> values_;
  std::int64_t width_ = 1;
};

void dump(const char* folder, const char* ids_file, const char* output) {
  std::vector<std::int32_t> ids;
  std::ifstream in(ids_file);
  for (std::int32_t id; in >> id;) ids.push_back(id);
  const Model model = open_model(folder);
  NoProgress progress;
  std::unique_ptr<EngineModel> loaded;
  Failure failure = engine().load(model, {}, progress, loaded);
  HiddenProbe probe(model.config);
  if (!failure) failure = loaded->forward({.ids = ids}, {}, probe, progress);
  if (failure) throw Error(failure);
  probe.write(output);
}

}  // namespace
}  // namespace kappascope

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    kappascope::dump(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "kappascope_dump_hidden: " << error.what() << '\n';
    return 1;
  }
}
