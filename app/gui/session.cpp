#include "app/gui/session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "core/checkpoint/input_file.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSessionSchema = "kappascope.session/1";
constexpr std::uint64_t kLongestSession = std::uint64_t(64) << 20;

std::string relative_to(const fs::path& folder, const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const fs::path relative = absolute.lexically_relative(folder);
  return (relative.empty() ? absolute : relative).generic_string();
}

const Json* field(const Json& object, const char* name) {
  if (!object.is_object()) { return nullptr; }
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

// By the names of the options of `kappascope generate`.
Json rules_json(const GenerationRules& rules) {
  return {{"tokens", rules.tokens},
          {"temperature", rules.sampling.temperature},
          {"top_k_tokens", rules.sampling.most},
          {"top_p", rules.sampling.mass},
          {"seed", rules.sampling.seed},
          {"stop", rules.stops},
          {"ignore_end", rules.go_on_at_end}};
}

// What is wrong or missing is as usual.
GenerationRules rules_of(const Json* document) {
  GenerationRules rules;
  const GenerationRules usual;
  if (!document) { return rules; }
  const auto number = [&](const char* name, double otherwise) {
    const Json* value = field(*document, name);
    return value && value->is_number() ? value->get<double>() : otherwise;
  };
  const std::int64_t tokens = integer_field(*document, "tokens");
  rules.tokens = tokens < 1 ? usual.tokens : tokens;
  rules.sampling.temperature = number("temperature", usual.sampling.temperature);
  rules.sampling.mass = number("top_p", usual.sampling.mass);
  rules.sampling.most = std::max<std::int64_t>(0, integer_field(*document, "top_k_tokens"));
  const Json* seed = field(*document, "seed");
  if (seed && seed->is_number_unsigned()) { rules.sampling.seed = seed->get<std::uint64_t>(); }
  for (const Json& stop : list_field(*document, "stop")) {
    if (stop.is_string()) { rules.stops.push_back(stop.get<std::string>()); }
  }
  rules.go_on_at_end = bool_field(*document, "ignore_end", false);
  try {
    check_sampling(rules);
  } catch (const Error&) { return usual; }
  return rules;
}

Json run_json(const RunSettings& run) {
  Json json = {{"text", run.text},
               {"source", run.source},
               {"interventions", canonical_words(run.interventions)},
               {"window", run.window},
               {"lens", run.lens},
               {"rules", rules_json(run.rules)}};
  if (run.generates) { json["generates"] = true; }
  if (!run.ids.empty()) { json["ids"] = run.ids; }
  return json;
}

void put_reading(Json& entry, const KappaChoices& reading) {
  if (reading.side) { entry["kappa_slot"] = name(*reading.side); }
  if (reading.sft) { entry["sft_kappa"] = name(*reading.sft); }
  if (reading.formula) { entry["kappa_formula"] = name(*reading.formula); }
}

// The value that is called `word`; nothing where none is.
template <typename Value>
std::optional<Value> called(const std::string& word, std::initializer_list<Value> values) {
  for (const Value value : values) {
    if (word == name(value)) { return value; }
  }
  return std::nullopt;
}

KappaChoices reading_of(const Json& entry) {
  KappaChoices reading;
  reading.side = called(string_field(entry, "kappa_slot"), {KappaSide::base, KappaSide::sft});
  reading.sft =
      called(string_field(entry, "sft_kappa"), {SftKappa::residual, SftKappa::independent});
  reading.formula = called(string_field(entry, "kappa_formula"),
                           {KappaFormula::v2026_06, KappaFormula::v2026_05_31,
                            KappaFormula::v2026_05, KappaFormula::v2026_05_20});
  return reading;
}

RunSettings run_of(const Json& document) {
  RunSettings run;
  run.text = string_field(document, "text");
  run.source = string_field(document, "source");
  run.window = bool_field(document, "window", false);
  run.lens = bool_field(document, "lens", false);
  run.generates = bool_field(document, "generates", false);
  run.rules = rules_of(field(document, "rules"));
  for (const Json& id : list_field(document, "ids")) {
    // One that is no id is out of every vocabulary: the run says so.
    const std::int64_t value = id.is_number_integer() ? id.get<std::int64_t>() : -1;
    run.ids.push_back(value < 0 || value > INT32_MAX ? -1 : std::int32_t(value));
  }
  std::vector<std::string> words;
  for (const Json& word : list_field(document, "interventions")) {
    words.push_back(word.is_string() ? word.get<std::string>() : word.dump());
  }
  run.take(words);
  // Sessions of before there were interventions.
  if (!bool_field(document, "kappa", true)) { run.switch_off(Edit::kappa, true); }
  if (!bool_field(document, "capacity", true)) { run.switch_off(Edit::capacity, true); }
  return run;
}

// The selection; its trace by its place among the traces that are open.
Json view_json(const Workspace& workspace) {
  const ViewState& view = workspace.view();
  const Subject& selection = view.selection;
  std::int64_t place = -1;
  for (std::size_t i = 0; i < workspace.traces().size(); ++i) {
    if (workspace.traces()[i].id == view.trace) { place = std::int64_t(i); }
  }
  return {{"trace", place},
          {"row", selection.row},
          {"token", selection.token},
          {"slot", selection.slot},
          {"expert", selection.expert},
          {"token_colour", view.token_colour},
          {"colour_by_layer", view.colour_by_layer},
          {"figure", view.figure}};
}

// `restored`: the traces of the session in its order, −1 those that did not open.
void apply_view(Workspace& workspace, const Json& document,
                const std::vector<DocumentId>& restored) {
  ViewState view = workspace.view();
  const std::int64_t place = integer_field(document, "trace");
  if (place >= 0 && place < std::int64_t(restored.size()) && restored[place] >= 0) {
    view.trace = restored[place];
  }
  const auto part = [&](const char* name) { return std::int32_t(integer_field(document, name)); };
  view.selection = {part("row"), part("token"), part("slot"), part("expert")};
  const std::string colour = string_field(document, "token_colour");
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.id == colour) { view.token_colour = colour; }
  }
  view.colour_by_layer = bool_field(document, "colour_by_layer", false);
  const std::string figure = string_field(document, "figure");
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.id == figure) { view.figure = figure; }
  }
  workspace.set_view(std::move(view));
}

