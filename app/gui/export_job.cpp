#include "app/gui/export_job.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <tuple>
#include <utility>

#include "app/acting.h"
#include "core/error.h"
#include "core/figure/restyle.h"
#include "core/figure/shared_ends.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

// A hidden folder inside the target, removed in the end with all that is still in it.
class Staging {
 public:
  explicit Staging(const fs::path& folder) {
    std::error_code error;
    for (fs::path at = folder; !at.empty() && !fs::exists(fs::symlink_status(at, error));
         at = at.parent_path()) {
      made_.push_back(at);
    }
    path_ = folder / (".kappascope-" + std::to_string(getpid()));
    fs::create_directories(path_, error);
    if (error) { remove(); }
    require(!error, ExitCode::io, {folder.string()}, "cannot be written to: ", error.message());
  }
  ~Staging() { remove(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  const fs::path& path() const { return path_; }

 private:
  void remove() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    for (const fs::path& at : made_) {
      fs::remove(at, ignored);  // only when it is empty
    }
  }

  fs::path path_;
  std::vector<fs::path> made_;  // folders that were not there, the deepest first
};

std::vector<std::string> those_in(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<std::string> there;
  for (const std::string& name : names) {
    std::error_code unreadable;
    if (fs::exists(fs::symlink_status(folder / name, unreadable))) { there.push_back(name); }
  }
  return there;
}

// Known before anything is made, but for further tables.
std::vector<std::string> expected_names(const ExportOrder& order) {
  std::vector<std::string> names;
  for (const ExportView& view : order.views) {
    for (const FigureFormat format : order.formats) {
      names.push_back(view.file_name() + "." + figure_extension(format));
    }
  }
  return names;
}

void move_all(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::error_code unreadable;
    require(!fs::is_directory(fs::symlink_status(to / name, unreadable)), ExitCode::io,
            {(to / name).string()}, "is a folder and is not replaced");
  }
  for (const std::string& name : names) {
    std::error_code error;
    fs::rename(from / name, to / name, error);
    require(!error, ExitCode::io, {(to / name).string()}, "cannot be replaced: ", error.message());
  }
}

std::string choice_words(const FigureEntry& entry, const FigureChoices& choices) {
  const FigureChoices usual;
  const unsigned heeded = entry.heeded(choices);
  const bool one = choices.by_expert && (entry.choices & kByExpertChoice);
  std::string words;
  const auto add = [&](bool heeds, const char* name, std::int64_t value, std::int64_t otherwise) {
    if (heeds && value != otherwise) {
      words += " " + std::string(name) + " " + std::to_string(value);
    }
  };
  add(heeded & kLayerChoice, "--layer", choices.layer, usual.layer);
  add(heeded & kLayerChoice, "--pass", choices.pass, usual.pass);
  add(one || (heeded & kExpertChoice), "--expert", choices.expert, usual.expert);
  add(heeded & kSlotChoice, "--slot", choices.slot, usual.slot);
  add(heeded & kGatesChoice, "--gates", choices.gates, usual.gates);
  if (one) { words += " --by-expert"; }
  if (choices.by_rank && (entry.choices & kByRankChoice)) { words += " --by-rank"; }
  if ((heeded & kTokensChoice) && !choices.tokens.all()) {
    words += " --tokens " + std::to_string(choices.tokens.first) + ":" +
             std::to_string(choices.tokens.last);
  }
  return words;
}

}  // namespace

std::string plot_words(const ExportView& view) {
  if (!view.entry) { return ""; }
  const bool panels = view.entry->several == Several::one_each && view.traces.size() > 1;
  return (panels ? " --panels" : "") + choice_words(*view.entry, view.choices);
}

Figure make_view(const ExportView& view) {
  if (!view.entry) {
    std::vector<const LoggedRun*> runs;
    for (const auto& run : view.runs) { runs.push_back(run.get()); }
    return view.training->make(runs);
  }
  std::vector<const Trace*> traces;
  for (const auto& trace : view.traces) { traces.push_back(trace.get()); }
  std::vector<Figure> figures = view.entry->make_all(traces, view.choices, /*panels=*/true);
  require(!figures.empty(), ExitCode::usage, {}, view.entry->absent_because(traces));
  return std::move(figures.front());
}

