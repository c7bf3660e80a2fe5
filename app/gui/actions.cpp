#include "app/gui/actions.h"

#include <imgui_internal.h>

#include <algorithm>
#include <utility>

#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/gui/session.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"
#include "core/trace/trace_meta.h"

namespace kappascope::gui {

namespace {

constexpr double kScaleStep = 1.1;

void set_scale(Gui& gui, double scale) {
  gui.settings.scale = std::clamp(scale, kLeastScale, kMostScale);
}

void add_file_actions(Gui& gui, std::vector<Action>& all) {
  Workspace& workspace = gui.workspace;
  const auto open_dialog = [&gui](PathPurpose purpose) {
    return [&gui, purpose] { open_path_dialog(gui, purpose); };
  };
  all.push_back({"Open checkpoint or trace…", "File", ImGuiMod_Ctrl | ImGuiKey_O,
                 open_dialog(PathPurpose::open)});
  all.push_back({"Open from hub cache…", "File", 0, [&gui] {
                   open_path_dialog(gui, PathPurpose::open);
                   show_model_list(gui);
                 }});
  const std::vector<std::string> names = short_paths(gui.settings.recent);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& recent = gui.settings.recent[i];
    all.push_back({.name = plain_text(names[i]),
                   .menu = "File/Open recent",
                   .run = [&gui, recent] { drop_path(gui, recent); },
                   .help = plain_text(recent),
                   .also = plain_text(recent)});
  }
  const OpenTrace* open = workspace.current_open_trace();
  all.push_back({"Save trace as…", "File", ImGuiMod_Ctrl | ImGuiKey_S,
                 open_dialog(PathPurpose::save_trace), open && open->run});
  all.push_back({"Close trace", "File", ImGuiMod_Ctrl | ImGuiKey_W,
                 [&gui] { ask_to_close(gui, gui.workspace.view().trace); }, open != nullptr});
  all.push_back({"Export view…", "File", ImGuiMod_Ctrl | ImGuiKey_E,
                 [&gui] { open_export_dialog(gui, gui.workspace.view().figure); }, open != nullptr,
                 false, true});
  all.push_back({"Export all views…", "File", ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_E,
                 [&gui] { open_export_dialog(gui, ""); },
                 open != nullptr || !workspace.training()->figures.empty()});
  all.push_back(
      {"Open session…", "File", 0, open_dialog(PathPurpose::open_session), true, false, true});
  all.push_back({"Save session as…", "File", ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_S,
                 open_dialog(PathPurpose::save_session)});
  all.push_back({"Restore last session", "File", 0,
                 [&gui] { restore_session(gui, gui.last_session); }, !gui.session_offer.empty()});
  all.push_back({"Quit", "File", ImGuiMod_Ctrl | ImGuiKey_Q, [&gui] { ask_to_quit(gui); }, true,
                 false, true});
}

void add_run_actions(Gui& gui, std::vector<Action>& all) {
  Workspace& workspace = gui.workspace;
  all.push_back({"Run the text", "Run", ImGuiMod_Ctrl | ImGuiKey_Enter,
                 [&workspace] { workspace.run(); }, workspace.can_run()});
  all.push_back({"Generate: let the model go on with the text", "Run",
                 ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_Enter,
                 [&workspace] { workspace.generate(); }, workspace.can_run()});
  const std::int64_t token = workspace.selection().token;
  all.push_back({"Generate from the selected token on", "Run", 0,
                 [&workspace, token] { workspace.go_on(token); },
                 workspace.can_go_on() && token >= 0});
  const auto generated = workspace.generated();
  all.push_back({"Stop generating", "Run", 0, [&workspace] { workspace.stop_generating(); },
                 generated && generated->going});
  all.push_back({"Cancel the run", "Run", 0,
                 [&workspace] { workspace.cancel(workspace.run_job()); },
                 workspace.run_job() != 0});
  RunSettings& next = workspace.next_run;
  const auto toggle = [&next](Edit edit) {
    return [&next, edit] { next.switch_off(edit, !next.is_off(edit)); };
  };
  const OpenModel* model = workspace.current_model();
  const bool kappa = !model || model->model->architecture.has_kappa();
  all.push_back({kappa ? "κ as learned (off: κ = 1)" : "κ as learned (this model has none)", "Run",
                 0, toggle(Edit::kappa), kappa, kappa && !next.is_off(Edit::kappa), true});
  all.push_back(
      {"Expert capacity", "Run", 0, toggle(Edit::capacity), true, !next.is_off(Edit::capacity)});
  all.push_back({"Run long texts in overlapping chunks", "Run", 0,
                 [&next] { next.window = !next.window; }, true, next.window});
  all.push_back({"Logit lens: what every layer would predict", "Run", 0,
                 [&next] { next.lens = !next.lens; }, true, next.lens});
  all.push_back({"Run again as interventions change", "Run", 0,
                 [&gui] { gui.interventions.live = !gui.interventions.live; }, true,
                 gui.interventions.live, true});
  all.push_back({"Show the unedited run beside", "Run", 0,
                 [&workspace] { workspace.show_unedited(); },
                 workspace.unedited().trace != nullptr});
}

// Moves a part of the selection within what there is.
void step(Workspace& workspace, std::int32_t Subject::* part, std::int64_t by, std::int64_t count) {
  if (count <= 0) { return; }
  const std::int64_t from = workspace.selection().*part;
  Subject to;
  to.*part = std::int32_t(from < 0 ? 0 : std::clamp<std::int64_t>(from + by, 0, count - 1));
  workspace.pick(to, Move::step);
}

void add_find_actions(Gui& gui, std::vector<Action>& all) {
  const bool open = gui.workspace.current_trace() != nullptr;
  const auto bar = [&gui](FindState::Mode mode) {
    return [&gui, mode] { open_find_bar(gui, mode); };
  };
  all.push_back({"Find in the text", "Go", ImGuiMod_Ctrl | ImGuiKey_F, bar(FindState::Mode::words),
                 open, false, true});
  all.push_back({"Find next", "Go", ImGuiKey_F3, [&gui] { find_next(gui, 1); }, open});
  all.push_back(
      {"Find previous", "Go", ImGuiMod_Shift | ImGuiKey_F3, [&gui] { find_next(gui, -1); }, open});
  all.push_back(
      {"Go to token…", "Go", ImGuiMod_Ctrl | ImGuiKey_G, bar(FindState::Mode::number), open});
}

void add_go_actions(Gui& gui, std::vector<Action>& all) {
  Workspace& workspace = gui.workspace;
  all.push_back({"Back", "Go", ImGuiMod_Alt | ImGuiKey_LeftArrow,
                 [&workspace] { workspace.go_back(); }, workspace.can_go_back()});
  all.push_back({"Forward", "Go", ImGuiMod_Alt | ImGuiKey_RightArrow,
                 [&workspace] { workspace.go_forward(); }, workspace.can_go_forward()});
  const Trace* trace = workspace.current_trace();
  const Subject at = workspace.selection();
  const auto go = [&](const char* name, ImGuiKeyChord chord, std::int32_t Subject::* part,
                      std::int64_t by, std::int64_t count) {
    all.push_back({name, "Go", chord,
                   [&workspace, part, by, count] { step(workspace, part, by, count); }, count > 0,
                   false, by > 0});
  };
  const std::int64_t tokens = trace ? trace->tokens : 0, layers = trace ? trace->layers : 0;
  const std::int64_t experts = trace && at.row >= 0 ? TraceLayer(*trace, at.row).experts : 0;
  go("Next token", ImGuiMod_Ctrl | ImGuiKey_Period, &Subject::token, 1, tokens);
  go("Previous token", ImGuiMod_Ctrl | ImGuiKey_Comma, &Subject::token, -1, tokens);
  go("Next layer", ImGuiMod_Ctrl | ImGuiKey_UpArrow, &Subject::row, 1, layers);
  go("Previous layer", ImGuiMod_Ctrl | ImGuiKey_DownArrow, &Subject::row, -1, layers);
  go("Next expert", ImGuiMod_Ctrl | ImGuiKey_PageDown, &Subject::expert, 1, experts);
  go("Previous expert", ImGuiMod_Ctrl | ImGuiKey_PageUp, &Subject::expert, -1, experts);
}

std::string menu_of(FigureGroup group) {
  switch (group) {
    case FigureGroup::router:
      return "Figures/Router and loss";
    case FigureGroup::experts:
      return "Figures/Experts";
    case FigureGroup::kappa:
      return "Figures/κ";
    case FigureGroup::gates:
      return "Figures/Gates";
  }
  fail(ExitCode::internal, {}, "a group of figures without a menu");
}

// Whether the panel of that id is open in a tab that another one covers.
bool is_behind(const std::string& id) {
  const ImGuiWindow* window = ImGui::FindWindowByName(("###" + id).c_str());
  return window != nullptr && window->DockNode != nullptr && !window->DockTabIsVisible;
}

void add_view_actions(Gui& gui, std::vector<Action>& all) {
  const auto show = [&gui](const std::string& id) {
    return [&gui, id] {
      // What is open behind another tab comes to the front; what is in sight is closed.
      gui.shown[id] = !gui.shown[id] || is_behind(id);
      if (gui.shown[id]) { gui.focus = id; }
    };
  };
  for (const DockPanel& panel : panels()) {
    all.push_back({panel.title, "Panels", 0, show(panel.id), true, gui.shown[panel.id]});
  }
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    all.push_back({std::string(entry.title), menu_of(entry.group), 0, show(id), true, gui.shown[id],
                   false, id, std::string(entry.what)});
  }
  for (const bool dark : {true, false}) {
    all.push_back({dark ? "Dark theme" : "Light theme", "View", 0,
                   [&gui, dark] { gui.settings.dark = dark; }, true, gui.settings.dark == dark});
  }
  all.push_back({"Larger", "View", ImGuiMod_Ctrl | ImGuiKey_Equal,
                 [&gui] { set_scale(gui, gui.settings.scale * kScaleStep); }, true, false, true});
  all.push_back({"Smaller", "View", ImGuiMod_Ctrl | ImGuiKey_Minus,
                 [&gui] { set_scale(gui, gui.settings.scale / kScaleStep); }});
  all.push_back(
      {"Original size", "View", ImGuiMod_Ctrl | ImGuiKey_0, [&gui] { set_scale(gui, 1); }});
}

