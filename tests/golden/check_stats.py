#!/usr/bin/env python3
"""Recomputes the statistics of a run with NumPy and compares them with what kappascope wrote.

    check_stats.py RUN_DIRECTORY

The directory holds trace.npz and summary.json; model.npz is there or one folder up. Written from
the definitions in docs/metrics.md alone. Prints the largest difference of every quantity; exits
with 1 when one is beyond its tolerance.
"""

import math
import sys

import numpy as np

from run_arrays import NAN, Comparison, Layer, Run, entropy, mean, sigmoid


def check_tokens_of_router(layer, comparison, where):
    """router_* of every token from the raw logits."""
    logits, run = layer.logits, layer.run
    rows = layer.finite & np.isfinite(logits).all(axis=1)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    chosen = np.zeros_like(p, dtype=bool)
    token, slot = np.nonzero(layer.chosen)
    chosen[token, layer.index[token, slot]] = True
    ranked = np.sort(logits, axis=1)
    expected = {
        "router_top1_prob": p.max(axis=1),
        "router_selected_mass": (p * chosen).sum(axis=1),
        "router_entropy": entropy(p) / math.log(max(layer.experts, 2)),
        "router_top_gap": ranked[:, -1] - ranked[:, -2] if layer.experts > 1 else p[:, 0] * NAN,
    }
    config = run.meta.get("model_config", {})
    if "soft_weight" in run.names:
        soft = layer.get("soft_weight")[:, : layer.experts].astype(np.float64)
        expected["router_margin"] = np.abs(soft - config["lapsum_threshold"]).min(axis=1)
    elif "selection_score" in run.names or not config.get("use_aux_free_load_balancing", False):
        score = logits
        if "selection_score" in run.names:
            score = layer.get("selection_score")[:, : layer.experts].astype(np.float64)
        low = np.where(chosen, score, np.inf).min(axis=1)
        high = np.where(chosen, -np.inf, score).max(axis=1)
        expected["router_margin"] = np.where(np.isfinite(low - high), low - high, NAN)
    for name, values in expected.items():
        comparison.add(name, values[rows], layer.get(name)[rows], where, 1e-4, 1e-5)


def check_loads(layer, summary, comparison, where):
    experts, count = layer.experts, int(layer.finite.sum())
    counted = layer.chosen & layer.finite[:, None]
    assigned = np.bincount(layer.index[counted], minlength=experts)
    total = assigned.sum()
    load = assigned / total if total else np.full(experts, NAN)
    comparison.add("load", load, summary["load"], where)
    mass = np.bincount(layer.index[counted], weights=layer.weight[counted], minlength=experts)
    comparison.add("gate_mass", mass / count if count else mass * NAN, summary["gate_mass"], where)
    if total:
        ratio = 0.0 if experts == 1 else entropy(load) / math.log(experts)
        comparison.add("load_entropy", ratio, summary["load_entropy"], where)
        comparison.add("load_cv", load.std() / load.mean(), summary["load_cv"], where)
        comparison.add("effective_experts", math.exp(entropy(load)), summary["effective_experts"],
                       where)
        comparison.add("effective_experts_share", math.exp(entropy(load)) / experts,
                       summary["effective_experts_share"], where)
        comparison.add("max_vio", experts * load.max() - 1, summary["max_vio"], where)
    comparison.add("unused_experts", (assigned == 0).sum(), summary["unused_experts"], where)
    if count:
        missed = np.prod(1 - counted.sum(axis=1)[layer.finite] / experts)
        comparison.add("unused_by_chance", experts * missed, summary["unused_by_chance"], where)
    if count:
        without = ~layer.kept[layer.finite].any(axis=1)
        comparison.add("no_expert_rate", without.mean(), summary["no_expert_rate"], where)
    logits = [mean(layer.logits[counted_by.any(axis=1), e])
              for e, counted_by in ((e, counted & (layer.index == e)) for e in range(experts))]
    comparison.add("mean_selected_logit", logits, summary["mean_selected_logit"], where)
    dropped, seated = (counted & ~layer.kept).sum(axis=0), counted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        comparison.add("drop_rate_by_slot", dropped / seated, summary["drop_rate_by_slot"], where)
        comparison.add("drop_rate", dropped.sum() / np.float64(total), summary["drop_rate"], where)


