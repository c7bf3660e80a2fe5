#include "core/model/end_tokens.h"

#include "core/checkpoint/input_file.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kMostBytes = 16u << 20;
constexpr const char* kField = "eos_token_id";

// Null: the file, or the field in it, is missing.
Json field_of(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) { return {}; }
  const InputFile input = InputFile::open(file);
  const Json root = parse_json(read_text(input, kMostBytes), input.path(), NotFinite::numbers);
  if (!root.is_object()) { return {}; }
  for (const char* part : {"", "text_config"}) {
    const Json* object = *part ? value_at(root, part) : &root;
    const Json* found = object && object->is_object() ? value_at(*object, kField) : nullptr;
    if (found && !found->is_null()) { return *found; }
  }
  return {};
}

std::vector<std::int32_t> ids_of(const Json& value, const std::filesystem::path& file,
                                 std::int64_t vocab) {
  std::vector<std::int32_t> ids;
  const Json list = value.is_array() ? value : Json::array({value});
  for (const Json& one : list) {
    const bool whole = one.is_number_integer();
    require(whole && std::abs(one.get<double>()) < 1e9, ExitCode::damaged, {.file = file.native()},
            kField, ": expected token ids, found ", found_text(value));
    // Models are cut to a smaller vocabulary than their tokenizer's, and −1 is written for none:
    // what they cannot say ends nothing.
    if (one.get<std::int64_t>() >= 0 && one.get<std::int64_t>() < vocab) {
      ids.push_back(one.get<std::int32_t>());
    }
  }
  return ids;
}

}  // namespace

std::vector<std::int32_t> end_tokens(const Model& model) {
  const std::filesystem::path own = model.files.weights.parent_path() / "generation_config.json";
  for (const std::filesystem::path& file : {own, model.files.meta}) {
    const Json value = field_of(file);
    if (!value.is_null()) { return ids_of(value, file, model.architecture.vocab); }
  }
  return {};
}

}  // namespace kappascope
