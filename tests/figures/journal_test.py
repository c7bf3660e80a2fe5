"""Figures as journals take them: every setting of the look, style files, presets, EPS, sizes.

journal_test.py PROGRAM
"""
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np

from runs import make_run

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
DEMO = HERE / "demo/trace.npz"
SVG = "{http://www.w3.org/2000/svg}"


def root_of(path):
    return ElementTree.parse(path).getroot()


def texts_of(element):
    return ["".join(text.itertext()) for text in element.iter(SVG + "text")]


def groups(root, kind):
    return [group for group in root.iter(SVG + "g") if group.get("class") == kind]


def size_mm(root):
    return tuple(float(root.get(name).removesuffix("mm")) for name in ("width", "height"))


def colours_in(text):
    return {tuple(bytes.fromhex(colour)) for colour in re.findall(r'"#([0-9a-f]{6})"', text)}


def grey(colour):
    """What a printer without colours makes of it: luminance."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in colour]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear)) ** (1 / 2.2)


def bar_greys(root):
    bar = groups(root, "colour-bar")[0]
    return np.array([grey(bytes.fromhex(rect.get("fill")[1:])) for rect in bar.iter(SVG + "rect")])


class Journal(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def plot(self, *words, into="out", code=0, traces=(DEMO,)):
        done = subprocess.run([PROGRAM, "plot", *traces, *words, "-o", into], cwd=self.folder, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, code, (words, done.stderr))
        self.said = done.stderr
        return {path.name: path for path in sorted((self.folder / into).glob("*"))}

    def one(self, figure, *words, into=None, **options):
        into = into or f"out{len(list(self.folder.glob('*')))}"
        return root_of(self.plot("--figures", figure, *words, into=into, **options)[f"{figure}.svg"])

    def refused(self, *words, says=()):
        files = self.plot(*words, into="refused", code=2)
        self.assertEqual(files, {})
        self.assertEqual(self.said.count("\n"), 1, self.said)
        for word in says:
            self.assertIn(word, self.said)

    def test_bare_pictures_say_the_rest_in_a_file(self):
        whole = self.one("kappa-depth")
        files = self.plot("--figures", "kappa-depth,loss", "--bare", "--figure-format", "svg,pdf,png", into="bare")
        caption = files["kappa-depth.caption.txt"].read_text()
        bare = root_of(files["kappa-depth.svg"])
        for kind in ("caption", "notes"):
            self.assertEqual(groups(bare, kind), [])
            words = " ".join(texts_of(groups(whole, kind)[0]))
            self.assertIn(words.split()[0], caption)
        for words in ("Sharpness κ over depth", "48 tokens", "Band: 5–95 %"):
            self.assertIn(words, caption)
            self.assertNotIn(words, " ".join(texts_of(bare)))
        self.assertEqual(texts_of(groups(bare, "y-axis")[0]), texts_of(groups(whole, "y-axis")[0]))
        self.assertLess(size_mm(bare)[1], size_mm(whole)[1])
        self.plot("--figures", "kappa-depth,loss", "--bare", into="bare")  # its own files, which it replaces

    def test_words_on_the_command_line_are_words_of_the_picture(self):
        root = self.one("loss", "--title", "Ours <&> theirs", "--label", "d8-kappa=κ-SwiGLU", "--xlabel", "Position",
                        "--ylabel", "Loss (nats)", "--ylim", "0:5", "--xlim", "10:40")
        texts = texts_of(root)
        for word in ("Ours <&> theirs", "Position", "Loss (nats)", "5"):
            self.assertIn(word, texts)
        self.assertTrue(any(text.startswith("κ-SwiGLU (mean ") for text in texts), texts)
        ticks = [int(text) for text in texts_of(groups(root, "x-axis")[0]) if text.isdigit()]
        self.assertTrue(min(ticks) >= 10 and max(ticks) <= 40, ticks)
        root = self.one("kappa-tokens", "--vmin", "0.5", "--vmax", "3")
        ticks = [text for text in texts_of(groups(root, "colour-bar")[0]) if text[0].isdigit()]
        self.assertTrue(all(0.5 <= float(text) <= 3 for text in ticks) and len(ticks) > 2, ticks)
        two = self.one("kappa-confidence", "--ylabel", "first", "--ylabel", "second")
        self.assertTrue({"first", "second"} <= set(texts_of(two)))
        self.assertEqual(self.said, "")

    def test_what_cannot_act_is_an_error_or_one_line(self):
        for words, says in ((("loss", "--vmin", "0"), ("--vmin", "loss", "colour bar")),
                            (("kappa-tokens", "--no-band"), ("--no-band", "kappa-tokens")),
                            (("kappa-tokens", "--xlim", "0:1"), ("--xlim", "x axis of numbers")),
                            (("kappa-depth", "--label", "x=y"), ("--label x=y", "'d8-kappa'")),
                            (("kappa-confidence", "--ylabel", "y"), ("--ylabel", "once for each")),
                            (("kappa-depth", "--tokens", "1:2"), ("--tokens", "kappa-depth")),
                            (("loss", "--layer", "3"), ("--layer", "loss")),
                            (("loss", "--layers", "3"), ("--layers", "loss")),
                            (("kappa-tokens", "--vmin", "-1"), ("--vmin", "logarithmic")),
                            (("loss", "--same-scale"), ("--same-scale", "loss")),
                            (("loss", "--dpi", "100"), ("--dpi", "PNG")),
                            (("loss", "--bare", "--figure-format", "csv"), ("--bare", "csv"))):
            self.refused("--figures", *words, says=says)
        for words in (("--font", "No Such Font"), ("--theme", "pink"), ("--preset", "none"), ("--ylim", "5:1"),
                      ("--ylim", "x"), ("--vmin", "nan"), ("--vmin", "3", "--vmax", "2"), ("--width", "1e9"),
                      ("--label", "x")):
            self.refused("--figures", "kappa-tokens", *words, says=words[:1])
        self.plot("--vmin", "0.1", "--no-band")
        self.assertEqual(self.said.count("\n"), 1, self.said)
        for word in ("--vmin does not act on ", "--no-band does not act on "):
            self.assertIn(word, self.said)

    def test_themes(self):
        files = self.plot("--theme", "grey", into="grey")
        for name, path in files.items():
            for colour in colours_in(path.read_text()):
                self.assertEqual(len(set(colour)), 1, (name, colour))
        dark = self.one("loss", "--theme", "dark")
        self.assertLess(grey(bytes.fromhex(dark.find(SVG + "rect").get("fill")[1:])), 0.2)
        self.assertGreater(grey(bytes.fromhex(next(dark.iter(SVG + "text")).get("fill")[1:])), 0.6)
        clear = self.one("loss", "--transparent")
        self.assertIsNone(clear.find(SVG + "rect"))
        png = self.plot("--figures", "loss", "--transparent", "--figure-format", "png", into="clear")["loss.png"]
        data = png.read_bytes()
        self.assertEqual(data[25], 6)  # red, green, blue and opacity
        pixels = zlib.decompress(b"".join(
            data[at + 4:at + 4 + struct.unpack(">I", data[at - 4:at])[0]]
            for at in (match.start() for match in re.finditer(b"IDAT", data))))
        self.assertEqual(pixels[1:5], b"\0\0\0\0")

    def test_a_diverging_map_parts_in_grey(self):
        print_bar = bar_greys(self.one("kappa-tokens"))
        n = len(print_bar)
        centre = int(print_bar.argmax())
        for away in range(n // 8, min(centre, n - centre), n // 8):
            self.assertGreater(abs(print_bar[centre - away] - print_bar[centre + away]), 0.04)
        grey_bar = bar_greys(self.one("kappa-tokens", "--theme", "grey"))
        self.assertTrue((np.diff(grey_bar) < 1e-9).all() and grey_bar[0] - grey_bar[-1] > 0.4)

    def test_lines_without_bands(self):
        whole, plain = self.one("kappa-depth"), self.one("kappa-depth", "--no-band")
        self.assertEqual((len(groups(whole, "bands")), len(groups(plain, "bands"))), (1, 0))
        self.assertNotIn("Band", " ".join(texts_of(plain)))
        runs = [make_run(self.folder / f"r{i}", f"model{i}") for i in range(5)]
        four = self.one("kappa-depth", traces=runs[:4])
        five = self.one("kappa-depth", traces=runs)
        self.assertEqual((len(groups(four, "bands")), len(groups(five, "bands"))), (1, 0))
        self.assertEqual((len(groups(four, "curve")), len(groups(five, "curve"))), (4, 15))
        self.assertIn("Pale lines", " ".join(texts_of(five)))

    def test_one_scale_for_figures_of_one_call(self):
        def halve(arrays):
            arrays["router_top1_prob"] = arrays["router_top1_prob"] / 2
        runs = [make_run(self.folder / "a", "a"), make_run(self.folder / "b", "b", halve)]
        bars = []
        for words in ((), ("--same-scale",)):
            files = self.plot("--figures", "router-confidence", *words, traces=runs, into=f"s{len(words)}")
            bars.append([texts_of(groups(root_of(files[f"router-confidence-{run}.svg"]), "colour-bar")[0])
                         for run in "ab"])
        self.assertNotEqual(*bars[0])
        self.assertEqual(*bars[1])

    def test_layers_and_tokens(self):
        files = self.plot("--figures", "kappa-tokens,kappa-depth,kappa-distribution", "--layers", "2,5", "--tokens",
                          "3:9", "--figure-format", "svg,csv")
        self.assertIn("--tokens does not act on kappa-depth, kappa-distribution", self.said)
        for name, path in files.items():
            self.assertIn("-layers2_5", name)
            if name.endswith(".csv"):
                lines = [line.split(",") for line in path.read_text().splitlines()]
                at = lines[0].index("layer")
                self.assertEqual({line[at] for line in lines[1:]}, {"2", "5"}, name)
        axis = texts_of(groups(root_of(files["kappa-tokens-tokens3-9-layers2_5.svg"]), "y-axis")[0])
        self.assertEqual(axis[:2], ["2", "5"])
        self.refused("--figures", "kappa-tokens", "--layers", "77", says=("--layers",))

    def test_eps_is_vectors_with_fonts(self):
        words = ("--figures", "kappa-depth,kappa-tokens", "--figure-format", "eps,pdf", "--width", "85")
        files, again = self.plot(*words), self.plot(*words, into="again")
        for name in ("kappa-depth.eps", "kappa-tokens.eps"):
            data = files[name].read_bytes()
            self.assertEqual(data, again[name].read_bytes())
            self.assertTrue(data.startswith(b"%!PS-Adobe-3.0 EPSF-3.0"))
            self.assertNotIn(b"CreationDate", data)
            self.assertIn(b"FontName", data)
            self.assertNotIn(b"/ImageType", data)
            box = [int(part) for part in re.search(rb"%%BoundingBox: (\d+) (\d+) (\d+) (\d+)", data).groups()]
            self.assertLessEqual(box[2] - box[0], 242)
        self.plot(*words)  # its own files, which it replaces

    def test_fonts_are_measured_and_embedded(self):
        files = self.plot("--figures", "loss", "--font", "DejaVu Serif", "--figure-format", "svg,pdf")
        self.assertTrue(root_of(files["loss.svg"]).get("font-family").startswith("'DejaVu Serif',"))
        fonts = subprocess.run(["pdffonts", files["loss.pdf"]], capture_output=True, text=True, check=True).stdout
        self.assertIn("DejaVuSerif", fonts)
        self.assertNotIn("DejaVuSans", fonts.replace("DejaVuSans-Bold", ""))
        for line in fonts.splitlines()[2:]:
            self.assertEqual(line.split()[-5], "yes", line)

    def test_style_files(self):
        style = self.folder / "style.toml"
        style.write_text('# of our paper\nwidth = 85\nbare = true\ntransparent = false\n'
                         'label = ["d8-kappa=ours", "x=y"]\nylim = "0:9"\n')
        files = self.plot("--figures", "loss", "--style", "style.toml", into="file")
        self.assertIn("--label x=y does not act on loss", self.said)
        given = self.plot("--figures", "loss", "--width", "85", "--bare", "--label", "d8-kappa=ours", "--ylim", "0:9",
                          into="given")
        for name in ("loss.svg", "loss.caption.txt"):
            self.assertEqual(files[name].read_bytes(), given[name].read_bytes())
        wider = self.one("loss", "--style", "style.toml", "--width", "100")
        self.assertEqual(size_mm(wider)[0], 100)
        for text, code, says in (('width = 85\nbare = tru\n', 3, ("line 2, column ",)),
                                 ('width = "wide"\n', 2, ("line 1, column 9", "width", "a number")),
                                 ('\ncolour = 1\n', 2, ("line 2, column 1", "colour", "no-band")),
                                 ('width = 5\n', 2, ("line 1, column 9", "expected a number from 40")),
                                 ('bare = 1\n', 2, ("bare", "true or false")),
                                 ('width = 85\nwidth = 86\n', 3, ("line 2",)),
                                 ('label = ["a=b", 3]\n', 2, ("label", "list"))):
            style.write_text(text)
            self.plot("--figures", "loss", "--style", "style.toml", into="wrong", code=code)
            for word in ("style.toml: ", *says):
                self.assertIn(word, self.said)
            self.assertEqual(self.said.count("\n"), 1)
        self.plot("--figures", "loss", "--style", "nowhere.toml", into="wrong", code=5)

    def test_presets(self):
        for name, width, height in (("nature", 89, 170), ("ieee", 88.9, 216), ("acl", 77, 247), ("neurips", 139.7, 229)):
            files = self.plot("--preset", name, "--bare", into=name)
            for path in (path for path in files.values() if path.suffix == ".svg"):
                root = root_of(path)
                self.assertEqual(size_mm(root)[0], width)
                self.assertLessEqual(size_mm(root)[1], height)
                axes = " ".join(text for kind in ("x-axis", "y-axis", "legend", "colour-bar")
                                for group in groups(root, kind) for text in texts_of(group))
                self.assertNotRegex(axes, "[καρσ←→]", path.name)
        self.assertIn("kappa", " ".join(texts_of(root_of(files["kappa-depth.svg"]))))
        self.one("loss", "--preset", "nature", "--width", "300")
        self.assertRegex(self.said, r"not kept: nature: wider than 183 mm: loss\n")
        self.assertRegex(self.said, r"not kept: nature: text of 8 pt, at most 7 pt .*: loss\n")
        self.assertEqual(size_mm(self.one("loss", "--preset", "nature", "--width", "120"))[0], 120)

    def test_sizes(self):
        runs = [make_run(self.folder / f"r{i}", f"model{i}") for i in range(3)]
        for words, most in ((("--width", "60"), 170), (("--width", "85"), 170), (("--width", "178"), 247),
                            (("--width", "85", "--panels"), 170), (("--width", "178", "--panels"), 247)):
            with self.subTest(words=words):
                files = self.plot(*words, traces=runs, into="w" + "".join(words))
                for name, path in files.items():
                    self.assertLessEqual(size_mm(root_of(path))[1], most, (name, words))
        self.assertEqual(size_mm(self.one("kappa-parameters", "--width", "85", "--height", "200"))[1], 200)

    def test_no_half_is_blank(self):
        root = self.one("expert-coactivation", "--width", "178")
        boxes = [(float(rect.get("x")), float(rect.get("width"))) for group in groups(root, "cells")
                 for rect in group.iter(SVG + "rect")]
        reach = max(x + width for x, width in boxes) - min(x for x, _ in boxes)
        self.assertGreater(reach, 0.55 * 178 * 72 / 25.4)
        late = make_run(self.folder / "late", "late", n_layer=16,
                        change=lambda arrays: arrays.update(layer_index=arrays["layer_index"] + np.int32(8)))
        (late / "model.npz").unlink()
        files = self.plot("--figures", "kappa-depth", "--figure-format", "svg,csv", traces=[late], into="late-out")
        ticks = [float(text) for text in texts_of(groups(root_of(files["kappa-depth.svg"]), "x-axis")[0])
                 if re.fullmatch(r"[\d.]+", text)]
        self.assertGreater(min(ticks), 0.4)

    def test_logarithmic_axes_have_ticks_between(self):
        for figure in ("kappa-depth", "kappa-distribution", "expert-importance"):
            axis = groups(self.one(figure), "y-axis")[0]
            ticks = [path for path in axis.iter(SVG + "path")]
            self.assertGreater(len(ticks), len(texts_of(axis)) + 2, figure)


if __name__ == "__main__":
    unittest.main()
