"""Checks drawn figures against the trace they came from: check_figures.py FOLDER TRACE.npz

The folder holds ID.svg, ID.csv and, if drawn, ID.pdf for every id. Every SVG must parse and hold
its words as text, every PDF must give them back, every CSV must hold the trace's own numbers.
"""

import csv
import json
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
# CSV column → array of the trace it must equal, both in running order.
SAME = {
    "loss": ("nll (nats)", "nll"),
    "router-confidence": ("router_top1_prob", "router_top1_prob"),
    "router-margin": ("router_margin (logits)", "router_margin"),
    "router-entropy": ("router_entropy", "router_entropy"),
}
MEANS = {"gate-sharpness": "gate_kz_rms", "gate-active": "gate_active_fraction",
         "gate-top16": "gate_top16_share"}


def column(path, name):
    with open(path, newline="", encoding="utf-8") as file:
        return np.array([float(row[name]) if row[name] else np.nan
                         for row in csv.DictReader(file)])


def slot_mean(trace, name):
    """[M,T] mean over kept slots, weighted by their combine weights."""
    values = trace[name].astype(float)
    weight = np.where(trace["expert_kept"] & np.isfinite(values), trace["expert_weight"], 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(weight * np.nan_to_num(values), axis=2) / weight.sum(axis=2)


def check_svg(path):
    root = ElementTree.parse(path).getroot()
    words = [text.text for text in root.iter(SVG + "text")]
    title = root.find(SVG + "title").text
    assert title and "".join(words).find(title[:12]) >= 0, (path, title)
    assert root.find(SVG + "metadata")[0].attrib["name"], path
    assert len(words) > 5, (path, words)
    return title


def check_numbers(folder, trace):
    for figure, (name, array) in SAME.items():
        found = column(folder / f"{figure}.csv", name)
        assert np.array_equal(found.astype(np.float32), trace[array].ravel(), equal_nan=True), figure
    for figure, array in MEANS.items():
        found = column(folder / f"{figure}.csv", array)
        expected = slot_mean(trace, array).ravel()
        np.testing.assert_allclose(found, expected, rtol=2e-6, equal_nan=True, err_msg=figure)
    chosen = column(folder / "expert-choice.csv", "expert")
    assert np.array_equal(chosen, trace["expert_index"][:, :, 0].ravel())
    dropped = column(folder / "expert-drops.csv", "dropped")
    lost = (~trace["expert_kept"] & (trace["expert_index"] >= 0)).sum(axis=2)
    assert np.array_equal(dropped, lost.ravel())


def main(folder, trace_path):
    folder = pathlib.Path(folder)
    trace = np.load(trace_path, allow_pickle=False)
    assert json.loads(str(trace["kappascope_meta"]))["schema"] == "kappascope.trace/1"
    pictures = sorted(folder.glob("*.svg"))
    assert pictures, folder
    for path in pictures:
        title = check_svg(path)
        pdf = path.with_suffix(".pdf")
        if pdf.exists() and shutil.which("pdftotext"):
            words = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, check=True).stdout
            assert title.split()[0] in words.decode(), pdf
    check_numbers(folder, trace)
    print(f"{len(pictures)} figures agree with {trace_path}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
