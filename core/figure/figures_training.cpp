// Figures of training runs: what the log holds, over the steps.
#include <algorithm>
#include <cmath>

#include "core/figure/colour.h"
#include "core/figure/parts.h"
#include "core/figure/prepared.h"
#include "core/figure/restyle.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/figure/training_figures.h"
#include "core/stats/training_course.h"
#include "core/train/train_log.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostPoints = 200, kMostMarkers = 60;  // of a line
constexpr const char* kNoStep = "nothing to show: the log has no step yet";

Panel step_panel(const char* title, const char* name, const char* unit, bool log) {
  Panel panel;
  panel.title = title;
  panel.x.name = "Training step";
  panel.x.integer = true;
  panel.y.name = name;
  panel.y.unit = unit;
  panel.y.scale = log ? Scale::log : Scale::linear;
  panel.empty = kNoStep;
  return panel;
}

Line line_of(const Course& course, const std::string& name, std::size_t number) {
  Line line;
  line.name = name;
  line.x.assign(course.step.begin(), course.step.end());
  line.y = course.value;
  line.low = course.low;
  line.high = course.high;
  line.colour = int(number) % kPaletteSize;
  line.dash = int(number) / kPaletteSize % 4;
  return line;
}

// The same colour and dash in every figure.
Line line_of_run(const Course& course, NamedRuns runs, std::size_t i) {
  Line line = line_of(course, runs.size() > 1 ? runs[i].name : "", runs[i].number);
  line.dash = int(runs[i].number) % 4;
  return line;
}

Table table_of(const std::string& run, const std::vector<std::int64_t>& steps) {
  Table table;
  table.rows = std::ssize(steps);
  table.columns = {{"run", std::vector<std::string>{run}}, {"step", steps}};
  return table;
}

// --- loss ---

// The run's line in each of the panels, and its two tables. Returns how many steps are a point.
std::int64_t add_losses(Figure& figure, NamedRuns runs, std::size_t i, std::span<Panel> panels) {
  const LoggedRun& run = *runs[i].run;
  const Course loss = block_means(run.step, run.loss, kMostPoints);
  const bool means = loss.block > 1;
  panels[0].lines.push_back(line_of_run(loss, runs, i));
  const std::vector<double>* held_out[] = {&run.held_out, &run.held_out_bits};
  for (std::size_t k = 0; k < 2; ++k) {
    Line line = line_of_run({run.evaluated, *held_out[k], {}, {}, 1}, runs, i);
    line.marker = run.evaluated.size() <= kMostMarkers;
    panels[k + 1].lines.push_back(std::move(line));
  }
  Table trained = table_of(runs[i].name, loss.step),
        evaluated = table_of(runs[i].name, run.evaluated);
  trained.columns.push_back({"loss", loss.value});
  trained.columns.push_back({"loss_low", means ? loss.low : loss.value});
  trained.columns.push_back({"loss_high", means ? loss.high : loss.value});
  evaluated.columns.push_back({"held_out_loss", run.held_out});
  evaluated.columns.push_back({"held_out_bits_per_byte", run.held_out_bits});
  figure.tables.push_back(std::move(trained));
  figure.tables.push_back(std::move(evaluated));
  return loss.block;
}

void draw_loss(Figure& figure, NamedRuns runs) {
  figure.panels = {step_panel("Trained on", "Loss", "nats per token", true),
                   step_panel("Held out", "Loss", "nats per token", true),
                   step_panel("Held out, by bytes", "Bits per byte", "", true)};
  figure.panels[1].empty = figure.panels[2].empty =
      "nothing to show: the log has no evaluation yet";
  std::int64_t block = 1;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    block = std::max(block, add_losses(figure, runs, i, figure.panels));
  }
  if (block < 2) { return; }
  figure.notes.push_back("Line: mean of " + count_text(block) +
                         " consecutive steps, at the last of them.");
  figure.notes.push_back("Band: the lowest and the highest of these steps.");
}

// --- layers ---

// A number of every layer at the steps at which the log describes it.
struct LayerNumber {
  const char* column;
  std::vector<double> (*of)(const LoggedLayer& layer);
};

// [numbers][layers][n]
using LayerTable = std::vector<std::vector<std::vector<double>>>;

Table layer_table(const NamedRun& run, std::span<const LayerNumber> numbers,
                  const LayerTable& values) {
  const std::vector<LoggedLayer>& layers = run.run->layers;
  std::vector<std::int64_t> step, layer;
  for (const LoggedLayer& one : layers) {
    step.insert(step.end(), one.step.begin(), one.step.end());
    layer.insert(layer.end(), one.step.size(), one.layer);
  }
  Table table = table_of(run.name, step);
  table.columns.push_back({"layer", std::move(layer)});
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    std::vector<double> column;
    for (const std::vector<double>& one : values[k]) {
      column.insert(column.end(), one.begin(), one.end());
    }
    table.columns.push_back({numbers[k].column, std::move(column)});
  }
  return table;
}

