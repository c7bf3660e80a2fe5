// What a run was: model, κ, capacity, interventions, as the lines under titles and the names of
// runs say it, from the trace alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/figure/catalogue.h"
#include "core/trace/trace.h"

namespace kappascope {

std::string model_label(const Trace& trace);  // "d8-kappa, step 4,000"
// Which of several readings of the checkpoint was run: "SFT slot (residual), formula 2026-05".
std::string reading_label(const Trace& trace);
// What interventions changed, as words: "kappa-mul=2@3:1, top-k=1"; not κ or capacity off in the
// whole model.
std::string intervention_label(const Trace& trace);

// Of what the numbers of a picture are: of every token of `part`, of all that is counted (which may
// be the assistant's tokens alone), or some of this and some of that.
struct Contents {
  bool tokens = false, statistics = true;
  TokenRange part;
};
Contents contents_of(const Figure& figure, TokenRange part);
Contents contents_of(const std::vector<Figure>& figures, TokenRange part);

// The line under a title: "model · κ · capacity · interventions · type of numbers · tokens"; these
// as "tokens 3–9 of 87" where only a part of them is shown. Of several runs what is common is said
// once and first, then behind each run's name what else it is; `names` are those of the runs. Of
// one run that has a name among others: the name, then what else it is.
std::string caption(Traces traces, const std::vector<std::string>& names,
                    const Contents& contents = {});

// A run's name inside a caption, whose items are apart by " · ": where room is short whole items
// are left out, and half a name would be that of another run.
std::string as_one_item(std::string name);

// "A against B" of a figure that shows what run A changes from B, as an item of a caption.
std::string against_label(const std::string& run, const std::string& first);

bool without_capacity(const Trace& trace);  // no layer has one, so that nothing can be dropped

bool lacks_kappa(const Trace& trace);  // the model has learned no κ and the run set none
// κ of such a model, as its trace says; nothing in traces that do not say.
std::optional<double> kappa_constant(const Trace& trace);

// Why there is no κ to show, as in "A is not drawn: …": the model has none, or only a constant; ""
// otherwise.
std::string lacks_kappa_because(const Trace& trace);
// The same as a panel says it, also where the run had κ turned off.
std::string no_kappa_because(const Trace& trace);

// Why the parameters of κ cannot be shown, and why κ is not a function of the score; "" otherwise.
std::string no_parameters_because(const Trace& trace);
std::string no_score_because(const Trace& trace);

// κ follows from the gates' own pre-activations z, not from a score (kappa_input "gate_proj").
bool kappa_follows_gate(const Trace& trace);
// The score of κ comes from a linear router of its own, with α = 1.
bool has_kappa_router(const Trace& trace);
// α, b or both are not those of the checkpoint: an intervention changed them.
bool parameters_changed(const Trace& trace);

}  // namespace kappascope
