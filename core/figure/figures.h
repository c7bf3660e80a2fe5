// The figures of the catalogue; catalogue.cpp says what each shows.
#pragma once

#include "core/figure/catalogue.h"
#include "core/stats/expert_similarity.h"

namespace kappascope::figures {

Figure loss(Traces traces, const FigureChoices& choices);
Figure router_confidence(Traces traces, const FigureChoices& choices);
Figure router_margin(Traces traces, const FigureChoices& choices);
Figure router_entropy(Traces traces, const FigureChoices& choices);
Figure logit_lens(Traces traces, const FigureChoices& choices);
Figure patching(Traces traces, const FigureChoices& choices);
Figure router_probability(Traces traces, const FigureChoices& choices);
Figure expert_choice(Traces traces, const FigureChoices& choices);
Figure expert_load(Traces traces, const FigureChoices& choices);
Figure expert_drops(Traces traces, const FigureChoices& choices);
Figure expert_coactivation(Traces traces, const FigureChoices& choices);
Figure expert_budget(Traces traces, const FigureChoices& choices);
Figure soft_weight(Traces traces, const FigureChoices& choices);
Figure decode_overlap(Traces traces, const FigureChoices& choices);
Figure expert_domains(Traces traces, const FigureChoices& choices);
Figure expert_tokens(Traces traces, const FigureChoices& choices);
Figure expert_importance(Traces traces, const FigureChoices& choices);
Figure kappa_tokens(Traces traces, const FigureChoices& choices);
Figure kappa_experts(Traces traces, const FigureChoices& choices);
Figure kappa_depth(Traces traces, const FigureChoices& choices);
Figure kappa_distribution(Traces traces, const FigureChoices& choices);
Figure kappa_parameters(Traces traces, const FigureChoices& choices);
Figure kappa_vs_score(Traces traces, const FigureChoices& choices);
Figure silu_kappa(Traces traces, const FigureChoices& choices);
Figure kappa_confidence(Traces traces, const FigureChoices& choices);
Figure gate_sharpness(Traces traces, const FigureChoices& choices);
Figure gate_active(Traces traces, const FigureChoices& choices);
Figure gate_top16(Traces traces, const FigureChoices& choices);
Figure gate_saturation(Traces traces, const FigureChoices& choices);
Figure effect(Traces traces, const FigureChoices& choices);
Figure sharpness_by_confidence(Traces traces, const FigureChoices& choices);
Figure statistics_depth(Traces traces, const FigureChoices& choices);
Figure step_series(Traces traces, const FigureChoices& choices);
Figure routing_change(Traces traces, const FigureChoices& choices);  // of two

// Of weights, without a trace. `model`: its name, as the line under the title.
Figure similarity(const ExpertSimilarity& similarity, const std::string& model);

}  // namespace kappascope::figures