def capacity_of(layer):
    """Seats of an expert in all calls of the run; None without a limit or where calls overlap."""
    meta = layer.run.meta
    rule, chunks = meta["capacity"], meta["window"]["chunks"]
    if not rule["in_force"] or any(c["begin"] != c["first_recorded"] for c in chunks):
        return None
    slots = layer.index.shape[1]
    seats = 0
    for chunk in chunks:
        tokens = chunk["end"] - chunk["begin"]
        c = math.floor(((slots * rule["factor"]) * tokens) / layer.experts)
        seats += max(c + c % 2, rule["minimum"])
    return seats


def check_importance(layer, summary, comparison, where):
    """Utility, saliency, u² and what the trainer logs: absent where the trace lacks what they need."""
    names, experts = layer.run.names, range(layer.experts)
    kept_of = [layer.kept_finite & (layer.index == e) for e in experts]
    seats = capacity_of(layer)
    comparison.add("utility is known", seats is not None, "utility_mean" in summary, where)
    if seats is not None:
        utility = np.array([kept.sum() / seats for kept in kept_of])
        comparison.add("utility_min", utility.min(), summary["utility_min"], where)
        comparison.add("utility_mean", utility.mean(), summary["utility_mean"], where)
        logged = summary["as_logged"]
        occupancy = sum(kept.sum() for kept in kept_of) / (layer.experts * seats)
        comparison.add("as_logged.occupancy", occupancy, logged["occupancy"], where)
        for name in ("gate_mean_abs", "gate_active_fraction", "gate_top16_share"):
            comparison.add("as_logged." + name, mean(layer.get(name)[layer.kept]) * occupancy,
                           logged[name], where)
    comparison.add("saliency is known", "expert_output_norm" in names, "saliency" in summary, where)
    if "expert_output_norm" in names:
        norm = layer.get("expert_output_norm").astype(np.float64)
        pushed = [layer.weight[kept] * norm[kept] for kept in kept_of]
        comparison.add("saliency", [mean(x) for x in pushed], summary["saliency"], where)
        total = sum(np.nansum(x) for x in pushed)
        comparison.add("contribution", [np.nansum(x) / total if total > 0 else NAN for x in pushed],
                       summary["contribution"], where)
    check_slope(layer, summary, comparison, where)


def has_parameters(layer, e):
    """κ of the expert follows from α and b: not in a layer without κ, nor where an intervention set κ to a number."""
    if layer.layer < layer.run.meta["kappa"].get("start_layer", 0):
        return False
    edited = [layer.get(name) for name in ("kappa_bias_in_force", "kappa_scale_in_force") if name in layer.run.names]
    own = [array[e] if len(array) == layer.experts else array for array in edited]
    return not edited or "kappa_factor" not in layer.run.names or any(np.any(values != 0) for values in own)


def check_slope(layer, summary, comparison, where):
    if "kappa_u_square" not in layer.run.names:
        return
    square = layer.get("kappa_u_square")[: layer.experts]
    count = layer.get("effect_count")[: layer.experts]
    known = (count > 0) & np.isfinite(square) & [has_parameters(layer, e) for e in range(layer.experts)]
    expected = (square[known] * count[known]).sum() / count[known].sum() if known.any() else NAN
    comparison.add("kappa_slope_l2", expected, summary.get("kappa_slope_l2"), where)
    kappa = layer.run.meta["kappa"]
    for e in range(layer.experts):  # from s, α and b, where κ follows from them
        token, slot = np.nonzero(layer.kept_finite & (layer.index == e))
        found = layer.kappa_of(e, layer.get("kappa_input")[token, slot]) if token.size else None
        if found is None or "kappa_factor" in layer.run.names or not np.isfinite(found).all():
            continue
        share = np.log(found) / np.log(np.float64(layer.run.model["kappa_u"][layer.layer]))
        if np.abs(share).max() < 0.999:
            u = np.arctanh(share) / kappa.get("multiplier", 1)
            comparison.add("kappa_u_square", (u ** 2).mean(), square[e], where, 1e-4, 1e-6)


