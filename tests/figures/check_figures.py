"""Checks the files of every figure of a run against its trace, with readers that are not ours.

check_figures.py PROGRAM RUN_FOLDER

Numbers of each CSV come again from trace.npz and model.npz with NumPy; SVG parses and holds title, axes and
labels as text; PDF text comes out with pdftotext, its fonts are embedded; a PNG has the size that was asked
for; and a second call writes the same bytes.
"""
import csv
import math
import pathlib
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
failures = []


def check(holds, *words):
    if not holds:
        failures.append(" ".join(map(str, words)))


def column(table, name, dtype=float):
    values = [row[name] for row in table]
    return np.array([math.nan if value == "" else float(value) for value in values]) if dtype is float else values


def agree(figure, name, ours, expected, tolerance=1e-6):
    ours, expected = np.asarray(ours, float).ravel(), np.asarray(expected, float).ravel()
    if ours.shape != expected.shape:
        return check(False, figure, name, "rows", ours.shape, "expected", expected.shape)
    check((np.isnan(ours) == np.isnan(expected)).all(), figure, name, "values missing on one side only")
    error = np.nan_to_num(np.abs(ours - expected) / (1 + np.abs(expected)))
    check(not error.size or error.max() <= tolerance, figure, name, "differs by", error.max(initial=0))


class Run:
    """A trace and what the figures are made of, in double."""

    def __init__(self, folder):
        self.trace = np.load(folder / "trace.npz", allow_pickle=False)
        self.model = np.load(folder / "model.npz", allow_pickle=False)
        self.kept, self.index = self.trace["expert_kept"], self.trace["expert_index"].astype(int)
        self.weight = self.trace["expert_weight"].astype(float)
        self.layers, self.tokens, self.slots = self.index.shape
        self.experts = self.trace["router_logits"].shape[2]
        self.middle = (self.layers - 1) // 2 if self.layers % 2 else self.layers // 2

    def log_kappa(self, m):
        """ln κ of every (token, slot, gate) of recorded layer m; NaN where dropped: [T,K,I]."""
        layer, model = self.trace["layer_index"][m], self.model
        shape = (self.experts, int(model["layer_gates"][layer]))
        bias = np.broadcast_to(model["kappa_bias"][layer].astype(float), shape)
        scale = np.broadcast_to(model["kappa_scale"][layer].astype(float), shape)
        s = np.where(self.kept[m], self.trace["kappa_input"][m], np.nan).astype(float)[:, :, None]
        return np.log(float(model["kappa_u"][layer])) * np.tanh(scale[self.index[m]] * s + bias[self.index[m]])

    def token_mean(self, values):
        """Weight-weighted mean over the kept slots of each token: [M,T]."""
        weight = np.where(self.kept, self.weight, 0)
        with np.errstate(invalid="ignore"):
            return (weight * np.nan_to_num(values)).sum(2) / weight.sum(2)


def check_maps(run, tables):
    trace = run.trace
    for figure, name in (("router-confidence", "router_top1_prob"), ("router-entropy", "router_entropy"),
                         ("router-margin", "router_margin")):
        agree(figure, name, column(tables[figure], name), trace[name])
    for figure, name in (("gate-sharpness", "gate_kz_rms"), ("gate-active", "gate_active_fraction"),
                         ("gate-top16", "gate_top16_share")):
        agree(figure, name, column(tables[figure], name), run.token_mean(trace[name].astype(float)))
    logits = trace["router_logits"].astype(float)
    p = np.exp(logits - logits.max(2, keepdims=True))
    p /= p.sum(2, keepdims=True)
    agree("router-probability", "router_probability", column(tables["router-probability"], "router_probability"),
          p[run.middle].T)
    agree("expert-choice", "expert", column(tables["expert-choice"], "expert"), run.index[:, :, 0])
    agree("expert-drops", "dropped", column(tables["expert-drops"], "dropped"), (~run.kept).sum(2))
    agree("expert-drops", "drop_rate", column(tables["expert-drops-2"], "drop_rate"), (~run.kept).mean((1, 2)))
    load = np.stack([np.bincount(run.index[m].ravel(), minlength=run.experts) for m in range(run.layers)])
    agree("expert-load", "load_over_even", column(tables["expert-load"], "load_over_even"),
          load / (run.tokens * run.slots) * run.experts)
    budget = run.kept.sum(2)
    agree("expert-budget", "mean", column(tables["expert-budget"], "experts_run_mean"), budget.mean(1))
    agree("expert-budget", "p95", column(tables["expert-budget"], "experts_run_p95"), np.quantile(budget, .95, axis=1))


