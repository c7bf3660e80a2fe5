// Where the dialog that asks for a path can go at once: folders, what was opened last, and the
// models on this machine, those of the Hugging Face hub cache and of nanochat. Nothing is
// downloaded.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "app/models.h"

namespace kappascope::gui {

struct Gui;

struct ModelListState {
  bool shown = false;                                     // in the place of a folder's contents
  bool asked = false;                                     // being read by a job
  std::shared_ptr<const std::vector<ModelPlace>> places;  // null: not read yet
  int chosen = -1;                                        // of the models that can be opened
};

// Folders and what was opened last; true: something recent is to be opened at once.
bool draw_places(Gui& gui);

// Shows the list of models from now on, read anew.
void show_model_list(Gui& gui);

// The list of models; `picked`: the folder of the model that was clicked, else as it was. True: it
// is to be opened at once.
bool draw_model_list(Gui& gui, std::filesystem::path& picked);

// Folders that can be opened, in the order of the list; the arrow keys go through them.
std::vector<std::filesystem::path> models_to_open(const ModelListState& state);

}  // namespace kappascope::gui
