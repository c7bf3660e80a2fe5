#include "app/gui/panels.h"

#include "app/gui/gui.h"

namespace kappascope::gui {

namespace {

constexpr DockPanel kPanels[] = {
    {"text", "Text", draw_text_panel},
    {"model", "Model", draw_model_panel},
    {"token", "Token", draw_token_panel},
    {"expert", "Expert", draw_expert_panel},
    {"interventions", "Interventions", draw_interventions_panel},
    {"messages", "Messages", draw_messages_panel},
    {"weights", "Weights", draw_weights_panel, false},
    {"training", "Training", draw_training_panel, false},
};

}  // namespace

std::span<const DockPanel> panels() {
  return kPanels;
}

}  // namespace kappascope::gui
