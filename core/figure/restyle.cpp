#include "core/figure/restyle.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/figure/caption.h"
#include "core/figure/cells.h"
#include "core/figure/prepared.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

using Names = std::vector<std::string*>;

constexpr std::ptrdiff_t kMostBands = 4;  // more of them hide each other
constexpr const char* kBandNote = "Band: ";
constexpr const char* kBandLinesNote = "Pale lines, the ends of the band: ";

// --- Names ---------------------------------------------------------------------------------------

void add_scale_names(Names& names, ColourScale& scale) {
  for (std::string* name : {&scale.no_value, &scale.under, &scale.rest}) { names.push_back(name); }
  for (std::string& name : scale.names) { names.push_back(&name); }
}

// What a legend calls its entries, and the names of runs above panels.
Names entry_names(Figure& figure) {
  Names names;
  for (Panel& panel : figure.panels) {
    names.push_back(&panel.title);
    for (Line& line : panel.lines) { names.push_back(&line.name); }
    for (Points& points : panel.points) { names.push_back(&points.name); }
    for (Bars& bars : panel.bars) { names.push_back(&bars.name); }
    for (Bins& bins : panel.bins) { names.push_back(&bins.name); }
    for (StackedBars& stack : panel.stacks) {
      for (std::string& name : stack.names) { names.push_back(&name); }
    }
    for (HeatMap& map : panel.heat_map) {
      names.push_back(&map.outline_name);
      add_scale_names(names, map.colours);
    }
  }
  std::erase_if(names, [](const std::string* name) { return name->empty(); });
  return names;
}

// "d8-kappa" is also the head of "d8-kappa (mean 2.1 nats)" and "d8-kappa: Load".
bool is_called(const std::string& entry, std::string_view name) {
  if (!entry.starts_with(name)) { return false; }
  const std::string_view rest = std::string_view(entry).substr(name.size());
  return rest.empty() || rest.starts_with(" (") || rest.starts_with(": ");
}

std::string listed(const Names& names) {
  std::vector<std::string> shown;
  for (const std::string* name : names) {
    if (std::find(shown.begin(), shown.end(), *name) == shown.end()) { shown.push_back(*name); }
  }
  std::string text;
  for (std::size_t i = 0; i < shown.size() && i < 6; ++i) {
    text += (i ? ", '" : "'") + shown[i] + "'";
  }
  return text + (shown.size() > 6 ? " …" : "");
}

// The runs of a caption, "d8-kappa, prose: step 4,800 · d4-kappa, prose: step 9,600", where parts
// of a name have commas between them.
void rename_heads(std::string& text, std::string_view name, std::string_view now) {
  constexpr std::string_view kBetween = " · ";
  const std::string there = as_one_item(std::string(name));
  for (std::size_t at = 0; at != text.npos;) {
    if (text.compare(at, there.size() + 2, there + ": ") == 0) {
      text.replace(at, there.size(), now);
    }
    const std::size_t next = text.find(kBetween, at);
    at = next == text.npos ? text.npos : next + kBetween.size();
  }
}

// `before`: what the entries were called when the figure was made; "" once they have a new name.
// Names of runs may hold '=': the entry decides which one is meant.
std::string relabel(Figure& figure, const Names& names, std::vector<std::string>& before,
                    const std::string& word) {
  bool found = false;
  for (std::size_t at = word.find('='); at != word.npos && !found; at = word.find('=', at + 1)) {
    const std::string_view name = std::string_view(word).substr(0, at);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const bool now = is_called(*names[i], name);
      if (before[i].empty() || (!now && !is_called(before[i], name))) { continue; }
      // What stands behind the name stays as it is shown.
      const std::size_t behind = (now ? *names[i] : before[i]).size() - name.size();
      const std::size_t length = names[i]->size();
      *names[i] = word.substr(at + 1) + names[i]->substr(length - std::min(length, behind));
      before[i].clear();
      found = true;
    }
    if (!found) { continue; }
    rename_heads(figure.subtitle, name, word.substr(at + 1));
    for (std::string& note : figure.notes) { rename_heads(note, name, word.substr(at + 1)); }
  }
  if (found) { return ""; }
  return names.empty() ? "it has no legend"
                       : "none of its entries has this name; it has " + listed(names);
}

