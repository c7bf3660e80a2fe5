#include "app/gui/export_job.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>

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
      names.push_back(view.entry->file_name(view.choices) + "." + figure_extension(format));
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

}  // namespace

Figure make_view(const ExportView& view) {
  std::vector<const Trace*> traces;
  for (const auto& trace : view.traces) { traces.push_back(trace.get()); }
  std::vector<Figure> figures = view.entry->make_all(traces, view.choices, /*panels=*/true);
  require(!figures.empty(), ExitCode::usage, {}, "it compares traces; expected a second one");
  return std::move(figures.front());
}

namespace {

bool has_picture(const ExportOrder& order) {
  return std::any_of(order.formats.begin(), order.formats.end(),
                     [](FigureFormat format) { return format != FigureFormat::csv; });
}

// Of all views, where the style asks for one scale.
SharedEnds ends_of(const ExportOrder& order) {
  SharedEnds shared;
  for (const ExportView& view : order.views) {
    if (!order.style.same_scale || !has_picture(order)) { break; }
    Figure figure = make_view(view);
    shared.see(figure);
  }
  return shared;
}

void write_view(const ExportOrder& order, const ExportView& view, const fs::path& folder,
                const SharedEnds& shared, TextMeter& meter, Acting& acting,
                ExportOutcome& outcome) {
  Figure figure = make_view(view);
  const std::string id(view.entry->id);
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

ExportOutcome write_export(const ExportOrder& order, Progress& progress) {
  ExportOutcome outcome;
  if (!order.replace) { outcome.in_the_way = those_in(order.folder, expected_names(order)); }
  if (!outcome.in_the_way.empty()) { return outcome; }
  const Staging staging(order.folder);
  FileTextMeter meter(order.style.font);
  const SharedEnds shared = ends_of(order);
  Acting acting;
  const auto go_on = [&](std::size_t done) {
    if (!progress.update(Stage::figures, done, order.views.size())) {
      throw Error(ExitCode::interrupted, "interrupted; nothing was written");
    }
  };
  for (std::size_t i = 0; i < order.views.size(); ++i) {
    go_on(i);
    const ExportView& view = order.views[i];
    try {
      write_view(order, view, staging.path(), shared, meter, acting, outcome);
    } catch (const Error& error) {
      if (order.views.size() == 1 || error.code() != ExitCode::usage) { throw; }
      outcome.left_out.push_back(std::string(view.entry->id) + ": " + error.what());
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
