// What a prediction gains where single outputs of MoE layers are those of another text.
#include <filesystem>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/trace/meta.h"

namespace kappascope::figures {
namespace {

ColourScale patching_colours() {
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.label = "Change of the log-probability";
  colours.unit = "nats";
  colours.low_note = "less likely";
  colours.high_note = "more likely";
  colours.no_value = "not tried";
  return colours;
}

// "“mat” after token 6", "token 812 after token 6"
std::string prediction_text(const Trace& trace) {
  const std::string shown = token_label(text_of(meta_at(trace, "patching", "token_text")));
  const double id = number_of(meta_at(trace, "patching", "token_id"));
  const double at = number_of(meta_at(trace, "patching", "at"));
  return (shown.empty() ? "token " + number_text(id) : "“" + shown + "”") + " after token " +
         number_text(at);
}

// The folder of the run that outputs come from, never a path.
std::string source_text(const Trace& trace) {
  std::filesystem::path from = text_of(meta_at(trace, "patching", "from"));
  if (from.filename() == kTraceFile || from.filename().empty()) { from = from.parent_path(); }
  return from.filename().empty() ? "another place" : plain_text(from.filename().native());
}

}  // namespace

Figure patching(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  if (trace.patch_logprob.empty()) {
    Figure figure = start_figure(traces, "patching");
    Panel panel = cell_panel(token_axis(trace), layer_axis(trace), {}, {});
    panel.empty = "nothing to show: kappascope patch measures what it shows";
    figure.panels = {std::move(panel)};
    figure.tables = {empty_table({"layer", "pass", "token", "token_text", "patch_logprob"})};
    return figure;
  }
  Figure figure = start_figure(traces, "patching", ": " + prediction_text(trace));
  LayerMap map{trace.layers, trace.tokens, {}, true};
  for (const double change : trace.patch_logprob) { map.values.push_back(float(change)); }
  add_layer_tokens(figure, trace, std::move(map), patching_colours(), "patch_logprob");
  const double logprob = number_of(meta_at(trace, "patching", "logprob"));
  figure.notes.push_back("Each cell: the output of one MoE layer at one token is that of the run " +
                         source_text(trace) + "; without that the log-probability is " +
                         number_text(logprob) + " nats.");
  return figure;
}

}  // namespace kappascope::figures
