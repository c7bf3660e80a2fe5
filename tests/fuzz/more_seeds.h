// Seeds of what is no checkpoint and no tokenizer.
#pragma once

#include <filesystem>
#include <string>

namespace kappascope::testing {

using WriteSeed = void(const std::filesystem::path& path, const std::string& bytes);

// Into folders of `root` by the targets' names. `families`: small folders of Hugging Face models.
void write_more_seeds(const std::filesystem::path& root, const std::filesystem::path& families,
                      WriteSeed* write);

}  // namespace kappascope::testing
