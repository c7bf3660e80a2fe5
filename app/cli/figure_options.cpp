#include "app/cli/figure_options.h"

#include <algorithm>

#include "app/acting.h"
#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "core/error.h"
#include "core/figure/restyle.h"
#include "core/figure/shared_ends.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

template <typename Entries>
std::vector<std::string> ids_of(const Entries& entries) {
  std::vector<std::string> ids;
  for (const auto& entry : entries) { ids.emplace_back(entry.id); }
  return ids;
}

std::vector<FigureFormat> parsed_formats(const std::string& text) {
  std::vector<FigureFormat> formats;
  for (const std::string& word :
       parse_list("--figure-format", text, {"svg", "pdf", "eps", "png", "csv"})) {
    formats.push_back(*figure_format(word));
  }
  return formats;
}

}  // namespace

void FigureOptions::add_to(CLI::App& app, const std::set<std::string_view>& without) {
  app.add_option("--figures", ids, "all, none, or ids of figures: loss,kappa-depth")
      ->capture_default_str();
  if (!without.contains("figure-format")) {
    app.add_option("--figure-format", formats, "any of svg, pdf, eps, png, csv")
        ->capture_default_str();
  }
  if (!without.contains("tokens")) {
    app.add_option("--tokens", tokens, "first and last token of the figures along tokens: 12:87");
  }
  const char* const group = "Look of figures";
  for (const StyleSetting& setting : style_settings()) {
    if (without.contains(setting.name)) { continue; }
    const std::string name(setting.name), help(setting.help);
    if (setting.kind == StyleSetting::Kind::toggle) {
      app.add_flag("--" + name, toggles_[name], help)->group(group);
      continue;
    }
    CLI::Option* option = app.add_option("--" + name, words_[name], help);
    option->type_name(std::string(setting.value))->expected(1)->group(group);
    if (setting.kind == StyleSetting::Kind::list) {
      option->take_all();
    } else {
      option->take_last();
    }
  }
  app.add_option("--style", style_file, "such settings from a file: width = 85, bare = true, …")
      ->type_name("FILE")
      ->group(group);
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
  app.add_flag("--by-rank", choices.by_rank,
               "logit-lens by the rank of the token that follows, not by probability");
  app.add_option("--layers", kept_layers,
                 "layers that are shown of the figures along layers: 0-3,7; all");
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
  for (const std::string& id : parse_list("--figures", ids, ids_of(figure_catalogue()))) {
    entries.push_back(&figure_entry(id));
  }
  return entries;
}

std::vector<const TrainingFigure*> FigureOptions::training_entries() const {
  std::vector<const TrainingFigure*> entries;
  const std::vector<std::string> known = ids_of(training_figures());
  if (ids == "none") { return entries; }
  for (const std::string& id : ids == "all" ? known : parse_list("--figures", ids, known)) {
    entries.push_back(training_figure(id));
  }
  return entries;
}

std::vector<std::string> FigureOptions::asked() const {
  std::vector<std::string> asked;
  if (of_training) {
    for (const TrainingFigure* entry : training_entries()) { asked.emplace_back(entry->id); }
  } else {
    for (const FigureEntry* entry : entries()) { asked.emplace_back(entry->id); }
  }
  return asked;
}

