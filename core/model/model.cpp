#include "core/model/model.h"

#include <utility>

#include "core/checkpoint/hub.h"
#include "core/checkpoint/other_format.h"
#include "core/checkpoint/shards.h"
#include "core/model/families/family.h"
#include "core/model/reading.h"

namespace kappascope {

std::string Model::name() const {
  const std::filesystem::path folder = std::filesystem::absolute(files.weights).parent_path();
  if (const auto snapshot = hub_snapshot(folder)) {
    return std::filesystem::path(snapshot->repository).filename().string();
  }
  std::error_code gone;
  const std::filesystem::path real = std::filesystem::canonical(folder, gone);
  return (gone ? folder.lexically_normal() : real).filename().string();
}

Model open_model(const std::filesystem::path& path, const OpenOptions& options) {
  Model model;
  model.files = find_checkpoint(path, options.step);
  const std::string meta_file = model.files.meta.string();
  const InputFile meta_input = InputFile::open(model.files.meta);
  const Json meta = with_format(meta_input, Expected::json, [&] {
    return parse_json(read_text(meta_input, kMetaLimit), meta_file, NotFinite::numbers);
  });
  const Family& family = family_of(meta, model.files);
  model.tensors = std::make_unique<TensorFile>(read_weights(model.files));
  const std::string prefix = strip_model_prefix(*model.tensors, family.anchor);
  family.read(model, meta, options);
  model.architecture.family = family.name;
  const std::vector<std::string> notes = reading_notes(model, prefix);
  model.notes.insert(model.notes.end(), notes.begin(), notes.end());
  model.config_sha256 = sha256_hex(model.document.dump());
  model.directory_sha256 = model.tensors->directory_sha256();
  return model;
}

}  // namespace kappascope
