// What the experts of a corpus are given: its domains, and their most frequent tokens.
#include <algorithm>
#include <numeric>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/readout.h"
#include "core/figure/text.h"
#include "core/stats/domains.h"
#include "core/stats/router.h"

namespace kappascope::figures {
namespace {

constexpr std::int64_t kMostDomains = 40;       // rows that can be read
constexpr std::int64_t kMostTokenExperts = 64;  // likewise
constexpr std::int64_t kTokenColumns = 8;       // of kTopExpertTokens, which the table has
constexpr double kRowHeight = 3.2;              // mm, of a row of tokens
constexpr double kLeastOfDomain = 5;            // assignments by chance

// Why there is nothing to show of a trace; "" where there is.
std::string no_corpus_because(const Trace& trace) {
  if (trace.layers == 0) { return nothing_because(trace); }
  return trace.corpus ? ""
                      : "nothing to show: kappascope stats, over a corpus, makes what it shows";
}

ColourScale domain_colours() {
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.log = true;
  colours.centre = 1;
  colours.label = "Share of the domain in the expert's assignments over its share in all";
  colours.low_note = "less often";
  colours.high_note = "more often";
  colours.under = "none";
  colours.no_value = "fewer than 5 assignments by chance";
  return colours;
}

// Domains to show, by rising number of assignments: the largest is at the top.
std::vector<std::int64_t> shown_domains(const DomainShares& shares) {
  std::vector<std::int64_t> domains(std::size_t(shares.domains));
  std::iota(domains.begin(), domains.end(), 0);
  std::stable_sort(domains.begin(), domains.end(), [&](std::int64_t a, std::int64_t b) {
    return shares.of_domain[a] > shares.of_domain[b];
  });
  domains.resize(std::size_t(std::min(kMostDomains, shares.domains)));
  std::reverse(domains.begin(), domains.end());
  return domains;
}

Table domain_table(const DomainShares& shares, const std::vector<std::string>& names) {
  std::vector<std::string> domain;
  std::vector<std::int64_t> count;
  std::vector<double> expected, of_expert, of_corpus, over;
  for (std::int64_t d = 0; d < shares.domains; ++d) {
    for (std::int64_t e = 0; e < shares.experts; ++e) {
      domain.push_back(names[d]);
      count.push_back(shares.count[d * shares.experts + e]);
      expected.push_back(shares.expected(d, e));
      of_expert.push_back(shares.of_experts(d, e));
      of_corpus.push_back(shares.of_corpus(d));
      over.push_back(shares.over_corpus(d, e));
    }
  }
  Table table;
  table.rows = shares.domains * shares.experts;
  table.columns = {{"domain", std::move(domain)},
                   index_column("expert", shares.experts),
                   {"assignments", std::move(count)},
                   {"assignments_expected", std::move(expected)},
                   {"share_of_expert", std::move(of_expert)},
                   {"share_of_corpus", std::move(of_corpus)},
                   {"domain_over_corpus", std::move(over)}};
  return table;
}

void add_domain_notes(Figure& figure, const DomainShares& shares, std::int64_t shown) {
  if (shown < shares.domains) {
    figure.notes.push_back("The " + std::to_string(shown) + " largest of " +
                           count_text(shares.domains) + " domains; shares are of all of them.");
  }
  if (shares.without > 0) {
    figure.notes.push_back("Left out: " + count_text(shares.without) +
                           " assignments of documents without a domain.");
  }
}

// Cells, and beside them the share of each domain.
void add_domains(Figure& figure, const CorpusTotals& totals, std::int64_t row) {
  const DomainShares shares = domain_shares(totals, row);
  const std::vector<std::int64_t> shown = shown_domains(shares);
  FigureAxis axis{"Domain", "", Scale::category};
  LayerMap map;
  map.rows = std::ssize(shown);
  map.columns = shares.experts;
  std::vector<double> of_corpus;
  for (const std::int64_t d : shown) {
    axis.names.push_back(plain_text(totals.domains[d]));
    of_corpus.push_back(shares.of_corpus(d));
    for (std::int64_t e = 0; e < shares.experts; ++e) {
      const bool telling = shares.expected(d, e) >= kLeastOfDomain;
      map.values.push_back(telling ? float(shares.over_corpus(d, e)) : kNaN);
    }
  }
  Panel side = rate_panel("Share of all assignments", of_corpus, axis);
  Panel panel = cell_panel(expert_axis(shares.experts), axis, std::move(map), domain_colours());
  panel.empty = "nothing to show: too few assignments to expect any 5 of a domain";
  figure.panels = {std::move(panel)};
  if (shares.all > 0) { figure.panels.push_back(std::move(side)); }
  figure.tables = {domain_table(shares, totals.domains)};
  add_domain_notes(figure, shares, std::ssize(shown));
}

Panel nothing_panel(const std::string& why) {
  Panel panel;
  panel.empty = why;
  return panel;
}

// Ranks of every expert, with tokens of as many as there are.
Table token_table(const std::vector<std::vector<ExpertToken>>& all) {
  std::vector<std::int64_t> expert, rank, id, count;
  std::vector<std::string> text;
  std::vector<double> of_expert, of_token;
  for (std::size_t e = 0; e < all.size(); ++e) {
    for (std::size_t i = 0; i < all[e].size(); ++i) {
      const ExpertToken& token = all[e][i];
      expert.push_back(std::int64_t(e));
      rank.push_back(std::int64_t(i) + 1);
      id.push_back(token.id);
      text.push_back(token.text);
      count.push_back(token.count);
      of_expert.push_back(token.of_expert);
      of_token.push_back(token.of_token);
    }
  }
  Table table;
  table.rows = std::ssize(expert);
  table.columns = {{"expert", std::move(expert)},
                   {"token_rank", std::move(rank)},
                   {"token_id", std::move(id)},
                   {"token_text", std::move(text)},
                   {"assignments", std::move(count)},
                   {"share_of_expert", std::move(of_expert)},
                   {"share_of_token", std::move(of_token)}};
  return table;
}

ColourScale token_share_colours() {
  ColourScale colours;
  colours.label = "Share of the token in the expert's assignments";
  colours.unit = "%";
  colours.low = 0;
  colours.no_value = "no further token";
  return colours;
}

// The tokens of some experts as cells: one row an expert.
HeatMap token_cells(const std::vector<std::vector<ExpertToken>>& all,
                    const std::vector<std::int64_t>& shown) {
  HeatMap map;
  map.rows = std::ssize(shown);
  map.columns = kTokenColumns;
  map.colours = token_share_colours();
  for (const std::int64_t e : shown) {
    for (std::int64_t i = 0; i < kTokenColumns; ++i) {
      const bool any = i < std::ssize(all[e]);
      map.cells.push_back(any ? float(100 * all[e][i].of_expert) : kNaN);
      const std::string text = any ? token_label(all[e][i].text) : "";
      map.texts.push_back(any && text.empty() ? "id " + std::to_string(all[e][i].id) : text);
    }
  }
  return map;
}

void add_expert_tokens(Figure& figure, const TraceLayer& layer) {
  const CorpusTotals& totals = *layer.trace.corpus;
  const auto all = expert_tokens(totals, layer.row);
  std::vector<std::int64_t> shown = most_loaded_experts(expert_loads(layer), kMostTokenExperts);
  std::sort(shown.begin(), shown.end());
  Panel panel;
  panel.x = {"Most frequent tokens", "", Scale::category};
  for (std::int64_t i = 0; i < kTokenColumns; ++i) {
    panel.x.names.push_back(std::to_string(i + 1));
  }
  panel.y = expert_axis(shown);
  panel.height_mm = std::max(20.0, kRowHeight * double(shown.size()));
  panel.heat_map.push_back(token_cells(all, shown));
  panel.empty = "nothing to show: no token was counted";
  figure.panels = {std::move(panel)};
  figure.tables = {token_table(all)};
  if (std::ssize(shown) < layer.experts) {
    figure.notes.push_back("The " + std::to_string(shown.size()) + " most loaded of " +
                           count_text(layer.experts) + " experts.");
  }
  const std::int64_t missing = totals.rows[layer.row].tokens.missing;
  if (missing > 0) {
    figure.notes.push_back("Counts of tokens are short by at most " + count_text(missing) +
                           " each.");
  }
}

}  // namespace

Figure expert_domains(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-domains");
  std::string nothing = no_corpus_because(trace);
  if (nothing.empty() && trace.corpus->domains.empty()) {
    nothing = "nothing to show: no document has a domain; stats --domain-field names their field";
  }
  if (!nothing.empty()) {
    figure.panels = {nothing_panel(nothing)};
    figure.tables = {empty_table({"domain", "expert", "assignments", "assignments_expected",
                                  "share_of_expert", "share_of_corpus", "domain_over_corpus"})};
    return figure;
  }
  figure.row = chosen_layer(trace, choices);
  figure.title += ", " + layer_label(trace, figure.row);
  add_domains(figure, *trace.corpus, figure.row);
  return figure;
}

Figure expert_tokens(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-tokens");
  const std::string nothing = no_corpus_because(trace);
  if (!nothing.empty()) {
    figure.panels = {nothing_panel(nothing)};
    figure.tables = {empty_table({"expert", "token_rank", "token_id", "token_text", "assignments",
                                  "share_of_expert", "share_of_token"})};
    return figure;
  }
  figure.row = chosen_layer(trace, choices);
  figure.title += ", " + layer_label(trace, figure.row);
  add_expert_tokens(figure, TraceLayer(trace, figure.row));
  return figure;
}

}  // namespace kappascope::figures