namespace {

constexpr std::int64_t kMostLayers = 1 << 16;

bool is_picture(FigureFormat format) {
  return format != FigureFormat::csv;
}

constexpr std::string_view kLayer = "--layer";

// Of every layer asked for, where the figure heeds it.
std::vector<FigureChoices> choices_of(const FigureOptions& options, const FigureEntry& entry) {
  FigureChoices chosen = options.choices;
  if (!options.tokens.empty()) { chosen.tokens = token_range(options.tokens); }
  if (!options.kept_layers.empty()) {
    chosen.layers = parse_layers(options.kept_layers, kMostLayers);
  }
  const bool of_layer = entry.heeded(options.choices) & kLayerChoice;
  if (!of_layer || options.layers.empty()) { return {chosen}; }
  std::vector<FigureChoices> all;
  for (const std::int64_t layer : parse_layers(options.layers, kMostLayers, kLayer)) {
    all.push_back(chosen);
    all.back().layer = layer;
  }
  return all;
}

// Words about what is shown that the figure does not heed: of all `choices` it may, it heeds some.
void note_choices(const FigureOptions& options, unsigned heeded, unsigned choices,
                  const Figure& figure, Acting& acting) {
  const FigureChoices usual;
  const FigureChoices& chosen = options.choices;
  const std::string& id = figure.id;
  acting.drawn(id);
  const auto note = [&](bool given, unsigned choice, const char* word, const char* why) {
    if (given && !(heeded & choice)) { acting.idle(word, id, why); }
  };
  const bool one = chosen.by_expert && (choices & kByExpertChoice);
  note(!options.layers.empty(), kLayerChoice, "--layer", "it is not of one layer");
  note(chosen.pass != usual.pass, kLayerChoice, "--pass", "it is not of one layer");
  note(chosen.expert != usual.expert && !one, kExpertChoice, "--expert", "it is not of one expert");
  note(chosen.slot != usual.slot, kSlotChoice, "--slot", "it is not of one choice of the token");
  note(chosen.gates != usual.gates, kGatesChoice, "--gates", "it has no curves of gate units");
  note(chosen.by_expert, kByExpertChoice, "--by-expert", "it has one form alone");
  note(chosen.by_rank, kByRankChoice, "--by-rank", "it shows no rank");
  note(!options.tokens.empty(), kTokensChoice, "--tokens", "no axis of it has tokens");
  if (!options.kept_layers.empty() && !figure.part_of_layers) {
    acting.idle("--layers", id, "it does not run along layers");
  }
}

template <typename Use>
void for_each_figure(const FigureOptions& options, Traces traces, Progress& progress,
                     Acting& acting, const FigureHooks& hooks, const Use& use) {
  const std::vector<const FigureEntry*> entries = options.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    PartOfProgress entry_part(progress, Stage::figures, i, entries.size());
    std::vector<FigureChoices> all = choices_of(options, *entries[i]);
    for (std::size_t c = 0; c < all.size(); ++c) {
      FigureChoices& choices = all[c];
      PartOfProgress part(entry_part, Stage::figures, c, all.size());
      go_on(part, Stage::figures, 0, 1);
      choices.progress = &part;
      std::vector<Figure> figures = entries[i]->make_all(traces, choices, options.panels);
      require(!figures.empty() || options.ids == "all", ExitCode::usage, {}, "figure ",
              entries[i]->id, ": ", entries[i]->absent_because(traces));
      if (figures.empty() && hooks.absent) {
        hooks.absent(*entries[i], entries[i]->absent_because(traces));
      }
      for (Figure& figure : figures) {
        const FigureEntry& entry = *entries[i];
        note_choices(options, entry.heeded(options.choices), entry.choices, figure, acting);
        if (!figure.sample.empty() && hooks.say) {
          hooks.say(join_words(entry.id, ": picture and table have ", figure.sample,
                               ", evenly drawn from all"));
        }
        use(figure);
      }
    }
  }
}

}  // namespace

std::vector<StyleWords> FigureOptions::given_settings() const {
  std::vector<StyleWords> given;
  for (const auto& [name, words] : words_) {
    if (!words.empty()) { given.push_back({name, words}); }
  }
  for (const auto& [name, is_given] : toggles_) {
    if (is_given) { given.push_back({name, {"true"}}); }
  }
  return given;
}

FigureStyle FigureOptions::style() const {
  const bool file = !style_file.empty();
  return style_of(file ? read_style(style_file) : std::vector<StyleWords>(), given_settings());
}

void FigureOptions::check() const {
  const std::vector<std::string> drawn = asked();
  const bool any = !drawn.empty();
  bool text = false, png = false;
  for (const FigureFormat format : parsed_formats(formats)) {
    text |= is_picture(format);
    png |= format == FigureFormat::png;
  }
  if (!layers.empty()) { parse_layers(layers, kMostLayers, kLayer); }
  if (!kept_layers.empty()) { parse_layers(kept_layers, kMostLayers); }
  if (!tokens.empty()) {
    token_range(tokens);
    const bool along =
        !of_training && std::any_of(drawn.begin(), drawn.end(), [&](const std::string& id) {
          return (figure_entry(id).heeded(choices) & kTokensChoice) != 0;
        });
    std::string names;
    for (const std::string& id : drawn) { names += (names.empty() ? "" : ", ") + id; }
    require(along || !any, ExitCode::usage, {}, "--tokens cannot act on ", names,
            ": no axis of tokens there");
  }
  for (const StyleWords& one : given_settings()) {
    require(any, ExitCode::usage, {}, "--", one.name,
            " changes figures, and none are drawn; --figures asks for them");
    require(text, ExitCode::usage, {}, "--", one.name,
            " changes pictures, and --figure-format asks for csv alone");
    require(one.name != "dpi" || png, ExitCode::usage, {},
            "--dpi is of PNG, for which --figure-format does not ask");
  }
  require(any || style_file.empty(), ExitCode::usage, {},
          "--style changes figures, and none are drawn; --figures asks for them");
  style();
  if (any && text) {
    // Pango leaves threads behind: they, too, are to leave signals to those who watch.
    const Interrupts interrupts;
    require_fonts();
    interrupts.check();
  }
}

