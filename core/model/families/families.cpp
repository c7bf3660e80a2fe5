#include <algorithm>
#include <numeric>
#include <vector>

#include "core/model/families/family.h"

namespace kappascope {
namespace {

// Letters to change, add or leave out on the way from one word to the other.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char letter : from) {
    std::size_t before = row[0]++;
    for (std::size_t i = 0; i < to.size(); ++i) {
      const std::size_t changed = before + (letter == to[i] ? 0 : 1);
      before = row[i + 1];
      row[i + 1] = std::min({changed, row[i] + 1, before + 1});
    }
  }
  return row.back();
}

// Types that are like a family by what they compute, though not by their names.
constexpr std::pair<std::string_view, const char*> kAkin[] = {
    {"deepseek", "deepseek_v3"}, {"glm4", "glm4_moe"},      {"ernie4", "ernie4_5_moe"},
    {"lfm2", "lfm2_moe"},        {"dots", "dots1"},         {"minimax", "mixtral"},
    {"llama", "mixtral"},        {"mistral", "mixtral"},    {"gemma", "mixtral"},
    {"dbrx", "mixtral"},         {"hunyuan", "qwen3_moe"},  {"jamba", "mixtral"},
    {"kimi", "deepseek_v3"},     {"qwen3_5", "qwen3_5_moe"}};

std::string_view nearest(std::string_view type) {
  for (const auto& [front, family] : kAkin) {
    if (type.starts_with(front)) { return family; }
  }
  const Family* best = nullptr;
  for (const Family& family : families()) {
    if (family.model_type == nullptr) { continue; }
    const bool nearer =
        best == nullptr || distance(type, family.model_type) < distance(type, best->model_type);
    if (nearer) { best = &family; }
  }
  return best->model_type;
}

}  // namespace

std::span<const Family> families() {
  static const Family kFamilies[] = {
      kNanochat,   kMixtral,          kQwen2Moe, kQwen3Moe,  kOlmoe,      kGptOss,       kMellum,
      kGraniteMoe, kGraniteMoeShared, kDots1,    kGlm4Moe,   kErnie45Moe, kFlexOlmo,     kPhiMoe,
      kDeepseekV2, kDeepseekV3,       kLfm2Moe,  kQwen3Next, kQwen35Moe,  kQwen35MoeText};
  return kFamilies;
}

const Family& family_of(const Json& meta, const CheckpointFiles& files) {
  if (files.kind == FolderKind::nanochat) { return kNanochat; }
  const std::string file = files.meta.string();
  const Place place{file};
  require(meta.is_object(), ExitCode::damaged, place,
          "the top level is not an object; expected {…}");
  const auto type = meta.find("model_type");
  require(type != meta.end(), ExitCode::damaged, place, "no model_type; expected a string");
  require(type->is_string(), ExitCode::damaged, place,
          "model_type has the wrong type; expected a string, found ", found_text(*type));
  const std::string name = type->get<std::string>();
  std::string known;
  for (const Family& family : families()) {
    if (family.model_type == nullptr) { continue; }
    if (name == family.model_type) { return family; }
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  fail(ExitCode::unsupported, place, "model_type is not supported; expected one of ", known,
       ", found ", found_text(*type), "; the nearest of them is ", nearest(name));
}

}  // namespace kappascope