std::optional<std::int64_t> step_field(const Json& object) {
  const std::int64_t step = integer_field(object, "step");
  return step >= 0 ? std::optional(step) : std::nullopt;
}

Json read_session(const fs::path& file) {
  Json document = parse_json(read_text_file(file, kLongestSession), file.native());
  require(string_field(document, "schema") == kSessionSchema, ExitCode::damaged,
          {.file = file.native()}, "not a session of kappascope; expected schema ", kSessionSchema);
  return document;
}

fs::path resolved(const fs::path& folder, const Json& entry, const char* name) {
  return (folder / fs::path(string_field(entry, name))).lexically_normal();
}

fs::path in_full(const fs::path& path) {
  return fs::absolute(path).lexically_normal();
}

bool is_model(const OpenModel& open, const SessionRestore::Model& model) {
  return in_full(open.path) == model.path &&
         (!model.step || open.model->files.step == model.step) &&
         same_reading(open.reading, model.reading);
}

// Begins to open or run the next trace of the session; false: it cannot be, and nothing began.
bool begin_entry(Workspace& workspace, SessionRestore& restore) {
  SessionRestore::Entry& entry = restore.entries[restore.at];
  if (!entry.run) {
    workspace.open(entry.path);
    return true;
  }
  for (const OpenModel& open : workspace.models()) {
    if (!is_model(open, entry.model())) { continue; }
    workspace.use_model(open.id);
    const RunSettings typed = std::exchange(workspace.next_run, *entry.run);
    entry.run->generates ? workspace.generate() : workspace.run();
    workspace.next_run = typed;
    return workspace.run_job() != 0;
  }
  if (std::exchange(entry.model_asked, true)) { return false; }
  workspace.open(entry.path, entry.step, entry.reading);
  restore.opening_model = true;
  return true;
}

// Models whose place the model of a run took: another step, or read otherwise. False: there is
// none.
bool reopen_models(Workspace& workspace, SessionRestore& restore) {
  bool any = false;
  for (const SessionRestore::Model& model : std::exchange(restore.models, {})) {
    const bool taken = std::any_of(
        workspace.models().begin(), workspace.models().end(), [&](const OpenModel& open) {
          return in_full(open.path) == model.path && !is_model(open, model);
        });
    if (taken) { workspace.open(model.path, model.step, model.reading); }
    any |= taken;
  }
  return any;
}

void use_model(Workspace& workspace, const SessionRestore& restore) {
  for (const OpenModel& open : workspace.models()) {
    if (restore.used && is_model(open, *restore.used)) { return workspace.use_model(open.id); }
  }
}

}  // namespace

std::string session_text(const Gui& gui, const fs::path& file) {
  const Workspace& workspace = gui.workspace;
  const fs::path folder = fs::absolute(file).parent_path().lexically_normal();
  Json models = Json::array(), traces = Json::array();
  for (const OpenModel& open : workspace.models()) {
    models.push_back(
        {{"path", relative_to(folder, open.path)}, {"step", json_of(open.model->files.step)}});
    put_reading(models.back(), open.reading);
    if (const OpenModel* used = gui.workspace.current_model(); used && used->id == open.id) {
      models.back()["used"] = true;
    }
  }
  // Traces are in the order of the window; runs name the model that makes them again.
  for (const OpenTrace& open : workspace.traces()) {
    Json entry = {{"compared", open.compared}};
    if (is_unsaved(open)) {
      entry["run"] = run_json(*open.run);
      entry["run"]["model"] = relative_to(folder, open.model_path);
      entry["run"]["step"] = json_of(open.model_step);
      put_reading(entry["run"], open.model_reading);
      if (open.live) { entry["live"] = true; }
    } else {
      entry["path"] = relative_to(folder, open.saved.empty() ? open.path : open.saved);
    }
    traces.push_back(std::move(entry));
  }
  const Json document = {{"schema", kSessionSchema},
                         {"models", models},
                         {"traces", traces},
                         {"next_run", run_json(workspace.next_run)},
                         {"view", view_json(workspace)},
                         {"layout", layout_json(current_layout(gui))},
                         {"dark", gui.settings.dark}};
  return json_text(document);
}

