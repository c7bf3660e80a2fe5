"""Figures as they go into papers: several runs, names of files and columns, what is inside the files.

papers_test.py PROGRAM
"""
import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
SVG = "{http://www.w3.org/2000/svg}"
SECRET = "/" + "home/alice-of-secret-lab/"  # in two pieces: no path of a machine


def make_run(folder, model="d8-kappa", step=None, kappa=True, has_kappa=True, **meta):
    """The demo's trace as another run would have written it: new words in its meta."""
    folder.mkdir()
    with np.load(HERE / "demo/trace.npz", allow_pickle=False) as trace:
        arrays = dict(trace)
    told = json.loads(str(arrays["kappascope_meta"]))
    told["model"].update(name=model, path=f"{SECRET}{model}/model.pt", **({} if step is None else {"step": step}))
    told["kappa"].update(in_force=kappa and has_kappa, model=has_kappa)
    told["command"] = f"kappascope run {SECRET}{model}"
    told.update(meta)
    arrays["kappascope_meta"] = np.array(json.dumps(told))
    np.savez(folder / "trace.npz", **arrays)
    shutil.copy(HERE / "demo/model.npz", folder)
    return folder


def texts_of(svg):
    return ["".join(text.itertext()) for text in ElementTree.parse(svg).iter(SVG + "text")]


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pdf_words(path):
    """All that a PDF says, its streams unpacked, and its texts in UTF-16, too."""
    data = path.read_bytes()
    parts = [data]
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.S):
        try:
            parts.append(zlib.decompressobj().decompress(stream))
        except zlib.error:
            pass
    for text in re.findall(rb"<([0-9a-fA-F\s]{8,})>", data):
        parts.append(bytes.fromhex(re.sub(rb"\s", b"", text).decode()[: len(text) // 2 * 2 - 2]))
    return b"\n".join(parts + [part.replace(b"\0", b"") for part in parts])


class Papers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def plot(self, *words, into="out", code=0, **env):
        done = subprocess.run([PROGRAM, "plot", *words, "-o", into, "-q"], cwd=self.folder, capture_output=True,
                              text=True, env=env or None)
        self.assertEqual(done.returncode, code, done.stderr)
        self.said = done.stderr
        return {path.name: path for path in (self.folder / into).glob("*")}

    def test_every_figure_of_several_runs_says_whose_it_is(self):
        a, b = make_run(self.folder / "a"), make_run(self.folder / "b", model="d9", step=77)
        files = self.plot(a, b)
        self.assertIn("kappa-tokens-d8-kappa.svg", files)
        self.assertIn("kappa-tokens-d9.svg", files)
        self.assertNotIn("kappa-tokens.svg", files)
        for name, path in files.items():
            one = [run for run in ("d8-kappa", "d9") if name.endswith(f"-{run}.svg")]
            captions = " ".join(texts_of(path))
            for run in ("d8-kappa", "d9"):
                self.assertEqual(run in captions, not one or one == [run], f"{name}: {captions[:200]}")
        self.assertEqual(len(files), 2 * 23 + 5 + 1)  # one each, overlays, a difference
        side = self.plot(a, b, "--panels", "--figures", "kappa-tokens,expert-load", into="side")
        self.assertEqual(set(side), {"kappa-tokens.svg", "expert-load.svg"})
        texts = texts_of(side["kappa-tokens.svg"])
        self.assertIn("d8-kappa", texts)
        self.assertIn("d9", texts)

    def test_runs_of_one_model_are_told_apart_by_what_differs(self):
        runs = [make_run(self.folder / "on"), make_run(self.folder / "off", kappa=False)]
        files = self.plot(*runs, "--figures", "loss,kappa-depth", "--figure-format", "svg,csv")
        legend = [text for text in texts_of(files["loss.svg"]) if "(mean" in text and "nats" in text]
        self.assertEqual([text.split(" (")[0] for text in legend], ["d8-kappa · κ on", "d8-kappa · κ off"])
        for word in ("on", "off"):
            rows = rows_of(files[f"loss-d8-kappa-kappa-{word}.csv"])
            self.assertEqual({(row["run"], row["model"]) for row in rows}, {(f"d8-kappa · κ {word}", "d8-kappa")})
        texts = [make_run(self.folder / name, document={"source": SECRET + name, "index": 0, "sha256": name})
                 for name in ("prose.txt", "code.txt")]
        names = set(self.plot(*texts, "--figures", "loss", "--figure-format", "csv", into="texts"))
        self.assertEqual(names, {"loss-d8-kappa-prose-txt.csv", "loss-d8-kappa-code-txt.csv"})
        steps = [make_run(self.folder / f"s{step}", step=step) for step in (1000, 2000)]
        names = set(self.plot(*steps, "--figures", "loss", "--figure-format", "csv", into="steps"))
        self.assertEqual(names, {"loss-d8-kappa-step-1000.csv", "loss-d8-kappa-step-2000.csv"})

    def test_choices_stay_beside_each_other(self):
        run = make_run(self.folder / "a")
        words = (run, "--figures", "router-probability,loss,silu-kappa", "--figure-format", "csv")
        files = self.plot(*words, "--layer", "2,4-5")
        for layer in (2, 4, 5):
            rows = rows_of(files[f"router-probability-layer{layer}.csv"])
            self.assertEqual({row["layer"] for row in rows}, {str(layer)})
        before = files["router-probability-layer2.csv"].read_bytes()
        files = self.plot(*words, "--layer", "3")
        self.assertIn("router-probability-layer3.csv", files)
        self.assertEqual(files["router-probability-layer2.csv"].read_bytes(), before)
        curves = rows_of(files["silu-kappa-layer3.csv"])[0]
        for name in ("run", "model", "layer", "expert", "kappa_p05", "kappa_p50", "kappa_p95"):
            self.assertTrue(curves[name], name)
        self.plot(run, "--layer", "two", code=2)
        self.plot(run, "--layer", "40", code=2)

    def test_columns_are_plain_documented_and_there_when_nothing_is(self):
        run = make_run(self.folder / "a")
        base = make_run(self.folder / "b", model="base", has_kappa=False)
        full = self.plot(run, "--figure-format", "csv")
        bare = self.plot(base, "--figure-format", "svg,csv", into="bare")
        documented = set(re.findall(r"^\| `([a-z0-9_`, ]+)`", (HERE.parents[1] / "docs/figures.md").read_text(), re.M))
        documented = {name.strip("` ") for names in documented for name in names.split(",")}
        for name, path in full.items():
            text = path.read_bytes().decode()
            self.assertNotIn('"', text, name)
            self.assertEqual(text.count("\n"), text.count("\r\n"), name)
            lines = text.split("\r\n")[:-1]
            self.assertEqual({line.count(",") for line in lines}, {lines[0].count(",")}, name)
            for column in lines[0].split(","):
                self.assertRegex(column, r"^[a-z][a-z0-9_]*$", name)
                self.assertIn(column, documented, name)
            self.assertEqual(lines[0], bare[name].read_text().split("\n")[0], name)
        with np.load(run / "trace.npz") as trace:
            told = [json.loads(f'"{row["token_text"]}"') for row in rows_of(full["loss.csv"])]
            self.assertEqual(told, [str(text) for text in trace["token_text"]])
        for figure in ("tokens", "experts", "depth", "distribution", "parameters", "vs-score", "confidence"):
            said = " ".join(texts_of(bare[f"kappa-{figure}.svg"]))
            self.assertIn("this model has no κ", said)
            self.assertEqual(rows_of(bare[f"kappa-{figure}.csv"]), [])
        for path in bare.values():
            self.assertNotIn("κ on", path.read_text())

    def test_inside_are_names_and_hashes_and_no_paths(self):
        run = make_run(self.folder / "a", document={"source": SECRET + "t.txt", "index": 0, "sha256": "ab" * 32})
        words = (run, "--figures", "kappa-tokens,loss", "--figure-format", "svg,pdf,png,csv", "--dpi", "100")
        first, again = self.plot(*words), self.plot(*words, into="a/b/other")
        for name, path in first.items():
            self.assertEqual(path.read_bytes(), again[name].read_bytes(), name)
            data = pdf_words(path) if name.endswith(".pdf") else path.read_bytes()
            for secret in (b"alice", b"secret-lab", str(self.folder).encode()):
                self.assertNotIn(secret, data, name)
        self.assertIn(b"ab" * 32, first["loss.svg"].read_bytes())
        self.assertIn(b"ab" * 32, first["loss.png"].read_bytes())
        bare = self.plot(*words, "--no-metadata", into="bare")
        for path in bare.values():
            self.assertNotIn(b"ab" * 32, pdf_words(path) if path.suffix == ".pdf" else path.read_bytes())
        self.assertNotIn("<metadata", bare["loss.svg"].read_text())
        self.assertIsNone(ElementTree.parse(bare["loss.svg"]).getroot().find(SVG + "title"))
        self.assertNotIn(b"Xt", bare["loss.png"].read_bytes())
        self.plot(*words, "--no-metadata", into="bare")  # its own files, which it replaces

    def test_pages_take_several_figures(self):
        run = make_run(self.folder / "a")
        files = self.plot(run, "--figure-format", "svg,pdf")
        seen = set()
        for path in (path for name, path in files.items() if name.endswith(".svg")):
            root = ElementTree.parse(path).getroot()
            ids = [element.get("id") for element in root.iter() if element.get("id")]
            self.assertEqual(len(ids), len(set(ids)), path.name)
            self.assertFalse(seen & set(ids), path.name)
            seen |= set(ids)
            for used in re.findall(r"url\(#([^)]*)\)", path.read_text()):
                self.assertIn(used, ids, path.name)
            kinds = [group.get("class") for group in root.iter(SVG + "g") if group.get("class")]
            empty = path.name == "soft-weight.svg"  # the model has no soft routing
            for kind in ("caption", "panel") if empty else ("caption", "panel", "x-axis", "y-axis"):
                self.assertIn(kind, kinds, path.name)
        kinds = [g.get("class") for g in ElementTree.parse(files["loss.svg"]).iter(SVG + "g")]
        self.assertIn("legend", kinds)
        self.assertIn("curve", kinds)
        for path in (path for name, path in files.items() if name.endswith(".pdf")):
            pages = re.findall(rb"/Type /Page\b.*?endobj", path.read_bytes(), re.S)
            self.assertEqual(len(pages), 1, path.name)
            self.assertNotIn(b"/Group", pages[0], path.name)

    def test_without_a_font_nothing_is_written(self):
        run = make_run(self.folder / "a")
        config = self.folder / "fonts.conf"
        config.write_text("<fontconfig><dir>/nowhere</dir><cachedir>/nowhere</cachedir></fontconfig>\n")
        self.plot(run, "--figures", "loss", code=5, FONTCONFIG_FILE=str(config))
        self.assertIn("fonts-dejavu-core", self.said)
        self.assertFalse((self.folder / "out").exists())
        self.plot(run, "--figures", "loss", "--figure-format", "csv", FONTCONFIG_FILE=str(config))

    def test_rare_pairs_are_grey_and_counted(self):
        files = self.plot(make_run(self.folder / "a"), "--figures", "expert-coactivation", "--figure-format", "svg,csv")
        rows = [row for row in rows_of(files["expert-coactivation.csv"]) if int(row["expert"]) < int(row["other_expert"])]
        rare = sum(float(row["expected"]) < 5 for row in rows)
        self.assertTrue(any(text.startswith(f"{rare} of {len(rows)} pairs are grey")
                            for text in texts_of(files["expert-coactivation.svg"])), rare)


if __name__ == "__main__":
    unittest.main()
