// The panels, one function each; panels.cpp has the table.
#pragma once

#include <span>
#include <string>

namespace kappascope::gui {

struct Gui;
struct DockPanel;

std::span<const DockPanel> panels();

void draw_text_panel(Gui& gui);           // what to run, and the tokens as coloured text
void draw_model_panel(Gui& gui);          // checkpoints and traces, configuration, layers
void draw_token_panel(Gui& gui);          // the selected token
void draw_expert_panel(Gui& gui);         // the selected expert
void draw_interventions_panel(Gui& gui);  // what a run changes, and its effect
void draw_messages_panel(Gui& gui);       // jobs and messages
void draw_weights_panel(Gui& gui);        // tables of the weights, of one model or of a change
void draw_training_panel(Gui& gui);       // training runs, while they are written
void draw_figure_panel(Gui& gui, const std::string& id);  // one figure of the catalogue

}  // namespace kappascope::gui
