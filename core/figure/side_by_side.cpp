#include "core/figure/side_by_side.h"

#include <algorithm>
#include <cmath>

#include "core/figure/cells.h"
#include "core/figure/restyle.h"
#include "core/figure/runs.h"

namespace kappascope {
namespace {

// The widest ends that any of them has by itself become those of all.
void share_panel(std::vector<Figure>& figures, std::size_t panel) {
  std::vector<Coloured> all;
  for (Figure& figure : figures) {
    if (panel < figure.panels.size()) { add_colour_bars(all, figure.panels[panel]); }
  }
  double low = kNaN, high = kNaN;
  for (const auto& [scale, values] : all) {
    const ColourMap map(*scale, *values);
    low = std::isfinite(low) ? std::min(low, map.low()) : map.low();
    high = std::isfinite(high) ? std::max(high, map.high()) : map.high();
  }
  for (const auto& [scale, values] : all) {
    scale->low = low;
    scale->high = high;
  }
}

void head(Panel& panel, const std::string& run, const std::string& beyond) {
  const std::string own = panel.title;
  panel.title = run + beyond;
  if (!own.empty()) { panel.title += ": " + own; }
}

}  // namespace

void share_colours(std::vector<Figure>& figures) {
  std::size_t panels = 0;
  for (const Figure& figure : figures) { panels = std::max(panels, figure.panels.size()); }
  for (std::size_t panel = 0; panel < panels; ++panel) { share_panel(figures, panel); }
}

std::vector<std::string> notes_of_runs(std::span<const Figure* const> figures,
                                       std::span<const std::string> runs) {
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    for (const std::string& note : figures[i]->notes) {
      const bool of_all = std::all_of(figures.begin(), figures.end(), [&](const Figure* other) {
        return std::find(other->notes.begin(), other->notes.end(), note) != other->notes.end();
      });
      if (of_all && i > 0) { continue; }
      notes.push_back(of_all ? note : runs[i] + ": " + note);
    }
  }
  return notes;
}

Figure side_by_side(std::vector<Figure> figures, const std::vector<std::string>& runs,
                    const std::string& title, const std::string& subtitle) {
  share_colours(figures);
  Figure all;
  all.id = figures[0].id;
  all.name = figures[0].name;
  all.title = title;
  all.part_of_layers = figures[0].part_of_layers;
  all.subtitle = subtitle;
  const std::vector<std::string> words = file_words(runs);
  for (std::size_t i = 0; i < figures.size(); ++i) {
    Figure& figure = figures[i];
    const std::string beyond =
        figure.title.starts_with(title) ? figure.title.substr(title.size()) : "";
    for (Panel& panel : figure.panels) {
      if (!panel.beside && !panel.below) { head(panel, runs[i], beyond); }
      all.panels.push_back(std::move(panel));
    }
    for (std::size_t k = 0; k < figure.tables.size(); ++k) {
      figure.tables[k].run = words[i];
      all.tables.push_back(std::move(figure.tables[k]));
    }
    for (auto& [key, value] : figure.provenance) {
      all.provenance.emplace_back(key + " " + std::to_string(i + 1), std::move(value));
    }
  }
  std::vector<const Figure*> of_each;
  for (const Figure& figure : figures) { of_each.push_back(&figure); }
  all.notes = notes_of_runs(of_each, runs);
  return all;
}

}  // namespace kappascope
