// Figures, their numbers and their captions as files.
#include <algorithm>
#include <map>
#include <span>
#include <system_error>

#include "core/error.h"
#include "core/figure/render.h"
#include "core/figure/style.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  OutputFile file(path);
  file.write_at(0, std::as_bytes(std::span(bytes)));
  file.finish();
}

// Writes beside the final place and moves there.
template <typename Write>
void replace_file(const std::filesystem::path& path, Write&& write) {
  std::filesystem::path part = path;
  part += ".part";
  std::error_code error;
  std::filesystem::remove(part, error);
  write(part);
  std::filesystem::rename(part, path, error);
  require(!error, ExitCode::io, {path.string()}, "cannot be replaced: ", error.message());
}

std::string with_run(const std::string& name, const std::string& run) {
  return run.empty() ? name : name + "-" + run;
}

void add_new(std::vector<std::string>& all, const std::vector<std::string>& more) {
  for (const std::string& one : more) {
    if (std::find(all.begin(), all.end(), one) == all.end()) { all.push_back(one); }
  }
}

std::vector<std::filesystem::path> write_tables(const Figure& figure,
                                                const std::filesystem::path& folder,
                                                const std::string& stem) {
  std::vector<std::filesystem::path> written;
  std::map<std::string, int> tables;  // of each run so far
  for (const Table& table : figure.tables) {
    const std::string& run = table.run.empty() ? figure.run : table.run;
    const int number = ++tables[run];
    const std::string name = number == 1 ? stem : stem + "-" + std::to_string(number);
    written.push_back(folder / (with_run(name, run) + ".csv"));
    replace_file(written.back(), [&](const auto& part) { write_csv(table, part); });
  }
  return written;
}

}  // namespace

std::vector<std::filesystem::path> write_figure(const Figure& figure, const FigureStyle& style,
                                                const std::vector<FigureFormat>& formats,
                                                const std::filesystem::path& folder,
                                                TextMeter* meter,
                                                std::vector<std::string>* unkept) {
  std::vector<std::filesystem::path> written;
  std::vector<std::string> caption;
  const std::string stem = figure.name.empty() ? figure.id : figure.name;
  const std::string name = with_run(stem, figure.run);
  for (const FigureFormat format : formats) {
    if (format == FigureFormat::csv) {
      for (auto& path : write_tables(figure, folder, stem)) { written.push_back(std::move(path)); }
      continue;
    }
    const Scene scene = draw_figure(figure, style, format, meter);
    const std::string bytes = picture_bytes(scene, style, format, figure.id);
    written.push_back(folder / (name + "." + figure_extension(format)));
    replace_file(written.back(), [&](const auto& part) { write_bytes(part, bytes); });
    add_new(caption, scene.caption);
    if (unkept) { add_new(*unkept, not_kept(style, scene)); }
  }
  if (style.bare && !caption.empty()) {
    std::string text;
    for (const std::string& line : caption) { text += line + "\n"; }
    text += "Drawn by kappascope.\n";  // which may replace the file
    written.push_back(folder / (name + kCaptionEnding));
    replace_file(written.back(), [&](const auto& part) { write_bytes(part, text); });
  }
  return written;
}

}  // namespace kappascope
