"""Captions, axes, notes, bounds and CSVs of figures under every intervention are true: runs of the
program on a shipped model.

usage: interventions_figures_test.py PROGRAM SOURCE"""
import csv
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = SOURCE / "assets" / "d4-kappa"
TEXT = "The tide came in, and the tide went out again before the moon rose over the harbour wall."


def texts_of(svg):
    return re.findall(r">([^<>]+)</text>", svg)


class Figures:
    """What `plot` made of one run."""

    def __init__(self, folder, words, figures="kappa-parameters,kappa-distribution,kappa-vs-score,silu-kappa",
                 plot=()):
        subprocess.run([PROGRAM, "run", MODEL, "-p", TEXT, "-o", folder, "-q", "--figures", "none", *words], check=True)
        subprocess.run([PROGRAM, "plot", folder, "-o", folder / "f", "-q", "--figures", figures, "--figure-format",
                        "svg,csv", *plot], check=True)
        self.folder = folder / "f"

    def texts(self, name):
        return texts_of((self.folder / f"{name}.svg").read_text(encoding="utf-8"))

    def caption(self, name="kappa-parameters"):
        return self.texts(name)[1]

    def rows(self, name):
        with open(self.folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


class InterventionsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.made = 0

    def figures(self, *words, **options):
        self.made += 1
        return Figures(self.scratch / str(self.made), words, **options)

    def bounds(self, figures):
        return [(row["kappa_lower_bound"], row["kappa_upper_bound"]) for row in figures.rows("kappa-parameters")]

    def test_bounds(self):
        plain = self.figures()
        u = {float(high) for _, high in self.bounds(plain)}
        self.assertEqual(len(u), 1)
        u = u.pop()
        self.assertIn("bounds 1/U and U", plain.texts("kappa-parameters"))
        doubled = self.figures("--kappa-mul", "2")
        for low, high in self.bounds(doubled):
            self.assertAlmostEqual(float(low), 2 / u)
            self.assertAlmostEqual(float(high), 2 * u)
        for name in ("kappa-parameters", "kappa-distribution"):
            self.assertIn("2·U", doubled.texts(name))
            self.assertIn("2/U", doubled.texts(name))
        first = plain.rows("kappa-parameters")[0]["layer"]
        scoped = self.figures("--kappa-mul", f"2@{first}:0")
        for row, (low, high) in zip(scoped.rows("kappa-parameters"), self.bounds(scoped)):
            factor = 2 if row["layer"] == first else 1
            self.assertAlmostEqual(float(low), 1 / u)
            self.assertAlmostEqual(float(high), factor * u)
        for name in ("kappa-parameters", "kappa-distribution"):
            self.assertIn("bounds of κ in force", scoped.texts(name))
            self.assertNotIn("U", scoped.texts(name))
        by_expert = self.figures("--kappa-mul", f"2@{first}:0", plot=("--by-expert", "--layer", first))
        name = f"kappa-parameters-by-expert-layer{first}"
        low, high = (float(by_expert.rows(name)[0][f"kappa_{end}_bound"]) for end in ("lower", "upper"))
        self.assertAlmostEqual(low, 2 / u)
        self.assertAlmostEqual(high, 2 * u)
        self.assertAlmostEqual(float(by_expert.rows(name)[1]["kappa_upper_bound"]), u)

    def test_a_number_has_no_bounds(self):
        fixed = self.figures("--kappa", "1.5")
        self.assertEqual(set(self.bounds(fixed)), {("", "")})
        for name in ("kappa-parameters", "kappa-distribution"):
            texts = " ".join(fixed.texts(name))
            self.assertNotRegex(texts, r"bounds|\bU\b|largest|at most")
            self.assertIn("κ = 1.5", fixed.caption(name))
            self.assertNotIn("from", fixed.caption(name))
        self.assertIn("set κ of every gate unit", " ".join(fixed.texts("kappa-vs-score")))
        self.assertIn("κ = 1.5", fixed.texts("silu-kappa"))  # one curve
        self.assertNotIn("5 %: κ = 1.5", fixed.texts("silu-kappa"))
        first = fixed.rows("kappa-parameters")[0]["layer"]
        one = self.figures("--kappa", f"1.5@{first}")
        self.assertEqual([low == "" for low, _ in self.bounds(one)],
                         [row["layer"] == first for row in one.rows("kappa-parameters")])
        self.assertIn(f"kappa=1.5@{first}", one.caption())
        expert = self.figures("--kappa", f"off@{first}:1", plot=("--by-expert", "--layer", first))
        rows = expert.rows(f"kappa-parameters-by-expert-layer{first}")
        self.assertEqual([row["kappa_upper_bound"] == "" for row in rows], [i == 1 for i in range(len(rows))])
        mixed = self.figures("--kappa", "off", "--kappa", f"2@{first}")
        self.assertIn("kappa=off, ", mixed.caption())

    def test_off_is_empty(self):
        off = self.figures("--kappa", "off")
        texts = off.texts("kappa-parameters")
        self.assertIn("κ off", off.caption())
        self.assertNotIn("κ = 1", texts)
        self.assertFalse([text for text in texts if "bounds" in text])
        self.assertIn("κ = 1", off.texts("silu-kappa"))

    def test_parameters_of_the_run_are_not_called_learned(self):
        edited = self.figures("--kappa-bias", "0.5")
        self.assertIn("not all of them learned", " ".join(edited.texts("kappa-parameters")))
        self.assertNotIn("not all of them learned", " ".join(self.figures().texts("kappa-parameters")))

    def test_what_the_run_sets_is_within_the_axis(self):
        for value, tick in ((8, "5"), (0.05, "0.1")):
            set_by_run = self.figures("--kappa", str(value), figures="kappa-distribution")
            self.assertIn(tick, set_by_run.texts("kappa-distribution"))

    def test_captions_carry_scopes(self):
        layers = [row["layer"] for row in self.figures().rows("kappa-parameters")]
        own = re.search(r"capacity factor (\S+)", self.figures().caption()).group(1)
        for layer in (layers[0], layers[-1]):
            caption = self.figures("--capacity", f"0.5@{layer}").caption()
            self.assertIn(f"capacity factor {own} except capacity=0.5@{layer}", caption)
            caption = self.figures("--capacity", f"off@{layer}").caption()
            self.assertIn(f"capacity factor {own} except capacity=off@{layer}", caption)
        caption = self.figures("--capacity", "0.5").caption()
        self.assertIn("capacity factor 0.5 ·", caption)
        self.assertNotIn("except", caption)
        caption = self.figures("--capacity", "off", "--top-k", f"1@{layers[-1]}", "--loop", "2").caption()
        for words in ("no capacity limit", f"top-k=1@{layers[-1]}", "loop=2"):
            self.assertIn(words, caption)

    def test_load_has_the_scale_of_its_layers(self):
        """With one choice an expert can have E times its even share."""
        figures = self.figures("--top-k", "1", figures="expert-load,expert-coactivation")
        self.assertIn("every token has one expert", " ".join(figures.texts("expert-coactivation")))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