// The layers' values, shortened to what a line shows: of one run a line for each layer; of several,
// or of more layers than there are colours, a line for each run, the mean over its layers between
// the lowest and the highest. Returns how many descriptions are a point.
std::int64_t add_layer_lines(Panel& panel, NamedRuns runs, std::size_t i, bool each,
                             const std::vector<std::vector<double>>& values) {
  const std::vector<LoggedLayer>& layers = runs[i].run->layers;
  std::vector<Course> courses;
  std::vector<LayerValues> parts;
  std::int64_t block = 1;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    courses.push_back(block_means(layers[l].step, values[l], kMostPoints));
    block = std::max(block, courses[l].block);
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    parts.push_back({courses[l].step, courses[l].value});
    if (!each) { continue; }
    courses[l].low.clear();
    courses[l].high.clear();
    panel.lines.push_back(line_of(courses[l], "layer " + std::to_string(layers[l].layer), l));
  }
  if (!each) { panel.lines.push_back(line_of_run(over_layers(parts), runs, i)); }
  return block;
}

// `numbers`: one for each panel of the figure.
void draw_layers(Figure& figure, NamedRuns runs, std::span<const LayerNumber> numbers) {
  const bool each = runs.size() == 1 && runs[0].run->layers.size() <= std::size_t(kPaletteSize);
  std::int64_t block = 1;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    LayerTable values(numbers.size());
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      for (const LoggedLayer& layer : runs[i].run->layers) {
        values[k].push_back(numbers[k].of(layer));
      }
      block = std::max(block, add_layer_lines(figure.panels[k], runs, i, each, values[k]));
    }
    figure.tables.push_back(layer_table(runs[i], numbers, values));
  }
  if (!each) {
    figure.notes.push_back("Line: mean over the layers.");
    figure.notes.push_back("Band: the lowest and the highest layer.");
  }
  if (block > 1) {
    figure.notes.push_back("Each point is the mean of " + count_text(block) +
                           " consecutive descriptions, at the step of the last.");
  }
}

// The steps from which κ is learned and U is at its final value, where all runs have the same.
void mark_warm_up(Figure& figure, NamedRuns runs) {
  std::string note;
  const auto mark = [&](std::int64_t LoggedRun::* step, const char* what) {
    const std::int64_t first = runs[0].run->*step;
    const bool same = std::all_of(runs.begin(), runs.end(),
                                  [&](const NamedRun& one) { return one.run->*step == first; });
    if (!same || first < 0) { return; }
    for (Panel& panel : figure.panels) { panel.references.push_back({double(first), true, ""}); }
    note += (note.empty() ? "Upright lines: " : "; ") + (what + count_text(first));
  };
  mark(&LoggedRun::kappa_learned, "κ is learned from step ");
  mark(&LoggedRun::bound_reached, "U has its final value from step ");
  if (!note.empty()) { figure.notes.push_back(note + "."); }
}

void draw_kappa(Figure& figure, NamedRuns runs) {
  constexpr LayerNumber kNumbers[] = {
      {"kappa_mean", [](const LoggedLayer& layer) { return layer.kappa_mean; }},
      {"kappa_sd", [](const LoggedLayer& layer) { return layer.kappa_spread; }}};
  figure.panels = {step_panel("Mean of κ", "κ", "", true),
                   step_panel("Spread of κ", "Standard deviation of κ", "", false)};
  figure.panels[0].references.push_back({1, false, "κ = 1"});
  draw_layers(figure, runs, kNumbers);
  mark_warm_up(figure, runs);
  figure.notes.push_back("κ is taken over the tokens, experts and gate units of a layer.");
}

void draw_load(Figure& figure, NamedRuns runs) {
  constexpr LayerNumber kNumbers[] = {
      {"load_entropy", [](const LoggedLayer& layer) { return load_course(layer).entropy; }},
      {"load_over_even_max", [](const LoggedLayer& layer) { return load_course(layer).largest; }},
      {"load_over_even_min", [](const LoggedLayer& layer) { return load_course(layer).smallest; }}};
  figure.panels = {step_panel("Entropy of the load", "Share of ln E", "", false),
                   step_panel("Busiest expert", "Load over 1/E", "", false),
                   step_panel("Least busy expert", "Load over 1/E", "", false)};
  for (const std::size_t i : {1U, 2U}) {
    figure.panels[i].references.push_back({1, false, "even"});
  }
  draw_layers(figure, runs, kNumbers);
}