// --- Axes ----------------------------------------------------------------------------------------

// Axes of one direction by name, in order; those that share another's place are the other's.
std::vector<std::vector<FigureAxis*>> axes_of(Figure& figure, bool horizontal, bool numbers_only) {
  std::vector<std::vector<FigureAxis*>> axes;
  for (Panel& panel : figure.panels) {
    FigureAxis& axis = horizontal ? panel.x : panel.y;
    const bool numbers = axis.scale != Scale::category;
    if (is_empty(panel) || (axis.name.empty() && axis.unit.empty()) || (numbers_only && !numbers)) {
      continue;
    }
    const auto same = std::find_if(axes.begin(), axes.end(), [&](const auto& group) {
      return group[0]->name == axis.name && group[0]->unit == axis.unit;
    });
    if (same == axes.end()) {
      axes.push_back({&axis});
    } else {
      same->push_back(&axis);
    }
  }
  return axes;
}

// Why so many words cannot be given to these axes; "" when they can.
std::string why_not_each(const std::vector<std::vector<FigureAxis*>>& axes, std::size_t words,
                         bool horizontal, bool numbers_only) {
  const std::string axis = horizontal ? "x axis" : "y axis";
  if (axes.empty()) {
    return "it has no " + axis + (numbers_only ? " of numbers" : " with a name");
  }
  if (axes.size() == words) { return ""; }
  std::string names;
  for (const auto& group : axes) { names += (names.empty() ? "'" : ", '") + group[0]->name + "'"; }
  return axes.size() == 1
             ? "it has one " + axis + ", " + names
             : join_words("it has ", axes.size(), " of them, ", names, ": give it once for each");
}

std::string set_axis_names(Figure& figure, const std::vector<std::string>& names, bool horizontal) {
  const auto axes = axes_of(figure, horizontal, false);
  const std::string why = why_not_each(axes, names.size(), horizontal, false);
  if (!why.empty()) { return why; }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (FigureAxis* axis : axes[i]) {
      axis->name = names[i];
      axis->unit.clear();
    }
  }
  return "";
}

// A line at a value that is no longer in sight has no label either.
void drop_references(Figure& figure) {
  for (Panel& panel : figure.panels) {
    std::erase_if(panel.references, [&](const ReferenceLine& line) {
      const FigureAxis& axis = line.vertical ? panel.x : panel.y;
      return line.value < axis.low || line.value > axis.high;
    });
  }
}

std::string set_axis_ends(Figure& figure, const std::vector<AxisEnds>& ends, bool horizontal) {
  const auto axes = axes_of(figure, horizontal, true);
  std::string why = why_not_each(axes, ends.size(), horizontal, true);
  for (std::size_t i = 0; i < axes.size() && why.empty(); ++i) {
    if (axes[i][0]->scale == Scale::log && (ends[i].low <= 0 || ends[i].high <= 0)) {
      why = "'" + axes[i][0]->name + "' is logarithmic: only numbers above 0 have a place";
    }
  }
  if (!why.empty()) { return why; }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (FigureAxis* axis : axes[i]) {
      if (std::isfinite(ends[i].low)) { axis->low = ends[i].low; }
      if (std::isfinite(ends[i].high)) { axis->high = ends[i].high; }
    }
  }
  drop_references(figure);
  return "";
}

// --- Colours -------------------------------------------------------------------------------------