def check_router(layer, summary, comparison, where):
    for name, source in (("confidence", "router_top1_prob"),
                         ("selected_mass", "router_selected_mass"),
                         ("margin", "router_margin"), ("top_gap", "router_top_gap"),
                         ("router_entropy", "router_entropy")):
        comparison.add(name, mean(layer.get(source)), summary[name], where)
    nats = mean(layer.get("router_entropy").astype(np.float64) * math.log(layer.experts))
    comparison.add("router_entropy_nats", nats, summary["router_entropy_nats"], where)
    near = int((layer.get("router_margin") < np.float64(layer.run.meta["near_tie"])).sum())
    comparison.add("near_ties", near, summary["near_ties"], where)
    spoilt = ~layer.finite
    for name in ("kappa_mean", "gate_mean_abs"):
        spoilt = spoilt | (layer.kept & ~np.isfinite(layer.get(name))).any(axis=1)
    comparison.add("nonfinite_tokens", spoilt.sum(), summary["nonfinite_tokens"], where)


def check_kappa_of_slots(layer, token, slot, kappa, comparison, where):
    """kappa_mean … kappa_p95 of the kept slots of one expert."""
    for name, values in (("kappa_mean", kappa.mean(axis=1)), ("kappa_min", kappa.min(axis=1)),
                         ("kappa_max", kappa.max(axis=1)),
                         ("kappa_p05", np.quantile(kappa, 0.05, axis=1)),
                         ("kappa_p95", np.quantile(kappa, 0.95, axis=1))):
        comparison.add(name, values, layer.get(name)[token, slot], where)


