// Saves the traces of runs where they stay.
#pragma once

#include <filesystem>
#include <vector>

#include "app/gui/workspace.h"

namespace kappascope::gui {

struct Gui;

// One trace into `folder`, several into a folder each in it, in a job; files that are there are not
// replaced: a message.
void save_runs(Gui& gui, const std::vector<DocumentId>& runs, const std::filesystem::path& folder);

// Why traces cannot be saved there; "": they can.
std::string cannot_save_runs(std::size_t count, const std::filesystem::path& folder);

}  // namespace kappascope::gui