std::string set_colour_ends(Figure& figure, AxisEnds ends) {
  const std::vector<Coloured> bars = colour_bars(figure);
  if (bars.empty()) { return "it has no colour bar"; }
  for (const auto& [scale, values] : bars) {
    if (scale->log && (ends.low <= 0 || ends.high <= 0)) {
      return "its colour bar is logarithmic: only numbers above 0 have a place";
    }
    const ColourMap own(*scale, *values);
    const double low = std::isfinite(ends.low) ? ends.low : own.low();
    const double high = std::isfinite(ends.high) ? ends.high : own.high();
    if (!(low < high)) {
      return join_words("its colours go from ", number_text(own.low()), " to ",
                        number_text(own.high()), ", so nothing would be left");
    }
  }
  bool beyond = false;
  for (const auto& [scale, values] : bars) {
    if (std::isfinite(ends.low)) { scale->low = ends.low; }
    if (std::isfinite(ends.high)) { scale->high = ends.high; }
    beyond = beyond || ColourMap(*scale, *values).any_beyond();
  }
  if (beyond) {
    figure.notes.push_back("Values beyond an end of the colour bar have the colour of that end.");
  }
  return "";
}

// Printed in grey, a diverging map parts only when its lightness goes one way.
void make_one_way(Figure& figure) {
  for (const auto& [scale, values] : colour_bars(figure)) {
    if (scale->kind != ColourKind::diverging) { continue; }
    const ColourMap own(*scale, *values);
    scale->low = own.low();
    scale->high = own.high();
    scale->kind = ColourKind::sequential;
  }
}

// Without colours it is dashes that distinguish lines.
void dash_lines(Figure& figure) {
  for (Panel& panel : figure.panels) {
    std::vector<int> colours;
    for (const Line& line : panel.lines) {
      if (std::find(colours.begin(), colours.end(), line.colour) == colours.end()) {
        colours.push_back(line.colour);
      }
    }
    const bool dashed = std::any_of(panel.lines.begin(), panel.lines.end(),
                                    [](const Line& line) { return line.dash != 0; });
    for (Line& line : panel.lines) {
      if (dashed) { break; }
      line.dash = static_cast<int>(std::find(colours.begin(), colours.end(), line.colour) -
                                   colours.begin());
    }
  }
}

// --- Bands and words -----------------------------------------------------------------------------

std::string drop_bands(Figure& figure) {
  bool any = false;
  for (Panel& panel : figure.panels) {
    for (Line& line : panel.lines) {
      any = any || !line.low.empty();
      line.low.clear();
      line.high.clear();
    }
    const std::size_t before = panel.lines.size();
    std::erase_if(panel.lines, [](const Line& line) { return line.of_band; });
    any = any || panel.lines.size() != before;
  }
  std::erase_if(figure.notes, [](const std::string& note) {
    return note.starts_with(kBandNote) || note.starts_with(kBandLinesNote);
  });
  return any ? "" : "it has no bands";
}

std::string in_words(std::string text) {
  static constexpr std::pair<const char*, const char*> kWords[] = {
      {"κz", "kappa z"}, {"κ", "kappa"},         {"α·s", "alpha s"}, {"α", "alpha"},
      {"ρ", "rho"},      {"z·σ(", "z sigmoid("}, {"σ", "sigma"},     {"Δ", "change of "},
      {" × ", " by "},   {"×10", "x10"},         {"∞", "infinity"},  {"…", "..."}};
  for (const auto& [symbol, word] : kWords) {
    for (std::size_t at = text.find(symbol); at != text.npos;
         at = text.find(symbol, at + std::string_view(word).size())) {
      text.replace(at, std::string_view(symbol).size(), word);
    }
  }
  return text;
}

