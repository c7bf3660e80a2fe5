#include <algorithm>
#include <numeric>
#include <utility>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/correlation.h"
#include "core/stats/each_layer.h"

namespace kappascope::figures {
namespace {

// A picture of more points shows no more, and takes a second a frame and gigabytes.
constexpr std::int64_t kMostCloudPoints = 200000;
constexpr std::int64_t kLayersAtOnce = 4;  // each takes memory for all of its points

// Which of `all` things, numbered from 0, are among `most`: one, at a place drawn from a fixed
// seed, of each of as many pieces of equal length, so that no period of the numbering shows.
class EvenSample {
 public:
  EvenSample(std::int64_t all, std::int64_t most) : all_(all), pieces_(std::min(all, most)) {}
  std::int64_t size() const { return pieces_; }

  // Of piece j < size(): ascending with j.
  std::int64_t place(std::int64_t j) const {
    const std::int64_t first = begin(j), length = begin(j + 1) - first;
    std::uint64_t hash = (static_cast<std::uint64_t>(j) + 1) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    return first + static_cast<std::int64_t>((hash >> 32) % static_cast<std::uint64_t>(length));
  }

 private:
  std::int64_t begin(std::int64_t j) const {  // j · all / pieces without overflow
    return j * (all_ / pieces_) + j * (all_ % pieces_) / pieces_;
  }
  std::int64_t all_, pieces_;
};

// The points of the cloud and the columns behind them.
struct Cloud {
  Points points;
  std::vector<std::int64_t> layers, passes, tokens, experts;

  void add(const TraceLayer& layer, const KappaConfidence& one, std::int64_t i, float depth) {
    points.x.push_back(one.mass[i]);
    points.y.push_back(one.kappa[i]);
    points.value.push_back(depth);
    points.subjects.push_back(
        {.row = int(layer.row), .token = int(one.token[i]), .expert = int(one.expert[i])});
    layers.push_back(layer.layer);
    passes.push_back(layer.pass);
    tokens.push_back(one.token[i]);
    experts.push_back(one.expert[i]);
  }

  Table table() {
    Table table;
    table.rows = std::ssize(layers);
    table.columns = {{"layer", std::move(layers)},       {"pass", std::move(passes)},
                     {"token", std::move(tokens)},       {"expert", std::move(experts)},
                     {"router_selected_mass", points.x}, {"kappa_mean", points.y}};
    return table;
  }
};

// Of each recorded layer: ρ, and how many points it has.
struct Correlations {
  std::vector<double> all, within;
  std::vector<std::int64_t> points;
};

// The cloud has the points of the layers that are shown one after another, or of very many a
// sample.
Cloud make_cloud(const Trace& trace, const FigureChoices& choices, Correlations& found) {
  const auto rows = static_cast<std::size_t>(trace.layers);
  found = {std::vector<double>(rows), std::vector<double>(rows), std::vector<std::int64_t>(rows)};
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const auto& wanted = choices.layers;
    const bool shown =
        wanted.empty() || std::binary_search(wanted.begin(), wanted.end(), trace.layer_index[row]);
    if (shown) { found.points[row] = confidence_points(TraceLayer(trace, row)); }
  }
  std::vector<std::int64_t> first(rows + 1, 0);  // of each layer among all points
  std::partial_sum(found.points.begin(), found.points.end(), first.begin() + 1);
  const EvenSample sample(first.back(), kMostCloudPoints);
  std::vector<std::int64_t> begin(rows + 1, 0);  // of each layer in the sample
  std::int64_t next = 0;
  for (std::size_t row = 0; row <= rows; ++row) {
    while (next < sample.size() && sample.place(next) < first[row]) { ++next; }
    begin[row] = next;
  }
  const std::vector<double> depth = relative_depth(trace);
  std::vector<Cloud> parts(rows);
  for_each_layer(
      trace.layers, choices.progress,
      [&](std::int64_t row) {
        const TraceLayer layer(trace, row);
        const KappaConfidence one = kappascope::kappa_confidence(layer);
        found.all[row] = one.rho;
        found.within[row] = one.rho_within;
        for (std::int64_t j = begin[row]; j < begin[row + 1]; ++j) {
          parts[row].add(layer, one, sample.place(j) - first[row], static_cast<float>(depth[row]));
        }
      },
      kLayersAtOnce);
  Cloud whole;
  whole.points.colours = depth_colours();
  for (const Cloud& part : parts) {
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(whole.points.x, part.points.x);
    append(whole.points.y, part.points.y);
    append(whole.points.value, part.points.value);
    append(whole.points.subjects, part.points.subjects);
    append(whole.layers, part.layers);
    append(whole.passes, part.passes);
    append(whole.tokens, part.tokens);
    append(whole.experts, part.experts);
  }
  return whole;
}

Line rank_line(const char* name, int number, const std::vector<double>& rho) {
  Line line;
  line.name = name;
  line.colour = line.dash = number;
  line.marker = true;
  for (std::size_t row = 0; row < rho.size(); ++row) { line.x.push_back(double(row)); }
  line.y = rho;
  return line;
}

Panel rank_panel(const Trace& trace, const Correlations& found) {
  Panel rho;
  rho.title = "Rank correlation";
  rho.x = layer_axis(trace);
  rho.y.name = "Spearman's ρ";
  rho.y.low = -1;
  rho.y.high = 1;
  rho.empty = nothing_because(trace);
  rho.references.push_back({0, false, ""});
  rho.lines = {rank_line("all points", 0, found.all), rank_line("within experts", 1, found.within)};
  if (rho.empty.empty()) { rho.empty = "nothing to show: κ or the confidence does not vary"; }
  return rho;
}

}  // namespace

Figure kappa_confidence(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "kappa-confidence");
  Correlations found;
  Cloud made = make_cloud(trace, choices, found);
  const std::int64_t shown = std::ssize(made.points.x);
  const std::int64_t all = std::accumulate(found.points.begin(), found.points.end(), 0LL);
  Table ranks;
  ranks.rows = trace.layers;
  ranks.columns = layer_columns(trace, 1);
  ranks.columns.push_back({"spearman_rho", found.all});
  ranks.columns.push_back({"spearman_rho_within_experts", found.within});
  figure.tables = {made.table(), std::move(ranks)};
  Panel cloud;
  cloud.title = "Each kept (token, expert)";
  cloud.x.name = "Probability of the chosen experts";
  cloud.y.name = "κ (mean over gates)";
  cloud.y.scale = Scale::log;
  cloud.empty = nothing_because(trace);
  cloud.references.push_back({1, false, "κ = 1"});
  cloud.points.push_back(std::move(made.points));
  figure.panels = {std::move(cloud), rank_panel(trace, found)};
  if (shown < all) {
    figure.panels[0].title = "Kept (token, expert), a sample";
    figure.sample = count_text(shown) + " of " + count_text(all) + " points";
    figure.notes.push_back(figure.sample + ", evenly drawn from all; ρ is of all.");
  }
  return figure;
}

}  // namespace kappascope::figures