void FigureOptions::check_tokens(std::int64_t count, const std::string& source) const {
  if (tokens.empty() || entries().empty()) { return; }
  require(token_range(tokens).first < count, ExitCode::usage, {.file = source}, "--tokens ", tokens,
          ": the text has ", count, " tokens");
}

namespace {

// Styles what `make_each(acting, use)` makes, which gives each figure to its `use`.
template <typename MakeEach>
void style_each(const FigureOptions& options, const MakeEach& make_each, const FigureHooks& hooks,
                const UseFigure& use) {
  const FigureStyle style = options.style();
  SharedEnds shared;
  if (style.same_scale) {
    Acting ignored;
    make_each(ignored, [&](Figure& one) { shared.see(one); });
  }
  Acting acting;
  if (!options.style_file.empty()) {
    for (const StyleWords& one : read_style(options.style_file)) {
      acting.in_file("--" + one.name);
    }
  }
  for (const StyleWords& one : options.given_settings()) { acting.given("--" + one.name); }
  FileTextMeter meter(style.font);
  make_each(acting, [&](Figure& figure) {
    if (style.same_scale && !shared.any()) {
      acting.idle("--same-scale", figure.id, "no two figures share an axis or a colour bar");
    }
    shared.apply(figure);
    for (const NotActing& one : restyle(figure, style)) {
      acting.idle(one.setting, figure.id, one.why);
    }
    StyledFigure styled{figure, style, meter};
    use(styled);
    for (const std::string& demand : styled.demands) {
      acting.not_kept(style.preset + ": " + demand, figure.id);
    }
  });
  for (const std::string& line : acting.lines(hooks.refuse)) {
    if (hooks.say) { hooks.say(line); }
  }
}

// What writes figures into `folder`, and the files' names into `names`.
UseFigure writer(const FigureOptions& options, const std::filesystem::path& folder,
                 std::vector<std::string>& names) {
  return [formats = parsed_formats(options.formats), &folder, &names](StyledFigure& one) {
    for (const auto& file :
         write_figure(one.figure, one.style, formats, folder, &one.meter, &one.demands)) {
      names.push_back(file.filename().string());
    }
  };
}

}  // namespace

void make_figures(const FigureOptions& options, Traces traces, Progress& progress,
                  const FigureHooks& hooks, const UseFigure& use) {
  const auto make_each = [&](Acting& acting, const auto& take) {
    for_each_figure(options, traces, progress, acting, hooks, take);
  };
  style_each(options, make_each, hooks, use);
}

std::vector<std::string> write_figures(const FigureOptions& options, Traces traces,
                                       const std::filesystem::path& folder, Progress& progress,
                                       const FigureHooks& hooks) {
  std::vector<std::string> names;
  make_figures(options, traces, progress, hooks, writer(options, folder, names));
  return names;
}

std::vector<std::string> write_training_figures(const FigureOptions& options, LoggedRuns runs,
                                                const std::filesystem::path& folder,
                                                Progress& progress, const FigureHooks& hooks) {
  const std::vector<const TrainingFigure*> entries = options.training_entries();
  const auto make_each = [&](Acting& acting, const auto& use) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      go_on(progress, Stage::figures, i, entries.size());
      const auto shows = [&](const LoggedRun* run) { return entries[i]->shows(*run); };
      if (options.ids == "all" && std::none_of(runs.begin(), runs.end(), shows)) { continue; }
      Figure figure = entries[i]->make(runs);
      note_choices(options, kNoChoice, kNoChoice, figure, acting);
      use(figure);
    }
  };
  std::vector<std::string> names;
  style_each(options, make_each, hooks, writer(options, folder, names));
  return names;
}

std::vector<std::string> write_figure_files(const FigureOptions& options, Figure figure,
                                            const std::filesystem::path& folder) {
  const FigureStyle style = options.style();
  restyle(figure, style);
  FileTextMeter meter(style.font);
  std::vector<std::string> names;
  for (const auto& file :
       write_figure(figure, style, parsed_formats(options.formats), folder, &meter)) {
    names.push_back(file.filename().string());
  }
  return names;
}

}  // namespace kappascope