namespace {

// False: the traces do not have what it shows.
bool made(const ExportView& view, Figure& figure) {
  try {
    figure = make_view(view);
    return true;
  } catch (const Error& error) {
    if (error.code() != ExitCode::usage) { throw; }
    return false;
  }
}

bool has_picture(const ExportOrder& order) {
  return std::any_of(order.formats.begin(), order.formats.end(),
                     [](FigureFormat format) { return format != FigureFormat::csv; });
}

// Views that one command makes.
using Together = std::tuple<std::vector<std::shared_ptr<const Trace>>,
                            std::vector<std::shared_ptr<const LoggedRun>>, std::string>;
Together together(const ExportView& view) {
  return {view.traces, view.runs, plot_words(view)};
}

// Where the style asks for one scale: of the views that one command makes.
std::map<Together, SharedEnds> ends_of(const ExportOrder& order) {
  std::map<Together, SharedEnds> shared;
  for (const ExportView& view : order.views) {
    if (!order.style.same_scale || !has_picture(order)) { break; }
    Figure figure;
    if (made(view, figure)) { shared[together(view)].see(figure); }
  }
  return shared;
}

void write_view(const ExportOrder& order, const ExportView& view, const fs::path& folder,
                const SharedEnds& shared, TextMeter& meter, Acting& acting,
                ExportOutcome& outcome) {
  Figure figure = make_view(view);
  const std::string id = view.id();
  acting.drawn(id);
  if (has_picture(order)) {
    if (order.style.same_scale && !shared.any()) {
      acting.idle("--same-scale", id, "no two figures share an axis or a colour bar");
    }
    shared.apply(figure);
    for (const NotActing& one : restyle(figure, order.style)) {
      acting.idle(one.setting, id, one.why);
    }
  }
  std::vector<std::string> demands;
  for (const auto& file :
       write_figure(figure, order.style, order.formats, folder, &meter, &demands)) {
    outcome.written.push_back(file.filename().string());
  }
  for (const std::string& demand : demands) {
    acting.not_kept(order.style.preset + ": " + demand, id);
  }
}

}  // namespace

namespace {

// Leaves `setting`, as NotActing has it, out of the style.
void leave_out(FigureStyle& style, const std::string& setting) {
  const FigureStyle usual;
  if (setting == "--same-scale") { style.same_scale = false; }
  if (setting == "--no-band") { style.bands = true; }
  if (setting == "--xlim") { style.x_ends.clear(); }
  if (setting == "--ylim") { style.y_ends.clear(); }
  if (setting == "--xlabel") { style.x_labels.clear(); }
  if (setting == "--ylabel") { style.y_labels.clear(); }
  if (setting.starts_with("--vmin") || setting == "--vmax") { style.values = usual.values; }
  std::erase_if(style.labels,
                [&](const std::string& label) { return setting == "--label " + label; });
}

}  // namespace

FigureStyle acting_style(const FigureStyle& style, std::vector<ExportView>& views) {
  SharedEnds shared;
  std::map<std::string, std::size_t> idle;
  std::vector<ExportView> possible;
  for (const ExportView& view : views) {
    Figure figure;
    if (!made(view, figure)) { continue; }
    possible.push_back(view);
    shared.see(figure);
    for (const NotActing& one : restyle(figure, style)) { ++idle[one.setting]; }
  }
  views = std::move(possible);
  FigureStyle acting = style;
  if (!shared.any()) { leave_out(acting, "--same-scale"); }
  for (const auto& [setting, times] : idle) {
    if (times >= views.size()) { leave_out(acting, setting); }
  }
  return acting;
}

ExportOutcome write_export(const ExportOrder& order, Progress& progress) {
  ExportOutcome outcome;
  if (!order.replace) { outcome.in_the_way = those_in(order.folder, expected_names(order)); }
  if (!outcome.in_the_way.empty()) { return outcome; }
  const Staging staging(order.folder);
  FileTextMeter meter(order.style.font);
  const std::map<Together, SharedEnds> shared = ends_of(order);
  Acting acting;
  const auto go_on = [&](std::size_t done) {
    if (!progress.update(Stage::figures, done, order.views.size())) {
      throw Error(ExitCode::interrupted, "interrupted; nothing was written");
    }
  };
  for (std::size_t i = 0; i < order.views.size(); ++i) {
    go_on(i);
    ExportView view = order.views[i];
    PartOfProgress part(progress, Stage::figures, i, order.views.size());
    view.choices.progress = &part;
    try {
      const auto ends = shared.find(together(view));
      write_view(order, view, staging.path(), ends == shared.end() ? SharedEnds() : ends->second,
                 meter, acting, outcome);
    } catch (const Error& error) {
      if (order.views.size() == 1 || error.code() != ExitCode::usage) { throw; }
      outcome.left_out.push_back(view.id() + ": " + error.what());
    }
  }
  outcome.said = acting.lines(/*refuse=*/true);
  if (!order.replace) { outcome.in_the_way = those_in(order.folder, outcome.written); }
  if (!outcome.in_the_way.empty()) { return outcome; }
  go_on(order.views.size());
  move_all(staging.path(), order.folder, outcome.written);
  return outcome;
}

}  // namespace kappascope::gui
