// Figures of weights alone: of a checkpoint, without a text.
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/stats/expert_similarity.h"

namespace kappascope::figures {
namespace {

Panel cosine_panel(const ExpertSimilarity& similarity, const std::vector<double>& cosines,
                   const std::string& title) {
  const std::int64_t n = similarity.experts;
  LayerMap map{n, n, {}, true};
  bool all_known = true;  // no vector is 0 or not finite
  for (const std::int64_t i : similarity.order) {
    for (const std::int64_t j : similarity.order) {
      all_known = all_known && std::isfinite(cosines[i * n + j]);
      map.values.push_back(i == j ? kNaN : static_cast<float>(cosines[i * n + j]));
    }
  }
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.label = "Cosine";
  colours.centre = 0;
  colours.most = 1;
  colours.low_note = "opposite";
  colours.high_note = "alike";
  colours.no_value =
      all_known ? "the same expert" : "the same expert, or weights that are 0 or not finite";
  const FigureAxis axis = expert_axis(similarity.order);
  Panel panel = cell_panel(axis, axis, std::move(map), std::move(colours));
  panel.title = title;
  panel.square = true;
  panel.empty = n < 2 ? "nothing to show: the layer has one expert"
                      : "nothing to show: all weights are 0 or not finite";
  return panel;
}

}  // namespace

Figure similarity(const ExpertSimilarity& similarity, const std::string& model) {
  const std::int64_t n = similarity.experts;
  Figure figure;
  figure.id = "similarity";
  figure.name = "similarity-layer" + std::to_string(similarity.layer);
  figure.title = "Similarity of the experts, layer " + std::to_string(similarity.layer);
  figure.subtitle = model;
  figure.panels = {cosine_panel(similarity, similarity.weights, "Weights of the experts"),
                   cosine_panel(similarity, similarity.router, "Rows of the router")};
  figure.notes.push_back(
      "Weights: gate, up and down of an expert as one vector. Both in the order that puts experts "
      "of alike weights beside each other (average linkage).");
  Table table;
  table.rows = n * n;
  table.columns = {{"model", std::vector<std::string>{model}},
                   {"layer", std::vector<std::int64_t>{similarity.layer}},
                   index_column("expert", n, n),
                   index_column("other_expert", n),
                   {"weights_cosine", similarity.weights},
                   {"router_cosine", similarity.router}};
  figure.tables.push_back(std::move(table));
  figure.provenance = {{"model", model}};
  return figure;
}

}  // namespace kappascope::figures
