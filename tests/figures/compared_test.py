"""Figures of runs beside each other: what they say of the runs, of what is missing and of what is approximate.

compared_test.py PROGRAM
"""
import csv
import html
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from runs import DEMO, make_run

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()


def words_of(path):
    return " ".join(re.findall(r">([^<>]+)</text>", html.unescape(path.read_text(encoding="utf-8"))))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Compared(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def run_program(self, verb, *words):
        out = self.folder / f"out{len(list(self.folder.iterdir()))}"
        done = subprocess.run([PROGRAM, verb, *words, "-o", out, "-q", "--figure-format", "svg,csv"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def run_of(self, name, change=lambda arrays: None, **words):
        return make_run(self.folder / name, name, change, **words)

    def test_a_difference_says_of_what_it_is(self):
        def halve(arrays):
            arrays["expert_weight"] = arrays["expert_weight"] / 2
        one, other = self.run_of("one"), self.run_of("other", halve)
        for side in ((), ("--against",)):
            out = self.run_program("compare", one, *side, other) / "figures"
            [svg] = out.glob("expert-load-difference*.svg")
            [table] = out.glob("expert-load-difference*.csv")
            run, against = ("one", "other") if side else ("other", "one")
            said = words_of(svg)
            self.assertIn(f"Each cell: {run} over {against}.", said)
            self.assertNotIn("first", said)
            self.assertIn("Experts without a token", said)
            ratios = {"load_over_even_ratio": set(), "gate_mass_over_mean_ratio": set()}
            for row in rows_of(table):
                self.assertEqual((row["run"], row["against"]), (run, against))
                for name, values in ratios.items():
                    values.add(row[name])
            for values in ratios.values():
                self.assertEqual({round(float(value), 4) for value in values if value}, {1})
        self.assertIn("(nats)", words_of(out / "loss.svg"))

    def test_approximate_in_one_is_said_of_it(self):
        one, other = self.run_of("one"), self.run_of("other")
        (other / "model.npz").unlink()
        said = words_of(self.run_program("compare", one, other) / "figures" / "kappa-experts-difference.svg")
        self.assertRegex(said, r"other: Approximate: model.npz is not beside")
        figures = self.run_program("plot", other, "--figures", "statistics-depth")
        self.assertIn("Approximate", words_of(figures / "statistics-depth.svg"))

    def test_names_of_runs_that_are_words_of_sentences(self):
        def others(arrays):
            arrays["expert_index"] = (arrays["expert_index"] + 1) % 8
        runs = [self.run_of("a", n_layer=8), self.run_of("near", others, n_layer=8)]
        said = words_of(self.run_program("compare", *runs) / "figures" / "routing-change.svg")
        self.assertIn("By a near tie: the margin there was so small", said)

    def test_near_ties_differ_from_the_same_in_grey(self):
        def others(arrays):
            arrays["expert_index"] = np.where(np.arange(48)[:, None] % 2, (arrays["expert_index"] + 1) % 8,
                                              arrays["expert_index"]).astype(np.int16)
        tie = np.where(np.arange(48) % 4 == 1, 0, 1)

        def tied(arrays):
            arrays["router_margin"] = (arrays["router_margin"] * tie).astype(np.float32)
        runs = [self.run_of("first", tied), self.run_of("second", others)]
        for theme in ("print", "grey"):
            out = self.run_program("plot", *runs, "--figures", "routing-change", "--theme", theme)
            text = (out / "routing-change.svg").read_text(encoding="utf-8")
            legend = text[text.index('class="legend"'):]
            colours = [bytes.fromhex(colour) for colour in re.findall(r'<rect [^>]*fill="#([0-9a-f]{6})"', legend)[:3]]
            greys = sorted(0.3 * red + 0.6 * green + 0.1 * blue for red, green, blue in colours)
            self.assertTrue(np.all(np.diff(greys) > 40), (theme, greys))

    def test_routing_of_other_layers(self):
        def later(arrays):
            arrays["layer_index"] = arrays["layer_index"] + np.int32(by)
        for by, says in ((20, "no layer with experts was recorded in both runs"),
                         (2, "not known, or no such layer in first2")):
            first, other = (self.run_of(f"{name}{by}", change, n_layer=32)
                            for name, change in (("first", lambda arrays: None), ("later", later)))
            (other / "model.npz").unlink()
            out = self.run_program("plot", first, other, "--figures", "routing-change")
            said = words_of(out / "routing-change.svg")
            self.assertIn(says, said)
            self.assertIn(f"Tokens routed otherwise later{by} against first{by} · ", said)
        out = self.run_program("plot", DEMO, other, "--figures", "routing-change")
        self.assertRegex(words_of(out / "routing-change.svg"),
                         r"not of the same layers \(they have \d and 32 layers\)")

    def test_experts_that_were_not_tried_are_counted(self):
        def try_some(arrays):
            change = np.full((6, 8), np.nan)
            change[3, :4] = [0.1, -0.2, 0.3, 0]
            arrays["ablation_nll"] = change
        out = self.run_program("plot", self.run_of("tried", try_some), "--figures", "expert-importance")
        index = np.load(DEMO / "trace.npz")["expert_index"]
        chosen = [np.unique(layer[layer >= 0]) for layer in index]
        untried = sum(map(len, chosen)) - np.sum(chosen[3] < 4)
        said = words_of(out / "expert-importance.svg")
        self.assertIn(f"{untried} experts not tried", said)
        unchosen = 48 - sum(map(len, chosen))
        self.assertEqual("that no token chose" in said, unchosen > 0)
        self.assertIn("ΔNLL without the expert (nats per token)", said)

    def test_steps_and_bands(self):
        def at(step):
            def change(arrays):
                meta = json.loads(str(arrays["kappascope_meta"]))
                meta["model"]["step"] = step
                arrays["kappascope_meta"] = np.array(json.dumps(meta))
            return change
        runs = [make_run(self.folder / f"step{step}", "model", at(step)) for step in (100, 200)]
        for words, band in (((), True), (("--no-band",), False)):
            out = self.run_program("plot", *runs, "--figures", "step-series,statistics-depth", *words)
            for figure in ("step-series", "statistics-depth"):
                self.assertEqual("Band: " in words_of(out / f"{figure}.svg"), band, (figure, words))
                self.assertRegex(words_of(out / f"{figure}.svg"), r"^S[a-z ]+ model · ")
        other = self.run_of("other", at(300))
        mixed = self.run_program("plot", runs[0], other, "--figures", "step-series")
        self.assertIn("steps of several models", words_of(mixed / "step-series.svg"))
        alone = self.run_program("plot", *runs, "--figures", "statistics-depth", "--layers", "2,3")
        for table in alone.glob("statistics-depth*.csv"):
            self.assertEqual([row["layer"] for row in rows_of(table)], ["2", "3"])

    def test_one_legend_where_all_panels_have_the_same(self):
        runs = [self.run_of(name) for name in ("alder", "birch", "cedar")]
        out = self.run_program("plot", *runs, "--figures", "statistics-depth,effect", "--panels", "--bare")
        said = words_of(out / "statistics-depth.svg")
        for name in ("alder", "birch", "cedar"):
            self.assertEqual(said.count(name), 1)
        self.assertEqual(words_of(out / "effect.svg").count("root mean square"), 1)

    def test_points_are_seen_on_paper_and_words_are_whole(self):
        def first(arrays):
            arrays["layer_index"] = arrays["layer_index"] - 2
        runs = [self.run_of(name, first, n_layer=6) for name in ("alder", "birch", "cedar")]
        for run in runs:
            (run / "model.npz").unlink()
        out = self.run_program("plot", *runs, "--panels", "--width", "139.7", "--figures",
                               "expert-importance,routing-change")
        for circle in re.findall(r"<circle [^>]*>", (out / "expert-importance.svg").read_text(encoding="utf-8")):
            [colour] = re.findall(r'fill="#([0-9a-f]{6})"', circle)
            red, green, blue = bytes.fromhex(colour)
            self.assertLess(0.3 * red + 0.6 * green + 0.1 * blue, 215, colour)
        self.assertIn("otherwise", words_of(out / "routing-change.svg").split())


unittest.main()
