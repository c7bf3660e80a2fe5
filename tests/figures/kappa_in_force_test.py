"""Figures of κ show the κ that acted: traces of the demo with an intervention, or with κ from z, written by hand.

kappa_in_force_test.py PROGRAM
"""
import csv
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

here = pathlib.Path(__file__).resolve().parent
failures = []


def check(holds, *words):
    if not holds:
        failures.append(" ".join(map(str, words)))


def edited(folder, arrays, meta):
    """The demo's run with other arrays and keys of the meta."""
    folder.mkdir()
    shutil.copy(here / "demo" / "model.npz", folder)
    with np.load(here / "demo" / "trace.npz", allow_pickle=False) as demo:
        all_arrays = {name: demo[name] for name in demo.files}
    document = json.loads(str(all_arrays["kappascope_meta"]))
    for key, value in meta.items():
        document[key] = {**document[key], **value} if isinstance(value, dict) else value
    all_arrays.update(arrays(all_arrays))
    all_arrays["kappascope_meta"] = np.array(json.dumps(document))
    np.savez(folder / "trace.npz", **all_arrays)
    return folder


def plot(program, folder):
    """Table of each figure of κ by its id (a second one behind -2), and the text of its picture."""
    out = folder / "figures"
    ids = ("kappa-tokens,kappa-experts,kappa-depth,kappa-distribution,kappa-parameters,kappa-vs-score,silu-kappa,"
           "kappa-confidence")
    subprocess.run([program, "plot", folder, "--figures", ids, "--figure-format", "svg,csv", "-q", "-o", out],
                   check=True)
    tables = {}
    for path in out.glob("*.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables, {path.stem: path.read_text(encoding="utf-8") for path in out.glob("*.svg")}


def column(tables, table, name):
    return np.array([float(row[name]) if row[name] else math.nan for row in tables[table]])


def layer_of(tables, table):
    return np.array([int(row["layer"]) for row in tables[table]])


def same(what, ours, expected):
    close = np.allclose(ours, expected, rtol=2e-5, atol=0, equal_nan=True)
    check(ours.shape == expected.shape and close, what, "differs")


def check_factors(program, scratch, plain):
    """κ of every layer but the first doubled."""
    def doubled(arrays):
        factor = np.full(arrays["kappa_hist"].shape[:2], 2, np.float32)
        factor[0] = 1
        recorded = {name: arrays[name] * factor[:, 0, None, None]
                    for name in ("kappa_mean", "kappa_min", "kappa_max", "kappa_p05", "kappa_p95")}
        return {"kappa_factor": factor, **recorded}

    words = ["kappa-mul=2@3-7"]
    tables, pictures = plot(program, edited(scratch / "doubled", doubled, {"interventions": words}))
    for name, text in pictures.items():
        check(words[0] in text, name, "does not name the intervention")
    for table, name in (("kappa-tokens", "kappa_geometric_mean"), ("kappa-experts", "kappa_geometric_mean"),
                        ("kappa-depth", "kappa_geometric_mean"), ("kappa-depth", "kappa_p05"),
                        ("kappa-depth", "kappa_p95"), ("kappa-distribution-2", "kappa_p50"),
                        ("kappa-parameters", "kappa_at_median_input_p95"), ("kappa-parameters", "kappa_upper_bound"),
                        ("kappa-parameters", "kappa_lower_bound"), ("kappa-confidence", "kappa_mean")):
        factor = np.where(layer_of(tables, table) == 2, 1, 2)
        same(f"{table} {name}", column(tables, table, name), column(plain, table, name) * factor)
    for table, name in (("kappa-vs-score", "kappa"), ("silu-kappa", "kappa_p05"), ("silu-kappa", "kappa_p95")):
        same(f"{table} {name}", column(tables, table, name), column(plain, table, name) * 2)
    counts, before = column(tables, "kappa-distribution", "count"), column(plain, "kappa-distribution", "count")
    check(counts.sum() == before.sum(), "kappa-distribution counts other values")


def check_fixed(program, scratch):
    """κ := 2 in every layer: α and b are 0, the factor is 2."""
    def fixed(arrays):
        shape = arrays["kappa_hist"].shape[:2]
        zeros = np.zeros(shape, np.float32)
        recorded = {name: np.where(np.isnan(arrays[name]), arrays[name], np.float32(2))
                    for name in ("kappa_mean", "kappa_min", "kappa_max", "kappa_p05", "kappa_p95")}
        return {"kappa_factor": zeros + 2, "kappa_bias_in_force": zeros, "kappa_scale_in_force": zeros, **recorded}

    tables, _ = plot(program, edited(scratch / "fixed", fixed, {"interventions": ["kappa=2"]}))
    for table, name in (("kappa-vs-score", "kappa"), ("kappa-depth", "kappa_geometric_mean"), ("kappa-depth", "kappa_p95"),
                        ("silu-kappa", "kappa_p50"), ("kappa-parameters", "kappa_at_median_input_p05")):
        values = column(tables, table, name)
        check(values.size and np.allclose(values, 2), table, name, "is not 2")
    same("kappa-parameters kappa_bias_p95", column(tables, "kappa-parameters", "kappa_bias_p95"), np.zeros(6))


def check_from_gate(program, scratch, plain):
    """κ from z: no κ(s), the rest from what was recorded."""
    nothing = edited(scratch / "from-z", lambda arrays: {"kappa_input": arrays["kappa_input"] * np.float32(np.nan)},
                     {"kappa": {"input": "gate_proj"}})
    tables, pictures = plot(program, nothing)
    check(not tables["kappa-vs-score"], "kappa-vs-score has rows")
    check("not from a score" in pictures["kappa-vs-score"], "kappa-vs-score does not say why it is empty")
    for name in ("kappa-tokens", "kappa-experts", "kappa-depth", "kappa-distribution"):
        check("Approximate: κ follows from" in pictures[name], name, "does not say that it is not exact")
    for name in ("kappa_scale_p50", "kappa_bias_p50"):
        same("kappa-parameters " + name, column(tables, "kappa-parameters", name),
             column(plain, "kappa-parameters", name))
    check(np.isnan(column(tables, "kappa-parameters", "kappa_at_median_input_p50")).all(),
          "kappa-parameters has κ at a median score")
    check("bounds 1/U" not in pictures["kappa-parameters"], "kappa-parameters has bounds at a median score")
    same("kappa-confidence", column(tables, "kappa-confidence", "kappa_mean"),
         column(plain, "kappa-confidence", "kappa_mean"))
    check("of α: gate" in pictures["silu-kappa"], "silu-kappa does not name gate units")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        plain, _ = plot(program, edited(scratch / "plain", lambda arrays: {}, {}))
        check_factors(program, scratch, plain)
        check_fixed(program, scratch)
        check_from_gate(program, scratch, plain)
    for failure in failures[:40]:
        print("FAILED", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