void draw_budget(Figure& figure, NamedRuns runs) {
  constexpr LayerNumber kNumbers[] = {
      {"budget", [](const LoggedLayer& layer) { return layer.budget; }},
      {"experts_run", [](const LoggedLayer& layer) { return layer.experts_run; }}};
  figure.panels = {step_panel("Budget of soft routing", "Budget of a layer", "", false),
                   step_panel("Experts run", "Experts per token", "", false)};
  draw_layers(figure, runs, kNumbers);
}

constexpr TrainingFigure kFigures[] = {
    {"train-loss", "Loss over training", "loss trained on and held out, over the steps of training",
     "loss", "loss", draw_loss, [](const LoggedRun&) { return true; }},
    {"train-kappa", "κ over training", "mean and spread of κ in each layer, over the steps",
     "kappa_sd", "κ", draw_kappa, [](const LoggedRun& run) { return run.has_kappa(); }},
    {"train-load", "Load of the experts over training",
     "entropy of the load, busiest and least busy expert of each layer, over the steps",
     "load_over_even_max", "load of experts", draw_load,
     [](const LoggedRun& run) {
       return std::any_of(run.layers.begin(), run.layers.end(),
                          [](const LoggedLayer& layer) { return layer.experts > 0; });
     }},
    {"train-budget", "Budget of soft routing over training",
     "budget of each layer and experts that ran, over the steps", "budget", "budget", draw_budget,
     [](const LoggedRun& run) { return run.has_budget(); }},
};

// "step 340 of 2,000"
std::string progress_text(const LoggedRun& run) {
  const std::string at = "step " + count_text(run.last_step());
  return run.steps > 0 ? at + " of " + count_text(run.steps) : at;
}

// What is the same of all is said once, in the end.
std::string subtitle_of(NamedRuns runs) {
  const std::string first = progress_text(*runs[0].run);
  const bool same = std::all_of(runs.begin(), runs.end(), [&](const NamedRun& one) {
    return progress_text(*one.run) == first;
  });
  std::string text;
  for (const NamedRun& one : runs) {
    text += (text.empty() ? "" : same ? ", " : " · ") + one.name;
    if (!same) { text += ": " + progress_text(*one.run); }
  }
  return same ? text + " · " + first : text;
}

void make_empty(Figure& figure, LoggedRuns runs, std::string_view what) {
  const bool no_step =
      std::all_of(runs.begin(), runs.end(), [](const LoggedRun* run) { return run->step.empty(); });
  make_empty(figure, no_step ? kNoStep : join_words("nothing to show: the log has no ", what));
}

// Whose tables these are, as many of each run, and whose figure.
void sign(Figure& figure, NamedRuns runs) {
  std::vector<std::string> names;
  for (const NamedRun& one : runs) { names.push_back(one.name); }
  const std::vector<std::string> words = file_words(names);
  const std::size_t tables = figure.tables.size() / runs.size();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const bool one = runs.size() == 1;
    for (std::size_t k = 0; k < tables && !one; ++k) {
      figure.tables[i * tables + k].run = words[i];
    }
    figure.provenance.emplace_back(one ? "run" : "run " + std::to_string(i + 1), names[i]);
  }
  figure.provenance.emplace_back("schema", kTrainSchema);
}

}  // namespace

Figure TrainingFigure::make(LoggedRuns runs) const {
  std::vector<std::filesystem::path> folders;
  for (const LoggedRun* run : runs) { folders.push_back(run->folder); }
  const std::vector<std::string> names = folder_names(folders);
  std::vector<NamedRun> shown, all;
  std::vector<std::string> left_out;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    all.push_back({runs[i], names[i], i});
    if (shows(*runs[i])) {
      shown.push_back(all.back());
    } else {
      left_out.push_back(join_words(names[i], " is not drawn: its log has no ", shown_part, "."));
    }
  }
  const bool none = shown.empty();
  if (none) { shown = all; }
  Figure figure;
  figure.id = figure.name = id;
  figure.title = title;
  figure.subtitle = subtitle_of(shown);
  draw(figure, shown);
  if (none) {
    make_empty(figure, runs, shown_part);
  } else {
    figure.notes.insert(figure.notes.end(), left_out.begin(), left_out.end());
  }
  for (Panel& panel : figure.panels) {  // what is empty says why, and nothing else
    if (!is_empty(panel)) { continue; }
    panel.references.clear();
    panel.lines.clear();
  }
  bands_to_lines(figure);
  sign(figure, shown);
  return figure;
}

std::span<const TrainingFigure> training_figures() {
  return kFigures;
}

const TrainingFigure* training_figure(std::string_view id) {
  for (const TrainingFigure& figure : kFigures) {
    if (figure.id == id) { return &figure; }
  }
  return nullptr;
}

}  // namespace kappascope
