// The texts of a training run as documents.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// The files of a corpus (corpus_files()). Standard input and pipes, which cannot be read again:
// usage.
std::vector<std::string> training_files(const std::vector<std::string>& given);

// Gives each document that is not empty to `take` with its source. The first that cannot be used
// ends it: io, damaged, unsupported.
using TakeDocument = std::function<void(std::string_view text, const std::string& source)>;
void read_documents(const std::vector<std::string>& files, const std::string& field,
                    const TakeDocument& take);

}  // namespace kappascope
