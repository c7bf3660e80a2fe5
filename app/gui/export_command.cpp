// The command line that writes the files of an export.
#include <imgui.h>

#include <map>

#include "app/gui/export_dialog.h"
#include "app/gui/export_job.h"
#include "app/gui/gui.h"
#include "app/shell_words.h"

namespace kappascope::gui {
namespace {

std::string style_words(const std::set<FigureFormat>& formats, const FigureStyle& style) {
  std::string words;
  for (const FigureFormat format : formats) {
    words += (words.empty() ? " --figure-format " : ",") + std::string(figure_extension(format));
  }
  if (formats == std::set{FigureFormat::csv}) { return words; }
  return words + style_options(style, formats.count(FigureFormat::png) > 0);
}

// Settings that act on some figures alone.
bool may_be_idle(const FigureStyle& style) {
  const FigureStyle usual;
  return style.same_scale || !style.bands || !style.labels.empty() || !style.x_labels.empty() ||
         !style.y_labels.empty() || !style.x_ends.empty() || !style.y_ends.empty() ||
         !(style.values == usual.values);
}

// How a checkpoint was asked to be read.
std::string reading_words(const KappaChoices& reading) {
  std::string words;
  if (reading.side) { words += " --kappa-slot " + std::string(name(*reading.side)); }
  if (reading.sft) { words += " --sft-kappa " + std::string(name(*reading.sft)); }
  if (reading.formula) { words += " --kappa-formula " + std::string(name(*reading.formula)); }
  return words;
}

// How tokens were drawn, where not as usual.
std::string rules_words(const GenerationRules& rules) {
  const SamplingRule& sampling = rules.sampling;
  std::string words = " --tokens " + std::to_string(rules.tokens);
  const auto add = [&](const char* option, const auto& value) {
    words += join_words(" --", option, " ", value);
  };
  if (sampling.temperature > 0) {
    add("temperature", Json(sampling.temperature).dump());
    add("seed", sampling.seed);
  }
  if (sampling.most > 0) { add("top-k-tokens", sampling.most); }
  if (sampling.mass < 1) { add("top-p", Json(sampling.mass).dump()); }
  for (const std::string& stop : rules.stops) { words += " " + quote_word("--stop=" + stop); }
  return words + (rules.go_on_at_end ? " --ignore-end" : "");
}

// Commands that make the traces that were made here, and where each trace is then.
class NamedTraces {
 public:
  explicit NamedTraces(const Gui& gui) : gui_(gui) {}

  std::string word(const Trace* trace) {
    for (const OpenTrace& open : gui_.workspace.traces()) {
      const bool unedited = open.unedited.trace.get() == trace;  // made with a run
      if (open.trace.get() != trace && !unedited) { continue; }
      if (!open.run) { return quote_word(std::filesystem::absolute(open.path).string()); }
      std::string& place = places_[trace];
      if (place.empty()) { place = run(open, unedited); }
      return quote_word(place + "/trace.npz");
    }
    return quote_word(trace->path.string());
  }

  const std::string& commands() const { return commands_; }

 private:
  std::string run(const OpenTrace& open, bool unedited) {
    const std::string number = places_.size() > 1 ? "-" + std::to_string(places_.size()) : "";
    std::string folder = (export_folder(gui_.exporting) / ("run" + number)).string();
    const OpenModel* model = gui_.workspace.model(open.model);
    const std::string weights =
        model ? std::filesystem::absolute(model->model->files.weights).string()
              : open.trace->meta["model"]["path"].get<std::string>();
    const RunSettings& run = *open.run;
    if (!run.ids.empty()) {
      commands_ += "printf '%s\\n'";
      for (const std::int32_t id : run.ids) { commands_ += " " + std::to_string(id); }
      commands_ += " | ";
    }
    commands_ += run.generates ? "kappascope generate " : "kappascope run ";
    commands_ += quote_word(weights);
    if (!run.ids.empty()) {
      commands_ += " --ids -";
    } else {
      commands_ += run.text.starts_with('-') ? " " + quote_word("--prompt=" + run.text)
                                             : " -p " + quote_word(run.text);
    }
    if (run.generates) { commands_ += rules_words(run.rules); }
    commands_ += reading_words(open.model_reading);
    for (const std::string& word :
         canonical_words(unedited ? std::vector<Intervention>() : run.interventions)) {
      const std::size_t equals = word.find('=');
      commands_ += " --" + word.substr(0, equals) + " " + quote_word(word.substr(equals + 1));
    }
    if (run.window) { commands_ += " --window"; }
    if (run.lens) { commands_ += " --lens"; }
    commands_ += " --figures none -o " + quote_word(folder) + " && ";
    return folder;
  }

  const Gui& gui_;
  std::map<const Trace*, std::string> places_;
  std::string commands_;
};

// One `kappascope plot` after the commands that make its traces.
struct PlotCommand {
  std::string words;  // traces and what is shown of them
  std::vector<ExportView> views;
};
struct ExportCommand {
  std::string runs;  // commands, each with " && " behind it
  std::vector<PlotCommand> plots;
  std::set<FigureFormat> formats;
  FigureStyle style;
  std::string folder;
  bool all = false;  // views; else one alone
};

ExportCommand command_of(const Gui& gui, const std::string& figure) {
  NamedTraces traces(gui);
  std::map<std::string, std::vector<ExportView>> plots;
  for (const ExportView& view : export_views(gui, figure)) {
    std::string words;
    for (const auto& trace : view.traces) { words += " " + traces.word(trace.get()); }
    for (const auto& log : view.logs) {
      words += " " + quote_word(std::filesystem::absolute(log).string());
    }
    plots[words + plot_words(view)].push_back(view);
  }
  ExportCommand command{.runs = traces.commands(),
                        .formats = gui.exporting.formats,
                        .style = gui.exporting.style,
                        .folder = export_folder(gui.exporting).string(),
                        .all = figure.empty()};
  for (auto& [words, views] : plots) { command.plots.push_back({words, std::move(views)}); }
  return command;
}

// As a line for a shell. Where a setting may act on none of the figures of a command, which refuses
// it then, they are made to see: for a job.
std::string line_of(const ExportCommand& command) {
  std::string line;
  for (const PlotCommand& plot : command.plots) {
    std::vector<ExportView> views = plot.views;
    FigureStyle style = command.style;
    if (command.all || may_be_idle(style)) { style = acting_style(style, views); }
    if (views.empty()) { continue; }
    std::string ids;
    for (const ExportView& view : views) { ids += (ids.empty() ? "" : ",") + view.id(); }
    line += (line.empty() ? "kappascope plot" : " && kappascope plot") + plot.words +
            " --figures " + ids + style_words(command.formats, style) + " -o " +
            quote_word(command.folder);
  }
  return line.empty() ? line : command.runs + line;
}

}  // namespace

std::string export_command(const Gui& gui, const std::string& figure) {
  return line_of(command_of(gui, figure));
}

void copy_command(Gui& gui, const std::string& figure) {
  gui.workspace.long_jobs().add(
      "Copy command",
      [&gui, command = command_of(gui, figure)](Progress&) -> JobQueue::Finish {
        return [&gui, line = line_of(command)] {
          ImGui::SetClipboardText(line.c_str());
          gui.workspace.say(false, "Command copied");
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

}  // namespace kappascope::gui
