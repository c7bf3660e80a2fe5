// The command line that writes the files of an export.
#include <map>

#include "app/gui/export_dialog.h"
#include "app/gui/export_job.h"
#include "app/gui/gui.h"
#include "app/shell_words.h"

namespace kappascope::gui {
namespace {

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
  if ((heeded & kTokensChoice) && !choices.tokens.all()) {
    words += " --tokens " + std::to_string(choices.tokens.first) + ":" +
             std::to_string(choices.tokens.last);
  }
  return words;
}

std::string style_words(const ExportState& state) {
  std::string words;
  for (const FigureFormat format : state.formats) {
    words += (words.empty() ? " --figure-format " : ",") + std::string(figure_extension(format));
  }
  if (state.formats == std::set{FigureFormat::csv}) { return words; }
  return words + style_options(state.style, state.formats.count(FigureFormat::png) > 0);
}

// How a checkpoint was asked to be read.
std::string reading_words(const KappaChoices& reading) {
  std::string words;
  if (reading.side) { words += " --kappa-slot " + std::string(name(*reading.side)); }
  if (reading.sft) { words += " --sft-kappa " + std::string(name(*reading.sft)); }
  if (reading.formula) { words += " --kappa-formula " + std::string(name(*reading.formula)); }
  return words;
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
    commands_ += "kappascope run " + quote_word(weights);
    commands_ += run.text.starts_with('-') ? " " + quote_word("--prompt=" + run.text)
                                           : " -p " + quote_word(run.text);
    commands_ += reading_words(open.model_reading);
    for (const std::string& word :
         canonical_words(unedited ? std::vector<Intervention>() : run.interventions)) {
      const std::size_t equals = word.find('=');
      commands_ += " --" + word.substr(0, equals) + " " + quote_word(word.substr(equals + 1));
    }
    if (run.window) { commands_ += " --window"; }
    commands_ += " --figures none -o " + quote_word(folder) + " && ";
    return folder;
  }

  const Gui& gui_;
  std::map<const Trace*, std::string> places_;
  std::string commands_;
};

}  // namespace

std::string export_command(const Gui& gui, const std::string& figure) {
  NamedTraces traces(gui);
  std::map<std::string, std::string> ids;  // by the words that differ between figures
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    if (!figure.empty() && figure != id) { continue; }
    const auto shown = gui.workspace.figure_traces(id);
    if (shown.empty()) { continue; }  // a difference of one trace alone
    std::string words;
    for (const auto& trace : shown) { words += " " + traces.word(trace.get()); }
    if (entry.several == Several::one_each && shown.size() > 1) { words += " --panels"; }
    words += choice_words(entry, exported_choices(gui, id));
    std::string& list = ids[words];
    list += (list.empty() ? "" : ",") + id;
  }
  std::string line = traces.commands();
  for (auto one = ids.begin(); one != ids.end(); ++one) {
    line += (one == ids.begin() ? "kappascope plot" : " && kappascope plot") + one->first;
    line += " --figures " + one->second + style_words(gui.exporting) + " -o " +
            quote_word(export_folder(gui.exporting).string());
  }
  return line;
}

}  // namespace kappascope::gui