void save_session(const Gui& gui, const fs::path& file) {
  write_text_file(file, session_text(gui, file));
}

bool worth_keeping(const Workspace& workspace) {
  return !workspace.models().empty() || !workspace.traces().empty() ||
         !workspace.next_run.text.empty();
}

bool is_session(const fs::path& file) {
  try {
    return file.extension() == ".json" && !read_session(file).empty();
  } catch (const Error&) { return false; }
}

std::string session_summary(const fs::path& file) {
  Json document;
  try {
    document = read_session(file);
  } catch (const Error&) { return ""; }
  std::string names;
  for (const Json& model : list_field(document, "models")) {
    const std::string name = fs::path(string_field(model, "path")).filename().string();
    names += (names.empty() ? "" : ", ") + plain_text(name);
  }
  const auto count = [](std::size_t n, const char* one) {
    return n == 0 ? "" : join_words(", ", n, " ", one, n > 1 ? "s" : "");
  };
  names += count(list_field(document, "traces").size(), "trace");
  const Json* next = field(document, "next_run");
  if (next && !string_field(*next, "text").empty()) { names += ", a text"; }
  return names.starts_with(", ") ? names.substr(2) : names;
}

void restore_session(Gui& gui, const fs::path& file) {
  Workspace& workspace = gui.workspace;
  Json document;
  try {
    document = read_session(file);
  } catch (const Error& error) { return workspace.say(error.failure()); }
  const fs::path folder = fs::absolute(file).parent_path();
  SessionRestore restore;
  restore.going = true;
  for (const Json& model : list_field(document, "models")) {
    restore.models.push_back(
        {resolved(folder, model, "path"), step_field(model), reading_of(model)});
    const SessionRestore::Model& last = restore.models.back();
    if (bool_field(model, "used", false)) { restore.used = last; }
    workspace.open(last.path, last.step, last.reading);
  }
  for (const Json& trace : list_field(document, "traces")) {
    SessionRestore::Entry entry;
    const Json* run = field(trace, "run");
    entry.path = run ? resolved(folder, *run, "model") : resolved(folder, trace, "path");
    if (run) { entry.step = step_field(*run); }
    if (run) { entry.reading = reading_of(*run); }
    entry.live = bool_field(trace, "live", false);
    if (run) { entry.run = run_of(*run); }
    entry.compared = bool_field(trace, "compared", false);
    restore.entries.push_back(std::move(entry));
  }
  if (const Json* next = field(document, "next_run")) { workspace.next_run = run_of(*next); }
  if (const Json* view = field(document, "view")) { restore.view = *view; }
  if (const Json* layout = field(document, "layout")) { gui.layout_to_load = layout_of(*layout); }
  gui.settings.dark = bool_field(document, "dark", gui.settings.dark);
  gui.restore = std::move(restore);
}

void continue_restore(Gui& gui) {
  SessionRestore& restore = gui.restore;
  Workspace& workspace = gui.workspace;
  if (!restore.going || !workspace.long_jobs().idle()) { return; }
  if (restore.began && !std::exchange(restore.opening_model, false)) {
    DocumentId made = -1;
    if (!workspace.traces().empty() && workspace.traces().back().id > restore.newest_before) {
      made = workspace.traces().back().id;
    }
    if (made >= 0) {
      workspace.trace(made)->compared = restore.entries[restore.at].compared;
      workspace.trace(made)->live = restore.entries[restore.at].live;
    }
    restore.restored.push_back(made);
    ++restore.at;
  }
  restore.began = false;
  for (; restore.at < restore.entries.size(); ++restore.at) {
    restore.newest_before = workspace.traces().empty() ? -1 : workspace.traces().back().id;
    restore.began = begin_entry(workspace, restore);
    if (restore.began) { return; }
    restore.restored.push_back(-1);
  }
  if (reopen_models(workspace, restore)) { return; }
  use_model(workspace, restore);
  apply_view(workspace, restore.view, restore.restored);
  // The panel that comes to the front is the figure looked at last.
  if (const std::string figure = workspace.view().figure; gui.shown[figure]) { gui.focus = figure; }
  restore = {};
}

}  // namespace kappascope::gui
