"""Compares every figure of the demo trace, the demo corpus and the demo logs of training runs with what was
last agreed on: pictures byte for byte, tables that are not long by their words and numbers.

golden_figures.py PROGRAM                 compare; 1 when a figure differs, is new or is gone
golden_figures.py PROGRAM --page FOLDER   write old and new pictures and a page that shows them side by side
golden_figures.py PROGRAM --accept        make the new pictures the agreed ones
"""
import csv
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
LONGEST_TABLE = 5000  # bytes; the numbers of longer ones are recomputed by check_figures.py
ROW = ('<tr><th>{name}<br>{state}</th><td><object data="old/{name}"></object></td>'
       '<td><object data="new/{name}"></object></td></tr>\n')


def draw(program, folder):
    for words in (["demo"], ["demo-training"], ["demo-soft", "--figures", "train-budget"],
                  ["demo-corpus", "--figures", "expert-domains,expert-tokens"],
                  ["demo-lens", "--figures", "logit-lens,patching"],
                  ["demo-lens", "--figures", "logit-lens", "--by-rank"],
                  ["demo-generated", "--figures", "decode-overlap"],
                  ["demo", "--figures", "kappa-parameters,kappa-distribution,gate-sharpness", "--by-expert"]):
        subprocess.run(["kappascope", "plot", *words, "-o", folder, "-q", "--figure-format", "svg,csv"], executable=program, cwd=here, check=True)
    for table in folder.glob("*.csv"):
        if table.stat().st_size > LONGEST_TABLE:
            table.unlink()


def same_cell(one, other):
    """Numbers may differ in their last digits: logarithms are not those of every machine."""
    try:
        return one == other or math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False


def same(before, after):
    if before.suffix == ".svg":
        return before.read_bytes() == after.read_bytes()
    one, other = (list(csv.reader(path.read_text().splitlines())) for path in (before, after))
    return len(one) == len(other) and all(
        len(a) == len(b) and all(map(same_cell, a, b)) for a, b in zip(one, other))


def states(old, new):
    """Name of every picture and table → "" or how it differs."""
    found = {}
    for name in sorted({path.name for folder in (old, new) for path in folder.iterdir()}):
        before, after = old / name, new / name
        if not before.exists() or not after.exists():
            found[name] = "new" if after.exists() else "gone"
        else:
            found[name] = "" if same(before, after) else "changed"
    return found


def write_page(folder, new):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(here / "golden", folder / "old")
    shutil.copytree(new, folder / "new")
    rows = "".join(ROW.format(name=name, state=state) for name, state in states(folder / "old", folder / "new").items()
                   if name.endswith(".svg") or state)
    (folder / "index.html").write_text(f'<!doctype html><meta charset="utf-8"><title>Figures</title>\n<table>\n'
                                       f'<tr><th></th><th>agreed</th><th>now</th></tr>\n{rows}</table>\n')
    print(folder / "index.html")


def main():
    program, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    with tempfile.TemporaryDirectory() as scratch:
        new = pathlib.Path(scratch) / "new"
        draw(program, new)
        if words[:1] == ["--page"]:
            write_page(pathlib.Path(words[1]), new)
            return 0
        if words == ["--accept"]:
            shutil.rmtree(here / "golden", ignore_errors=True)
            shutil.copytree(new, here / "golden")
            return 0
        differing = {name: state for name, state in states(here / "golden", new).items() if state}
    for name, state in differing.items():
        print(f"{name}: {state}; `make figures` shows old and new side by side")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
