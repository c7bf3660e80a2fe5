#include "app/gui/session.h"

#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "core/checkpoint/input_file.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSchema = "kappascope.session/1";
constexpr std::uint64_t kLongestFile = std::uint64_t(64) << 20;

std::string relative_to(const fs::path& folder, const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const fs::path relative = absolute.lexically_relative(folder);
  return (relative.empty() ? absolute : relative).generic_string();
}

const Json* field(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string string_field(const Json& object, const char* name) {
  const Json* value = field(object, name);
  return value && value->is_string() ? value->get<std::string>() : "";
}

std::int64_t integer_field(const Json& object, const char* name) {
  const Json* value = field(object, name);
  return value && value->is_number_integer() ? value->get<std::int64_t>() : -1;
}

bool bool_field(const Json& object, const char* name, bool otherwise) {
  const Json* value = field(object, name);
  return value && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::vector<Json> list_field(const Json& object, const char* name) {
  const Json* value = field(object, name);
  return value && value->is_array() ? value->get<std::vector<Json>>() : std::vector<Json>();
}

Json run_json(const RunSettings& run) {
  return {
      {"text", run.text}, {"kappa", run.kappa}, {"capacity", run.capacity}, {"window", run.window}};
}

RunSettings run_of(const Json& document) {
  return {string_field(document, "text"), bool_field(document, "kappa", true),
          bool_field(document, "capacity", true), bool_field(document, "window", false)};
}

// The selection; its trace by its place among the traces that are open.
Json view_json(const Workspace& workspace) {
  const ViewState& view = workspace.view();
  const Selection& selection = view.selection;
  std::int64_t place = -1;
  for (std::size_t i = 0; i < workspace.traces().size(); ++i) {
    if (workspace.traces()[i].id == selection.trace) place = std::int64_t(i);
  }
  return {{"trace", place},
          {"layer", selection.layer},
          {"token", selection.token},
          {"slot", selection.slot},
          {"expert", selection.expert},
          {"token_colour", view.token_colour},
          {"colour_by_layer", view.colour_by_layer},
          {"figure", view.figure}};
}

void apply_view(Workspace& workspace, const Json& document) {
  ViewState view = workspace.view();
  const std::int64_t place = integer_field(document, "trace");
  if (place >= 0 && place < std::int64_t(workspace.traces().size()))
    view.selection.trace = workspace.traces()[std::size_t(place)].id;
  view.selection.layer = integer_field(document, "layer");
  view.selection.token = integer_field(document, "token");
  view.selection.slot = integer_field(document, "slot");
  view.selection.expert = integer_field(document, "expert");
  const std::string colour = string_field(document, "token_colour");
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.id == colour) view.token_colour = colour;
  }
  view.colour_by_layer = bool_field(document, "colour_by_layer", false);
  const std::string figure = string_field(document, "figure");
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.id == figure) view.figure = figure;
  }
  workspace.set_view(std::move(view));
}

}  // namespace

fs::path last_session_file() {
  return state_folder() / "last-session.json";
}

void save_session(const Gui& gui, const fs::path& file) {
  const Workspace& workspace = gui.workspace;
  const fs::path folder = fs::absolute(file).parent_path().lexically_normal();
  Json models = Json::array(), traces = Json::array();
  for (const OpenModel& open : workspace.models())
    models.push_back({{"path", relative_to(folder, open.path)}, {"step", open.model->files.step}});
  // Traces stand in the order of the window; runs name the model that makes them again.
  for (const OpenTrace& open : workspace.traces()) {
    if (!open.run) {
      traces.push_back({{"path", relative_to(folder, open.path)}});
      continue;
    }
    Json run = run_json(*open.run);
    for (const OpenModel& model : workspace.models()) {
      if (model.id != open.model) continue;
      run["model"] = relative_to(folder, model.path);
      run["step"] = model.model->files.step;
      traces.push_back({{"run", std::move(run)}});
      break;
    }
  }
  write_json_file(file, {{"schema", kSchema},
                         {"models", models},
                         {"traces", traces},
                         {"next_run", run_json(workspace.next_run)},
                         {"view", view_json(workspace)},
                         {"layout", layout_json(current_layout(gui))},
                         {"dark", gui.settings.dark}});
}

void restore_session(Gui& gui, const fs::path& file) {
  Workspace& workspace = gui.workspace;
  Json document;
  try {
    document = parse_json(read_text_file(file, kLongestFile), file.native());
    require(string_field(document, "schema") == kSchema, ExitCode::damaged, {.file = file.native()},
            "not a session of kappascope; expected schema ", kSchema);
  } catch (const Error& error) {
    return workspace.say(error.failure());
  }
  const fs::path folder = fs::absolute(file).parent_path();
  const auto resolved = [&](const Json& entry, const char* name) {
    return (folder / fs::path(string_field(entry, name))).lexically_normal();
  };
  SessionRestore restore;
  restore.going = true;
  for (const Json& model : list_field(document, "models"))
    workspace.open(resolved(model, "path"), integer_field(model, "step"));
  for (const Json& trace : list_field(document, "traces")) {
    const Json* run = field(trace, "run");
    if (run)
      restore.runs.push_back({resolved(*run, "model"), integer_field(*run, "step"), run_of(*run)});
    else
      workspace.open(resolved(trace, "path"));
  }
  if (const Json* next = field(document, "next_run")) workspace.next_run = run_of(*next);
  if (const Json* view = field(document, "view")) restore.view = *view;
  if (const Json* layout = field(document, "layout")) gui.layout_to_load = layout_of(*layout);
  gui.settings.dark = bool_field(document, "dark", gui.settings.dark);
  gui.restore = std::move(restore);
}

void continue_restore(Gui& gui) {
  SessionRestore& restore = gui.restore;
  Workspace& workspace = gui.workspace;
  if (!restore.going || !workspace.long_jobs().idle()) return;
  while (restore.next_run < restore.runs.size()) {
    const SessionRestore::Run& run = restore.runs[restore.next_run++];
    for (const OpenModel& open : workspace.models()) {
      if (fs::absolute(open.path).lexically_normal() != run.model) continue;
      workspace.use_model(open.id);
      const RunSettings typed = std::exchange(workspace.next_run, run.settings);
      workspace.run();
      workspace.next_run = typed;
      return;
    }
  }
  apply_view(workspace, restore.view);
  restore = {};
}

}  // namespace kappascope::gui
