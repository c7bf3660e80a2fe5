#include "app/cli/figure_options.h"

#include "app/cli/command_line.h"
#include "core/error.h"

namespace kappascope {
namespace {

std::vector<std::string> figure_ids() {
  std::vector<std::string> ids;
  for (const FigureEntry& entry : figure_catalogue()) { ids.emplace_back(entry.id); }
  return ids;
}

std::vector<FigureFormat> parsed_formats(const std::string& text) {
  std::vector<FigureFormat> formats;
  for (const std::string& word :
       parse_list("--figure-format", text, {"svg", "pdf", "png", "csv"})) {
    formats.push_back(*figure_format(word));
  }
  return formats;
}

}  // namespace

void FigureOptions::add_to(CLI::App& app) {
  app.add_option(
         "--figures", ids,
         "all, none, or ids of figures: loss,kappa-depth; none for several texts unless given")
      ->capture_default_str();
  app.add_option("--figure-format", formats, "any of svg, pdf, png, csv")->capture_default_str();
  app.add_flag("--no-metadata", no_metadata,
               "figures without title, model, text, hashes and version inside their files");
}

void FigureOptions::add_choices_to(CLI::App& app) {
  const auto at_least = [](std::int64_t low) { return CLI::Range(low, std::int64_t(1) << 31); };
  app.add_option("--layer", layers,
                 "layers of the figures of one layer, a file each: 3 or 2,4-6; the middle MoE one");
  app.add_option("--pass", choices.pass, "its pass over the stack")->check(at_least(0));
  app.add_option("--expert", choices.expert, "expert of the figures of one; the most loaded")
      ->check(at_least(0));
  app.add_option("--slot", choices.slot, "choice of the token in expert-choice, 0 the first")
      ->check(at_least(0));
  app.add_option("--gates", choices.gates, "curves of gate units in kappa-vs-score")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--by-expert", choices.by_expert,
               "experts instead of tokens in gate-*, and instead of layers in kappa-parameters and "
               "kappa-distribution (with --expert that one alone)");
  app.add_option("--tokens", tokens, "first and last token of the figures along tokens: 12-87");
  app.add_option("--width", style.width_mm, "in mm: 85 is a single column, 178 a double one")
      ->check(CLI::Range(20.0, 2000.0))
      ->capture_default_str();
  app.add_option("--height", style.height_mm, "in mm; as the contents need")
      ->check(CLI::Range(10.0, 2000.0));
  app.add_option("--font-size", style.font_pt, "of axis names, in points")
      ->check(CLI::Range(3.0, 72.0))
      ->capture_default_str();
  app.add_option("--dpi", style.dpi, "of PNG")
      ->check(CLI::Range(10.0, 2400.0))
      ->capture_default_str();
  app.add_flag("--panel-letters", style.panel_letters, "a, b, … at the panels");
  app.add_flag("--panels", panels,
               "of several traces: figures of one trace side by side in one file, not a file each");
}

std::vector<const FigureEntry*> FigureOptions::entries() const {
  std::vector<const FigureEntry*> entries;
  if (ids == "none") { return entries; }
  if (ids == "all") {
    for (const FigureEntry& entry : figure_catalogue()) { entries.push_back(&entry); }
    return entries;
  }
  for (const std::string& id : parse_list("--figures", ids, figure_ids())) {
    entries.push_back(&figure_entry(id));
  }
  return entries;
}

namespace {

constexpr std::int64_t kMostLayers = 1 << 16;

// Of every layer asked for, where the figure heeds it.
std::vector<FigureChoices> choices_of(const FigureOptions& options, const FigureEntry& entry) {
  FigureChoices chosen = options.choices;
  if (!options.tokens.empty()) { chosen.tokens = token_range(options.tokens); }
  const bool of_layer = entry.heeded(options.choices) & kLayerChoice;
  if (!of_layer || options.layers.empty()) { return {chosen}; }
  std::vector<FigureChoices> all;
  for (const std::int64_t layer : parse_layers(options.layers, kMostLayers)) {
    all.push_back(chosen);
    all.back().layer = layer;
  }
  return all;
}

}  // namespace

void FigureOptions::check() const {
  const bool any = !entries().empty();
  bool text = false;
  for (const FigureFormat format : parsed_formats(formats)) { text |= format != FigureFormat::csv; }
  if (!layers.empty()) { parse_layers(layers, kMostLayers); }
  if (!tokens.empty()) { token_range(tokens); }
  if (any && text) { require_fonts(); }
}

std::vector<std::string> write_figures(const FigureOptions& options, Traces traces,
                                       const std::filesystem::path& folder, Progress& progress) {
  const std::vector<const FigureEntry*> entries = options.entries();
  const std::vector<FigureFormat> formats = parsed_formats(options.formats);
  FigureStyle style = options.style;
  style.metadata = !options.no_metadata;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    for (const FigureChoices& choices : choices_of(options, *entries[i])) {
      if (!progress.update(Stage::figures, i, entries.size())) {
        throw Error(ExitCode::interrupted, "interrupted; nothing unfinished is left");
      }
      const auto figures = entries[i]->make_all(traces, choices, options.panels);
      require(!figures.empty() || options.ids == "all", ExitCode::usage, {}, "figure ",
              entries[i]->id, ": compares traces; expected a second one");
      for (const Figure& figure : figures) {
        for (const auto& file : write_figure(figure, style, formats, folder)) {
          names.push_back(file.filename().string());
        }
      }
    }
  }
  return names;
}

}  // namespace kappascope
