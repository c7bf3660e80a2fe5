// What lets a model go on with a text: the button with its rules, and going on from a token.
#pragma once

namespace kappascope::gui {

struct Gui;

// Beside Run: "Generate", and the rules by which tokens are drawn.
void draw_generate_button(Gui& gui);

// Above the tokens: goes on from the selected one, and how a text that was generated ended. Nothing
// where no model that is open could.
void draw_go_on(Gui& gui);

// The menu of the selected token, "###token_menu".
void draw_token_menu(Gui& gui);

}  // namespace kappascope::gui
