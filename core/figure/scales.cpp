#include "core/figure/scales.h"

#include <algorithm>

#include "core/stats/summary.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

ColourScale sequential(std::string label, std::string low_note, std::string high_note) {
  ColourScale colours;
  colours.label = std::move(label);
  colours.low_note = std::move(low_note);
  colours.high_note = std::move(high_note);
  return colours;
}

}  // namespace

ColourScale nll_colours() {
  ColourScale colours = sequential("Negative log-likelihood", "expected", "surprising");
  colours.unit = "nats";
  colours.low = 0;
  colours.no_value = "no token before it";
  return colours;
}

ColourScale confidence_colours() {
  return sequential("Largest routing probability", "undecided", "certain");
}

ColourScale lens_probability_colours() {
  ColourScale colours = sequential("Probability of the likeliest token", "undecided", "certain");
  colours.low = 0;
  colours.high = 1;
  return colours;
}

ColourScale lens_place_colours() {
  ColourScale colours = sequential("Place of the token that follows by probability, from 1",
                                   "likeliest", "unexpected");
  colours.log = true;  // which rank, from 0, cannot be on
  colours.integer = true;
  colours.low = 1;
  colours.no_value = "no token follows";
  return colours;
}

ColourScale margin_colours(const Trace& trace) {
  const std::string unit = text_of(meta_at(trace, "router_margin_unit"));
  ColourScale colours =
      sequential(unit == "weight" ? "Distance of the nearest weight from the threshold"
                                  : "Lowest chosen minus highest unchosen score",
                 "near tie", "clear choice");
  colours.unit = unit == "weight" || unit == "score" ? unit : "logits";
  colours.log = true;
  colours.low = trace.near_tie;
  const bool sent =
      any_intervention(trace, [](const std::string& word) { return word.starts_with("route"); });
  colours.under = sent ? "tie, or other experts than the router's" : "tie";
  return colours;
}

ColourScale depth_colours() {
  ColourScale colours;
  colours.label = "Relative depth of the layer";
  colours.low = 0;
  colours.high = 1;
  colours.palest = 0.25;
  return colours;
}

ColourScale entropy_colours() {
  return sequential("Entropy of the routing probabilities over ln E", "one expert", "all alike");
}

ColourScale kappa_colours(const std::string& label) {
  ColourScale colours = sequential(label, "softer than SiLU", "sharper than SiLU");
  colours.kind = ColourKind::diverging;
  colours.log = true;
  colours.centre = 1;
  colours.under = "0";
  return colours;
}

ColourScale token_kappa_colours(bool exact) {
  return kappa_colours(exact ? "κ (weighted geometric mean)"
                             : "κ (weighted geometric mean of the mean over gates)");
}

ColourScale sharpness_colours() {
  return sequential("Root mean square of κz over gates", "nearly linear", "nearly a switch");
}

ColourScale dropped_colours(double most) {
  ColourScale colours = sequential("Dropped assignments of the token", "all kept", "all dropped");
  colours.integer = true;
  colours.low = 0;
  colours.high = std::max(1.0, most);
  return colours;
}

ColourScale expert_colours(const Trace& trace) {
  ColourScale colours;
  colours.kind = ColourKind::categorical;
  for (std::int64_t e = 0; e < trace.experts; ++e) { colours.names.push_back(std::to_string(e)); }
  colours.label = "Expert";
  colours.integer = true;
  colours.no_value = "no expert";
  return colours;
}

float expert_value(std::int64_t e) {
  return e < 0 ? kNaN : static_cast<float>(e);
}

}  // namespace kappascope
