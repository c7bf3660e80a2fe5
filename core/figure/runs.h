// What several runs are called side by side: in legends, CSV columns, file names and the window.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/trace.h"

namespace kappascope {

// One name for each trace, no two alike: the model's name and what of this differs between them:
// step, folder of the model, κ on or off, capacity, type of numbers, device, window, text; as a
// last resort the folder of the trace or a number. A trace alone has the model's name. A model
// without κ is never "κ on".
std::vector<std::string> run_names(std::span<const Trace* const> traces);

// One name for each folder, no two alike: the shortest ends of their paths that differ; of one that
// is given again with a number.
std::vector<std::string> folder_names(const std::vector<std::filesystem::path>& folders);

// How a trace was made, as far as it says: "κ on", "capacity off", "3 chunks". A model without κ
// has "no κ".
std::vector<std::string> run_settings(const Trace& trace);

// How its text begins, on one line of about `bytes`.
std::string run_text(const Trace& trace, std::size_t bytes);

// `name` as part of a file's name: letters, digits, '_' and single '-', at most 80 bytes, never
// empty. "κ" is "kappa"; of interventions and numbers "@" is "at", ":" "expert", "." "p", "," "_"
// and
// "-" "minus": "kappa-mul=2.5@3:1" is "kappa-mul-2p5-at-3-expert1". (A dot would be taken for the
// start of an ending.)
std::string file_word(std::string_view name);

// The same for several names, no two alike: those that would be one file end in a hash of the name,
// the same in whatever company.
std::vector<std::string> file_words(const std::vector<std::string>& names);

}  // namespace kappascope