void use_words(Figure& figure) {
  const auto change = [](std::string& text) { text = in_words(text); };
  change(figure.title);
  change(figure.subtitle);
  for (std::string& note : figure.notes) { change(note); }
  for (std::string* name : entry_names(figure)) { change(*name); }
  for (Panel& panel : figure.panels) {
    change(panel.empty);
    for (FigureAxis* axis : {&panel.x, &panel.y}) {
      change(axis->name);
      change(axis->unit);
    }
    for (ReferenceLine& line : panel.references) { change(line.label); }
    const auto bar = [&](ColourScale& scale) {
      scale.arrows = false;
      for (std::string* text : {&scale.label, &scale.unit, &scale.low_note, &scale.high_note}) {
        change(*text);
      }
    };
    for (HeatMap& map : panel.heat_map) { bar(map.colours); }
    for (Points& points : panel.points) { bar(points.colours); }
  }
}

}  // namespace

void add_colour_bars(std::vector<Coloured>& bars, Panel& panel) {
  const auto add = [&](ColourScale& scale, const std::vector<float>& values) {
    if (scale.kind == ColourKind::categorical || values.empty()) { return; }
    if (ColourMap(scale, values).any_value()) { bars.push_back({&scale, &values}); }
  };
  for (HeatMap& map : panel.heat_map) { add(map.colours, map.cells); }
  for (Points& points : panel.points) { add(points.colours, points.value); }
}

std::vector<Coloured> colour_bars(Figure& figure) {
  std::vector<Coloured> bars;
  for (Panel& panel : figure.panels) { add_colour_bars(bars, panel); }
  return bars;
}

std::vector<NotActing> restyle(Figure& figure, const FigureStyle& style) {
  std::vector<NotActing> left;
  const auto say = [&](std::string setting, std::string why) {
    if (!why.empty()) { left.push_back({std::move(setting), std::move(why)}); }
  };
  if (!style.bands) { say("--no-band", drop_bands(figure)); }
  if (!style.x_ends.empty()) { say("--xlim", set_axis_ends(figure, style.x_ends, true)); }
  if (!style.y_ends.empty()) { say("--ylim", set_axis_ends(figure, style.y_ends, false)); }
  const bool low = std::isfinite(style.values.low), high = std::isfinite(style.values.high);
  if (low || high) {
    say(low && high ? "--vmin, --vmax"
        : low       ? "--vmin"
                    : "--vmax",
        set_colour_ends(figure, style.values));
  }
  const Names names = entry_names(figure);
  std::vector<std::string> before;
  for (const std::string* name : names) { before.push_back(*name); }
  if (style.words) { use_words(figure); }
  for (const std::string& word : style.labels) {
    say("--label " + word, relabel(figure, names, before, word));
  }
  if (!style.title.empty()) { figure.title = style.title; }
  if (!style.x_labels.empty()) { say("--xlabel", set_axis_names(figure, style.x_labels, true)); }
  if (!style.y_labels.empty()) { say("--ylabel", set_axis_names(figure, style.y_labels, false)); }
  if (style.theme == FigureTheme::grey) {
    make_one_way(figure);
    dash_lines(figure);
  }
  return left;
}

void bands_to_lines(Figure& figure) {
  for (Panel& panel : figure.panels) {
    const auto bands = std::count_if(panel.lines.begin(), panel.lines.end(),
                                     [](const Line& line) { return !line.low.empty(); });
    if (bands <= kMostBands) { continue; }
    std::vector<Line> ends;
    for (Line& line : panel.lines) {
      for (std::vector<double>* values : {&line.low, &line.high}) {
        if (values->empty()) { continue; }
        Line end;
        end.x = line.x;
        end.y = std::move(*values);
        end.colour = line.colour;
        end.dash = line.dash;
        end.weight = Line::Weight::faint;
        end.of_band = true;
        end.layers = line.layers;
        values->clear();
        ends.push_back(std::move(end));
      }
    }
    std::move(ends.begin(), ends.end(), std::back_inserter(panel.lines));
    for (std::string& note : figure.notes) {
      if (note.starts_with(kBandNote)) {
        note.replace(0, std::string_view(kBandNote).size(), kBandLinesNote);
      }
    }
  }
}

}  // namespace kappascope
