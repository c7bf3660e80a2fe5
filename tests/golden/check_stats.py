#!/usr/bin/env python3
"""Recomputes the statistics of a run with NumPy and compares them with what kappascope wrote.

    check_stats.py RUN_DIRECTORY

The directory holds trace.npz and summary.json; model.npz lies there or one folder up. Written from
the definitions in docs/metrics.md alone. Prints the largest difference of every quantity; exits
with 1 when one is beyond its tolerance.
"""

import json
import math
import pathlib
import sys

import numpy as np

NAN = float("nan")


class Comparison:
    """Largest difference by quantity, over its tolerance; NaN agrees with null only."""

    def __init__(self):
        self.worst = {}

    def add(self, name, ours, theirs, where="", relative=1e-5, absolute=1e-6):
        ours = np.atleast_1d(np.asarray(ours, dtype=np.float64))
        theirs = [theirs] if np.ndim(theirs) == 0 else theirs
        theirs = np.array([NAN if x is None else x for x in theirs], dtype=np.float64)
        if ours.shape != theirs.shape:
            self.worst[name] = (math.inf, ours.shape, theirs.shape, where)
            return
        excess = np.abs(ours - theirs) / (absolute + relative * np.abs(ours))
        both = np.isnan(ours) & np.isnan(theirs)
        excess = np.where(both, 0, np.where(np.isnan(excess), math.inf, excess))
        excess = np.where(ours == theirs, 0, excess)
        if excess.size == 0:
            self.worst.setdefault(name, (0.0, NAN, NAN, where))
            return
        at = int(np.argmax(excess))
        if name not in self.worst or excess[at] > self.worst[name][0]:
            self.worst[name] = (float(excess[at]), float(ours[at]), float(theirs[at]), where)

    def report(self):
        failed = False
        order = sorted(self.worst.items(), key=lambda item: (-item[1][0], item[0]))
        for name, (excess, ours, theirs, where) in order:
            bad = excess > 1
            failed = failed or bad
            if bad or excess > 0:
                print(f"{'FAIL' if bad else 'ok  '} {name}: {excess:.3g} of the tolerance, "
                      f"NumPy {ours}, kappascope {theirs} ({where})")
        print(f"{len(self.worst)} quantities compared, {'some differ' if failed else 'all agree'}")
        return 1 if failed else 0


def mean(values):
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else NAN


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def entropy(shares, axis=-1):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(shares > 0, shares * np.log(shares), 0 * shares).sum(axis=axis)


class Run:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.trace = np.load(folder / "trace.npz", allow_pickle=False)
        self.names = set(self.trace.files)
        self.meta = json.loads(str(self.trace["kappascope_meta"]))
        self.summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        self.model = None
        for path in (folder / "model.npz", folder.parent / "model.npz"):
            if path.exists():
                self.model = np.load(path, allow_pickle=False)
                break

    def __getitem__(self, name):
        return self.trace[name]


class Layer:
    """Row m of a run's arrays, cut to the layer's own experts."""

    def __init__(self, run, m, arrays):
        self.run, self.m = run, m
        self.layer = int(arrays["layer_index"][m])
        self.get = lambda name: arrays[name][m]
        logits = arrays["router_logits"][m]
        self.experts = logits.shape[1]
        self.gates = int(run.meta["dimensions"]["gate"])
        if run.model is not None:
            self.experts = int(run.model["layer_experts"][self.layer])
            self.gates = int(run.model["layer_gates"][self.layer])
        self.logits = logits[:, : self.experts].astype(np.float64)
        self.index = arrays["expert_index"][m].astype(np.int64)
        self.weight = arrays["expert_weight"][m].astype(np.float64)
        self.chosen = self.index >= 0
        self.finite = np.isfinite(arrays["router_entropy"][m])
        self.kept = arrays["expert_kept"][m] & self.chosen
        self.kept_finite = self.kept & self.finite[:, None]

    def kappa_of(self, expert, scores):
        """κ [n,I] of one expert at these s; None when α and b are not there."""
        run = self.run
        if not run.meta["kappa"]["in_force"] or run.model is None:
            return None
        if "kappa_bias" not in run.model.files or np.isnan(run.model["kappa_u"][self.layer]):
            return None

        def own(array):
            of_all = array.shape == (1,) and run.model["kappa_u"].size > 1
            row = np.asarray(array if of_all else array[self.layer])
            row = row[expert] if row.ndim > 0 and array.ndim > 1 else row
            return np.broadcast_to(np.ravel(row)[: self.gates], (self.gates,)).astype(np.float64)

        b = own(run.model["kappa_bias"])
        s = scores.astype(np.float64)[:, None]
        u = s * b
        if "kappa_scale" in run.model.files:
            u = own(run.model["kappa_scale"]) * s + b
        return np.exp(np.log(np.float64(run.model["kappa_u"][self.layer])) * np.tanh(u))


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
    elif not config.get("use_aux_free_load_balancing", False):
        low = np.where(chosen, logits, np.inf).min(axis=1)
        high = np.where(chosen, -np.inf, logits).max(axis=1)
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
    comparison.add("unused_experts", (assigned == 0).sum(), summary["unused_experts"], where)
    if count:
        missed = np.prod(1 - counted.sum(axis=1)[layer.finite] / experts)
        comparison.add("unused_by_chance", experts * missed, summary["unused_by_chance"], where)
    dropped, seated = (counted & ~layer.kept).sum(axis=0), counted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        comparison.add("drop_rate_by_slot", dropped / seated, summary["drop_rate_by_slot"], where)
        comparison.add("drop_rate", dropped.sum() / np.float64(total), summary["drop_rate"], where)


def check_router(layer, summary, comparison, where):
    for name, source in (("confidence", "router_top1_prob"),
                         ("selected_mass", "router_selected_mass"),
                         ("margin", "router_margin"), ("top_gap", "router_top_gap"),
                         ("router_entropy", "router_entropy")):
        comparison.add(name, mean(layer.get(source)), summary[name], where)
    nats = mean(layer.get("router_entropy").astype(np.float64) * math.log(layer.experts))
    comparison.add("router_entropy_nats", nats, summary["router_entropy_nats"], where)
    near = int((layer.get("router_margin") < np.float64(1e-3)).sum())
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
        for name in GATES:
            comparison.add("dense_" + name, mean(run["dense_" + name][m]), found[name], where)


def check_run(folder):
    run, comparison = Run(folder), Comparison()
    nll = run["nll"].astype(np.float64)
    comparison.add("nll_mean", mean(nll), run.summary["nll_mean"])
    comparison.add("nll_tokens", np.isfinite(nll).sum(), run.summary["nll_tokens"])
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