void add_layout_actions(Gui& gui, std::vector<Action>& all) {
  ImGuiKey key = ImGuiKey_1;
  for (const char* name : built_in_layouts()) {
    all.push_back({name, "Layout", ImGuiMod_Ctrl | key, [&gui, name] { gui.next_layout = name; }});
    key = ImGuiKey(key + 1);
  }
  bool separated = true;
  for (const auto& [name, layout] : gui.settings.layouts) {
    all.push_back({plain_text(name), "Layout", 0, [&gui, name = name] { gui.next_layout = name; },
                   true, false, std::exchange(separated, false)});
  }
  all.push_back(
      {"Save layout as…", "Layout", 0, [&gui] { gui.naming_layout = true; }, true, false, true});
  all.push_back(
      {"Reset layout", "Layout", 0, [&gui] { gui.next_layout = built_in_layouts().front(); }});
}

// The same chord with the key of the keypad; 0: the keypad has none such.
ImGuiKeyChord on_keypad(ImGuiKeyChord chord) {
  const ImGuiKeyChord mods = chord & ImGuiMod_Mask_;
  const auto key = ImGuiKey(chord & ~ImGuiMod_Mask_);
  if (key >= ImGuiKey_0 && key <= ImGuiKey_9) {
    return mods | (ImGuiKey_Keypad0 + (key - ImGuiKey_0));
  }
  switch (key) {
    case ImGuiKey_Enter:
      return mods | ImGuiKey_KeypadEnter;
    case ImGuiKey_Equal:
      return mods | ImGuiKey_KeypadAdd;
    case ImGuiKey_Minus:
      return mods | ImGuiKey_KeypadSubtract;
    default:
      return 0;
  }
}