def check_kappa(run, tables):
    depth, tokens, experts = tables["kappa-depth"], tables["kappa-tokens"], tables["kappa-experts"]
    token_kappa, expert_kappa, rows = [], [], []
    for m in range(run.layers):
        values = run.log_kappa(m)
        kept = np.exp(values[run.kept[m]].ravel())
        rows.append([np.exp(np.log(kept).mean()), *np.quantile(kept, [.05, .95])])
        weight = np.where(run.kept[m], run.weight[m], 0)
        with np.errstate(invalid="ignore"):
            token_kappa.append(np.exp((weight * np.nan_to_num(values.mean(2))).sum(1) / weight.sum(1)))
        of = [values.mean(2)[run.kept[m] & (run.index[m] == e)] for e in range(run.experts)]
        expert_kappa.append([np.exp(each.mean()) if each.size else math.nan for each in of])
    rows = np.array(rows)
    for i, name in enumerate(("kappa_geometric_mean", "kappa_p05", "kappa_p95")):
        agree("kappa-depth", name, column(depth, name), rows[:, i], 1e-5)
    agree("kappa-tokens", "kappa", column(tokens, "kappa_geometric_mean"), token_kappa, 1e-5)
    agree("kappa-experts", "kappa", column(experts, "kappa_geometric_mean"), expert_kappa, 1e-5)
    depths = run.trace["layer_index"] / (json_of(run.trace)["n_layer"] - 1)
    if not run.trace["pass_index"].any():
        agree("kappa-depth", "relative_depth", column(depth, "relative_depth"), depths)


def mean_or_nan(values):
    return values.mean() if values.size else math.nan


def json_of(trace):
    import json
    return json.loads(str(trace["kappascope_meta"]))


def check_others(run, tables):
    trace = run.trace
    agree("loss", "nll", column(tables["loss"], "nll"), trace["nll"])
    mass, kappa = column(tables["kappa-confidence"], "router_selected_mass"), trace["kappa_mean"][run.kept]
    agree("kappa-confidence", "kappa_mean", column(tables["kappa-confidence"], "kappa_mean"), kappa)
    spread = np.broadcast_to(trace["router_selected_mass"][:, :, None], run.kept.shape)[run.kept]
    agree("kappa-confidence", "router_selected_mass", mass, spread)
    for name in ("gate_linear_fraction", "gate_saturated_fraction"):
        expected = [trace[name][m][run.kept[m]].astype(float).mean() for m in range(run.layers)]
        agree("gate-saturation", name, column(tables["gate-saturation"], name), expected)
    counts = column(tables["kappa-distribution"], "count").reshape(run.layers, -1)
    agree("kappa-distribution", "count", counts, trace["kappa_hist"].sum(1))
    if "expert_output_norm" in trace.files:
        pushed = run.weight * trace["expert_output_norm"].astype(float)
        expected = [[mean_or_nan(pushed[m][run.kept[m] & (run.index[m] == e)]) for e in range(run.experts)]
                    for m in range(run.layers)]
        agree("expert-importance", "saliency", column(tables["expert-importance"], "saliency"), expected)
    pairs = np.zeros((run.experts, run.experts))
    for chosen in run.index[run.middle]:
        pairs[np.ix_(chosen, chosen)] += 1
    agree("expert-coactivation", "tokens", column(tables["expert-coactivation"], "tokens"), pairs)


def check_svg(path, title):
    texts = ["".join(text.itertext()) for text in ElementTree.parse(path).iter(SVG + "text")]
    check(texts, path.name, "holds no text")
    check(any(title in text for text in texts), path.name, "does not show its title", title)
    return texts


def check_pdf(path, svg_texts):
    shown = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True).stdout
    squeezed = "".join(shown.split())
    missing = [text for text in svg_texts if "".join(text.split()) not in squeezed and len(text) > 1]
    check(len(missing) <= 0.1 * len(svg_texts), path.name, "lacks the texts", missing)  # turned ones may split
    fonts = subprocess.run(["pdffonts", path], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    check(fonts and all(line.split()[-5] == "yes" for line in fonts), path.name, "fonts are not embedded", fonts)


def check_png(path, width_mm, dpi):
    width, = struct.unpack(">I", path.read_bytes()[16:20])
    check(width == round(width_mm / 25.4 * dpi), path.name, "width", width)


def main():
    program, run_folder = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    run = Run(run_folder)
    with tempfile.TemporaryDirectory() as scratch:
        first, again = pathlib.Path(scratch) / "first", pathlib.Path(scratch) / "figures"
        command = [program, "plot", run_folder, "--figure-format", "svg,pdf,png,csv", "--width", "85", "--dpi", "200",
                   "-q", "-o"]
        subprocess.run([*command, first], check=True)
        subprocess.run([*command, "figures"], check=True, cwd=scratch)
        names = sorted(path.name for path in first.iterdir())
        check(names == sorted(path.name for path in again.iterdir()), "the second call wrote other files")
        for name in names:
            check((first / name).read_bytes() == (again / name).read_bytes(), name, "differs at the second call")
        tables = {}
        for path in first.glob("*.csv"):
            with open(path, newline="", encoding="utf-8") as file:
                tables[path.stem] = list(csv.DictReader(file))
        check_maps(run, tables)
        check_kappa(run, tables)
        check_others(run, tables)
        for path in first.glob("*.svg"):
            title = ElementTree.parse(path).getroot().find(SVG + "title").text
            texts = check_svg(path, title)
            check_pdf(path.with_suffix(".pdf"), texts)
            check_png(path.with_suffix(".png"), 85, 200)
    print(f"{len(names)} files of {len(list(filter(lambda n: n.endswith('.svg'), names)))} figures")
    for failure in failures[:40]:
        print("FAILED", failure)
    return 1 if failures or not names else 0


if __name__ == "__main__":
    sys.exit(main())
