// The texts of a training run as documents.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// Files, each with an absolute path: those given, in their order, and those in folders that are.
// Standard input and pipes, which cannot be read again: usage. Not there: io.
std::vector<std::string> training_files(const std::vector<std::string>& given);

// The file is JSON Lines, by its name.
bool has_lines(const std::string& file);

// Gives each document to `take` with its source, FILE or FILE:LINE: a file, or each line's `field`
// where the file is JSON Lines. Errors: io, damaged (no such field, no UTF-8).
using TakeDocument = std::function<void(std::string_view text, const std::string& source)>;
void read_documents(const std::vector<std::string>& files, const std::string& field,
                    const TakeDocument& take);

}  // namespace kappascope