// Also from within a text field, which would take Ctrl+Enter for itself and owns arrow keys.
bool pressed(ImGuiKeyChord chord) {
  constexpr ImGuiInputFlags kOver = ImGuiInputFlags_RouteGlobal | ImGuiInputFlags_RouteOverFocused;
  const ImGuiKeyChord other = on_keypad(chord);
  const auto key = ImGuiKey(chord & ~ImGuiMod_Mask_);
  const bool owned = ImGui::GetIO().WantTextInput && key >= ImGuiKey_LeftArrow &&
                     key <= ImGuiKey_PageDown && (chord & ImGuiMod_Mask_) != 0;
  if (owned) { return ImGui::IsKeyChordPressed(chord, ImGuiInputFlags_None, ImGuiKeyOwner_Any); }
  const ImGuiInputFlags flags =
      key == ImGuiKey_Enter ? kOver | ImGuiInputFlags_RouteOverActive : kOver;
  return ImGui::Shortcut(chord, flags) || (other && ImGui::Shortcut(other, flags));
}

// `number`: two may have one name, such as a layout of the user's.
bool draw_item(const Action& action, std::size_t number) {
  if (action.separated) { ImGui::Separator(); }
  const std::string keys = action.shortcut ? shortcut_text(action.shortcut) : "";
  const std::string label = action.name + "##" + std::to_string(number);
  const bool chosen = ImGui::MenuItem(label.c_str(), keys.c_str(), action.checked, action.enabled);
  const std::string help = action.id + (action.id.empty() ? "" : ": ") + action.help;
  if (!help.empty()) { explain(help.c_str()); }
  if (!chosen) { return false; }
  action.run();
  return true;
}

