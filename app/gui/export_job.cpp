#include "app/gui/export_job.h"

#include <unistd.h>

#include <system_error>

#include "core/error.h"

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
      names.push_back(view.entry->file_name(view.choices) + "." + format_word(format));
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

const char* format_word(FigureFormat format) {
  constexpr const char* kWords[] = {"svg", "pdf", "png", "csv"};
  return kWords[static_cast<int>(format)];
}

Figure make_view(const ExportView& view) {
  std::vector<const Trace*> traces;
  for (const auto& trace : view.traces) { traces.push_back(trace.get()); }
  return view.entry->make(traces, view.choices);
}

ExportOutcome write_export(const ExportOrder& order, Progress& progress) {
  ExportOutcome outcome;
  if (!order.replace) { outcome.in_the_way = those_in(order.folder, expected_names(order)); }
  if (!outcome.in_the_way.empty()) { return outcome; }
  const Staging staging(order.folder);
  FileTextMeter meter;
  const auto go_on = [&](std::size_t done) {
    if (!progress.update(Stage::figures, done, order.views.size())) {
      throw Error(ExitCode::interrupted, "interrupted; nothing was written");
    }
  };
  for (std::size_t i = 0; i < order.views.size(); ++i) {
    go_on(i);
    const ExportView& view = order.views[i];
    try {
      const Figure figure = make_view(view);
      for (const auto& file :
           write_figure(figure, order.style, order.formats, staging.path(), &meter)) {
        outcome.written.push_back(file.filename().string());
      }
    } catch (const Error& error) {
      if (order.views.size() == 1 || error.code() != ExitCode::usage) { throw; }
      outcome.left_out.push_back(std::string(view.entry->id) + ": " + error.what());
    }
  }
  if (!order.replace) { outcome.in_the_way = those_in(order.folder, outcome.written); }
  if (!outcome.in_the_way.empty()) { return outcome; }
  go_on(order.views.size());
  move_all(staging.path(), order.folder, outcome.written);
  return outcome;
}

}  // namespace kappascope::gui