def check_kappa(layer, summary, comparison, where):
    population, tops, bottoms, roots, root_sum = [], [], [], 0.0, 0.0
    known = True
    for expert in range(layer.experts):
        here = layer.kept_finite & (layer.index == expert) & np.isfinite(layer.get("kappa_mean"))
        token, slot = np.nonzero(here)
        if token.size == 0:
            continue
        kappa = layer.kappa_of(expert, layer.get("kappa_input")[token, slot])
        if kappa is None:  # one κ for all gates, or not known
            low, high = (layer.get(n)[token, slot] for n in ("kappa_min", "kappa_max"))
            known = known and bool((low == high).all())
            recorded = layer.get("kappa_mean")[token, slot].astype(np.float64)
            kappa = np.repeat(recorded[:, None], layer.gates, axis=1)
        else:
            check_kappa_of_slots(layer, token, slot, kappa, comparison, where)
        values = np.sort(kappa, axis=None)
        part = -(-values.size // 20)
        tops.append(values[-part:].mean())
        bottoms.append(values[:part].mean())
        population.append(values)
        roots += math.sqrt(token.size)
        root_sum += math.sqrt(token.size) * kappa.mean()
    values = np.concatenate(population) if population else np.zeros(0)
    some = values.size > 0
    band = summary["kappa"]
    comparison.add("kappa.mean", values.mean() if some else NAN, band["mean"], where)
    comparison.add("kappa_sqrt_n_mean", root_sum / roots if roots else NAN,
                   summary["kappa_sqrt_n_mean"], where)
    some = some and known
    for name, q in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
        comparison.add("kappa." + name, np.quantile(values, q) if some else NAN, band[name], where)
    comparison.add("kappa_log_mean", np.log(values).mean() if some else NAN,
                   summary["kappa_log_mean"], where)
    comparison.add("kappa_top5_mean", mean(tops) if some else NAN,
                   summary["kappa_top5_mean"], where)
    comparison.add("kappa_bottom5_mean", mean(bottoms) if some else NAN,
                   summary["kappa_bottom5_mean"], where)


GATES = ("gate_mean_abs", "gate_active_fraction", "gate_top16_share", "gate_entropy", "gate_kz_rms",
         "gate_linear_fraction", "gate_saturated_fraction")


def check_gates(layer, summary, comparison, where):
    for name in GATES:
        comparison.add(name, mean(layer.get(name)[layer.kept]), summary[name], where)
    for name, prefix in (("effect", "effect_"), ("effect_relative", "effect_rel_")):
        count = layer.get("effect_count")[: layer.experts]
        part = {key: layer.get(prefix + key)[: layer.experts]
                for key in ("mean", "abs", "rms", "positive")}
        rows = (count > 0) & np.isfinite(sum(part.values()))
        total = count[rows].sum()
        average = lambda x: (count[rows] * x[rows]).sum() / total if total else NAN
        found = summary[name]
        comparison.add(name + ".count", total, found["count"], where)
        comparison.add(name + ".mean", average(part["mean"]), found["mean"], where)
        comparison.add(name + ".mean_abs", average(part["abs"]), found["mean_abs"], where)
        comparison.add(name + ".rms", math.sqrt(average(part["rms"] ** 2)) if total else NAN,
                       found["rms"], where)
        comparison.add(name + ".positive_share", average(part["positive"]),
                       found["positive_share"], where)


def check_alignment(layer, summary, comparison, where):
    for name in ("alignment_mean", "alignment_energy"):
        value = NAN
        if layer.run.model is not None and name in layer.run.model.files:
            value = mean(layer.run.model[name][layer.layer, : layer.experts])
        comparison.add(name, value, summary[name], where)


def check_recorded_gates(layer, comparison, where):
    """Gate statistics of every kept slot from the recorded gates."""
    if "gate_pre" not in layer.run.names:
        return
    rows = layer.kept & np.isfinite(layer.get("gate_mean_abs"))
    z, kappa, a = (layer.get(name)[rows][:, : layer.gates].astype(np.float64)
                   for name in ("gate_pre", "kappa", "gate_act"))
    if z.shape[0] == 0:
        return
    thresholds = layer.run.meta["thresholds"]
    size = np.abs(a)
    total = size.sum(axis=1)
    safe = np.maximum(total, 1e-8)
    top = min(int(thresholds["gate_top"]), layer.gates)
    kz = np.abs(kappa * z)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_size = np.where(size > 0, size * np.log(size), 0)
    one_gate = 1.01 / layer.gates  # float32 may put a gate on the other side of a limit
    for name, values, absolute in (
            ("gate_mean_abs", size.mean(axis=1), 1e-6),
            ("gate_active_fraction", (size > thresholds["gate_active"]).mean(axis=1), one_gate),
            ("gate_top16_share", np.sort(size, axis=1)[:, -top:].sum(axis=1) / safe, 1e-6),
            ("gate_entropy", np.log(safe) - log_size.sum(axis=1) / safe, 1e-5),
            ("gate_kz_rms", np.sqrt((kz ** 2).mean(axis=1)), 1e-6),
            ("gate_linear_fraction", (kz < 1).mean(axis=1), one_gate),
            ("gate_saturated_fraction", (kz > 4).mean(axis=1), one_gate)):
        recorded = layer.get(name)[rows]
        known = np.isfinite(recorded)  # bilinear experts have no κ·z
        comparison.add(name + " (recorded gates)", values[known], recorded[known], where, 1e-4,
                       absolute)


def check_effect_tails(run, layers, comparison):
    if "gate_pre" not in run.names:
        return
    absolute, relative = [], []
    for layer in layers:
        z, kappa = (layer.get(name)[layer.kept][:, : layer.gates].astype(np.float64)
                    for name in ("gate_pre", "kappa"))
        plain = z * sigmoid(z)
        d = z * sigmoid(kappa * z) - plain
        base = np.where(plain >= 0, np.maximum(plain, 1e-6), np.minimum(plain, -1e-6))
        absolute.append(d[np.isfinite(d)])
        relative.append((d / base)[np.isfinite(d / base)])
    for name, parts in (("effect_tail", absolute), ("effect_relative_tail", relative)):
        values = np.concatenate(parts).astype(np.float32)
        if values.size == 0:
            comparison.add(name, 0, len(run.summary[name]))
            continue
        for found in run.summary[name]:
            where = f"quantile {found['quantile']}"
            threshold = np.quantile(values.astype(np.float64), found["quantile"])
            comparison.add(name + ".threshold", threshold, found["threshold"], where)
            # Ties at the threshold may fall on either side of its rounding: use the one written.
            tail = values[values >= found["threshold"]].astype(np.float64)
            comparison.add(name + ".count", tail.size, found["count"], where, 1e-4, 2)
            comparison.add(name + ".mean", tail.mean(), found["mean"], where, 1e-4)
            comparison.add(name + ".mean_abs", np.abs(tail).mean(), found["mean_abs"], where, 1e-4)
            comparison.add(name + ".rms", math.sqrt((tail ** 2).mean()), found["rms"], where, 1e-4)
            comparison.add(name + ".positive_share", (tail > 0).mean(), found["positive_share"],
                           where, 1e-4)


def check_dense(run, comparison):
    if "dense_layer_index" not in run.names:
        return
    for m, found in enumerate(run.summary.get("dense_layers", [])):
        where = f"dense layer {found['layer']}"
        kappa = run["dense_kappa"][m].astype(np.float64)
        kappa = kappa[np.isfinite(kappa)]
        for name, q in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
            comparison.add("dense kappa." + name, np.quantile(kappa, q) if kappa.size else NAN,
                           found["kappa"][name], where)
        comparison.add("dense kappa.mean", mean(kappa), found["kappa"]["mean"], where)
        if "kappa_slope_l2" in found:
            log_bound = math.log(run.meta["kappa"]["bound_dense"])
            multiplier = {"2026-05": 2, "2026-05-20": -2}.get(run.meta.get("kappa_formula"), 1)
            u = np.arctanh(np.log(kappa) / log_bound) / multiplier
            comparison.add("dense kappa_slope_l2", (u ** 2).mean(), found["kappa_slope_l2"], where,
                           1e-4)
        for name in GATES:
            comparison.add("dense_" + name, mean(run["dense_" + name][m]), found[name], where)


def check_run(folder):
    run, comparison = Run(folder), Comparison()
    nll = run["nll"].astype(np.float64)
    comparison.add("nll_mean", mean(nll), run.summary["nll_mean"])
    comparison.add("nll_tokens", np.isfinite(nll).sum(), run.summary["nll_tokens"])
    special = [s < 0 and t.startswith("<") and t.endswith(">")
               for s, t in zip(run["char_start"], run["token_text"])]
    text = np.isfinite(nll) & ~np.array(special)
    bytes_of = np.array([len(h) // 2 for h in run["token_bytes_hex"]])
    if text.any() and bytes_of[text].all():
        comparison.add("bytes_counted", bytes_of[text].sum(), run.summary["bytes_counted"])
        comparison.add("bits_per_byte", nll[text].sum() / (math.log(2) * bytes_of[text].sum()),
                       run.summary["bits_per_byte"])
    layers = []
    if "router_logits" in run.names:
        arrays = {name: run[name] for name in run.trace.files if name != "logits"}
        layers = [Layer(run, m, arrays) for m in range(len(arrays["layer_index"]))]
    comparison.add("layers", len(layers), len(run.summary["layers"]))
    for layer, summary in zip(layers, run.summary["layers"]):
        where = f"layer {layer.layer}, pass {summary['pass']}"
        comparison.add("layer", layer.layer, summary["layer"], where)
        check_tokens_of_router(layer, comparison, where)
        check_loads(layer, summary, comparison, where)
        check_router(layer, summary, comparison, where)
        check_importance(layer, summary, comparison, where)
        check_kappa(layer, summary, comparison, where)
        check_gates(layer, summary, comparison, where)
        check_alignment(layer, summary, comparison, where)
        check_recorded_gates(layer, comparison, where)
    check_effect_tails(run, layers, comparison)
    check_dense(run, comparison)
    return comparison.report()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(check_run(sys.argv[1]))
