// The whole interface between ImGui::NewFrame() and ImGui::Render(): panels, menus, dialogs. Knows
// no window system: tests run it on a null backend.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/expert_panel.h"
#include "app/gui/export_dialog.h"
#include "app/gui/figure_panel.h"
#include "app/gui/figure_view.h"
#include "app/gui/fonts.h"
#include "app/gui/interventions_panel.h"
#include "app/gui/layouts.h"
#include "app/gui/leaving.h"
#include "app/gui/model_panel.h"
#include "app/gui/palette.h"
#include "app/gui/path_dialog.h"
#include "app/gui/session.h"
#include "app/gui/settings.h"
#include "app/gui/text_panel.h"
#include "app/gui/theme.h"
#include "app/gui/training_panel.h"
#include "app/gui/weights_panel.h"
#include "app/gui/workspace.h"

namespace kappascope::gui {

// State of the interface that is not part of what is open: which panels are shown, the contents of
// dialogs. Panels read and change it; they keep nothing themselves.
struct Gui {
  Gui(Workspace& work, Settings& set) : workspace(work), settings(set) {}

  Workspace& workspace;
  Settings& settings;
  FigureTextures textures;
  Fonts fonts;
  const Theme* theme = nullptr;  // in force

  std::map<std::string, bool> shown;  // panels and figures by id
  std::string focus;                  // panel to bring to the front in this frame
  std::vector<std::string> raise;     // likewise, in turn, once a new layout is built
  int frames_raising = 0;
  std::string next_layout;               // name of the layout to take in the next frame
  std::optional<Layout> layout_to_load;  // before the next frame
  BuiltIn built_in;
  // The trace shown when the layout was last chosen; −1: training runs without one.
  std::optional<DocumentId> laid_out_for;
  std::string last_of_texts;  // built-in layout that gave way to one for no text; "": none
  std::string asked_view;     // to be in front once the first trace is laid out; "": none
  TabOrder tab_order;
  ImGuiID dockspace = 0, largest_node = 0;  // its largest part

  TextPanelState text;
  ModelPanelState model;
  ExpertPanelState expert;
  InterventionsState interventions;
  WeightsPanelState weights;
  TrainingPanelState training;
  std::map<std::string, FigurePanelState> figures;  // by figure id; and those of the expert card
  ExportState exporting;
  PathDialogState path_dialog;
  PaletteState palette;
  SessionRestore restore;
  std::map<DocumentId, std::optional<AxisSpan>> tokens_in_sight;  // of a trace, in all its figures
  std::filesystem::path settings_file, last_session;              // empty: not kept
  std::string session_offer;  // what is in the last session; "": none, or nothing to offer
  bool offer_closed = false;  // its line at the bottom
  LeaveState leaving;
  std::string help;  // metric whose definition is shown; "" none
  bool naming_layout = false;
  std::string layout_name;
  std::size_t messages_seen = 0;      // messages said before this one were looked at
  double messages_shown_since = -1;   // the panel with them is on the screen; −1: it is not
  double messages_shown_before = -1;  // the same in the frame before
  double monitor_scale = 1;
  bool new_glyphs = false;  // since the last frame
  bool quit = false;

  // Something is not yet on the screen that needs no job: another frame brings it.
  bool wants_frame() const;
};

// A dockable panel: one file, one line in the table of panels.cpp.
struct DockPanel {
  const char* id;          // "text"
  const char* title;       // "Text"
  void (*draw)(Gui& gui);  // inside Begin/End
  bool usual = true;       // the built-in layouts show it
};

// Before ImGui::NewFrame(): what jobs made becomes part of the interface, fonts included. True when
// there was anything.
bool prepare_frame(Gui& gui);

// One frame of everything.
void draw_frame(Gui& gui);

// update_settings() of the window's own; a failure is said.
void change_settings(Gui& gui, const SettingsChange& change);

// Opens what is at `path`, whatever it is: a model, a trace, a session, a text. Dropped onto the
// window, given on the command line, chosen in a dialog.
void drop_path(Gui& gui, const std::filesystem::path& path, std::optional<std::int64_t> step = {});

}  // namespace kappascope::gui
