// Seeds of what is no checkpoint and no tokenizer.
#pragma once

#include <filesystem>
#include <string>

namespace kappascope::testing {

using WriteSeed = void(const std::filesystem::path& path, const std::string& bytes);

// Into folders of `root` by the targets' names. `families`: small folders of Hugging Face models.
void write_more_seeds(const std::filesystem::path& root, const std::filesystem::path& families,
                      WriteSeed* write);
// Of Hugging Face folders, from small ones of each family.
void write_family_seeds(const std::filesystem::path& root, const std::filesystem::path& families,
                        WriteSeed* write);
// Of chats and their templates.
void write_chat_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of models of nanochat.
void write_model_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of files of weights.
void write_weight_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of our own files.
void write_trace_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of tokenizers of each form.
void write_tokenizer_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of pickles.
void write_pickle_seeds(const std::filesystem::path& root, WriteSeed* write);
// Of the bad inputs of tests/refused (which are left out: refused_seeds.cpp).
void write_refused_seeds(const std::filesystem::path& root, WriteSeed* write);

}  // namespace kappascope::testing