// What people call things otherwise, by the name of the action.
constexpr std::pair<std::string_view, std::string_view> kOtherWords[] = {
    {"Open checkpoint or trace…", "load file folder model"},
    {"Open from hub cache…", "load hugging face model huggingface nanochat"},
    {"Save trace as…", "write store run"},
    {"Export view…", "figure picture image save svg pdf png csv"},
    {"Export all views…", "figures pictures images save svg pdf png csv"},
    {"Open session…", "load project workspace"},
    {"Save session as…", "store project workspace"},
    {"Restore last session", "recover reopen project workspace"},
    {"Quit", "exit close window"},
    {"Run the text", "start forward evaluate"},
    {"Cancel the run", "stop abort"},
    {"κ as learned (off: κ = 1)", "kappa switch intervention"},
    {"Expert capacity", "drop dropped limit switch intervention"},
    {"Run long texts in overlapping chunks", "window context"},
    {"Run again as interventions change", "live ablate"},
    {"Show the unedited run beside", "baseline compare effect difference"},
    {"Weights", "scan tensors parameters compare change outliers"},
    {"Training", "train runs live watch loss curve log steps"},
    {"Dark theme", "mode colours colors appearance black night"},
    {"Light theme", "mode colours colors appearance white bright day"},
    {"Larger", "zoom in bigger font text size scale interface"},
    {"Smaller", "zoom out font text size scale interface"},
    {"Original size", "reset zoom font text scale interface"},
    {"Save layout as…", "arrangement panels store"},
    {"Reset layout", "arrangement panels default original"},
    {"Back", "undo previous view selection"},
    {"Forward", "redo next view selection"},
    {"Find in the text", "search"},
    {"Go to token…", "jump position number"},
    {"Keyboard shortcuts", "keys hotkeys help"},
    {"What the numbers mean", "metrics definitions formulas documentation help"},
};

void add_other_words(std::vector<Action>& all) {
  for (Action& action : all) {
    for (const auto& [name, words] : kOtherWords) {
      if (action.name == name) { action.also = words; }
    }
  }
}

}  // namespace

std::vector<Action> actions(Gui& gui) {
  std::vector<Action> all;
  add_file_actions(gui, all);
  add_run_actions(gui, all);
  add_view_actions(gui, all);
  add_layout_actions(gui, all);
  add_go_actions(gui, all);
  add_find_actions(gui, all);
  all.push_back({"Command palette", "Help", ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_P, [&gui] {
                   leave_fields();
                   gui.palette.open = gui.palette.just_opened = true;
                 }});
  all.push_back({"Keyboard shortcuts", "Help", ImGuiKey_F1,
                 [&gui] { gui.palette.overlay = !gui.palette.overlay; }});
  all.push_back({"What the numbers mean", "Help", 0, [&gui] { gui.help = "router_top1_prob"; }});
  add_other_words(all);
  return all;
}

std::string shortcut_text(ImGuiKeyChord chord) {
  std::string text;
  if (chord & ImGuiMod_Ctrl) { text += "Ctrl+"; }
  if (chord & ImGuiMod_Shift) { text += "Shift+"; }
  if (chord & ImGuiMod_Alt) { text += "Alt+"; }
  const auto key = ImGuiKey(chord & ~ImGuiMod_Mask_);
  switch (key) {
    case ImGuiKey_Equal:
      return text + "=";
    case ImGuiKey_Minus:
      return text + "−";
    case ImGuiKey_Period:
      return text + ".";
    case ImGuiKey_Comma:
      return text + ",";
    case ImGuiKey_LeftArrow:
      return text + "←";
    case ImGuiKey_RightArrow:
      return text + "→";
    case ImGuiKey_UpArrow:
      return text + "↑";
    case ImGuiKey_DownArrow:
      return text + "↓";
    default:
      return text + ImGui::GetKeyName(key);
  }
}

void draw_menus(const std::vector<Action>& all) {
  if (!ImGui::BeginMainMenuBar()) { return; }
  std::vector<std::string> menus;
  for (const Action& action : all) {
    const std::string menu = action.menu.substr(0, action.menu.find('/'));
    if (!menu.empty() && std::find(menus.begin(), menus.end(), menu) == menus.end()) {
      menus.push_back(menu);
    }
  }
  for (const std::string& menu : menus) {
    if (!ImGui::BeginMenu(menu.c_str())) { continue; }
    std::string submenu;
    bool submenu_open = false;
    for (const Action& action : all) {
      const std::size_t slash = action.menu.find('/');
      if (action.menu.substr(0, slash) != menu) { continue; }
      const std::string inner = slash == std::string::npos ? "" : action.menu.substr(slash + 1);
      if (inner != submenu) {
        if (submenu_open) { ImGui::EndMenu(); }
        submenu = inner;
        submenu_open = !inner.empty() && ImGui::BeginMenu(inner.c_str());
      }
      if ((submenu.empty() || submenu_open) &&
          draw_item(action, std::size_t(&action - all.data()))) {
        break;
      }
    }
    if (submenu_open) { ImGui::EndMenu(); }
    ImGui::EndMenu();
  }
  ImGui::EndMainMenuBar();
}

void run_shortcuts(const std::vector<Action>& all) {
  if (ImGui::GetTopMostPopupModal()) {
    return;  // a dialog is waiting for an answer
  }
  for (const Action& action : all) {
    if (!action.shortcut || !pressed(action.shortcut)) { continue; }
    if (action.enabled) { action.run(); }
    return;  // what it changed may have ended others
  }
}

}  // namespace kappascope::gui
