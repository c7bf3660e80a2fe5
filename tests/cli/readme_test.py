"""The README's Python runs as it stands on what its commands write; that of a model of transformers is tried in python_test.py."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1])
source = pathlib.Path(__file__).resolve().parents[2]
snippets = re.findall(r"```python\n(.*?)```", (source / "README.md").read_text(), re.S)
snippets = [snippet for snippet in snippets if "import record" not in snippet]
assert snippets, "the README shows no Python"
with tempfile.TemporaryDirectory() as scratch:
    subprocess.run([programs / "kappascope", "run", source / "assets/d8-kappa", "-f", source / "assets/texts/prose.txt",
                    "-o", "out", "-q"], cwd=scratch, check=True)
    for snippet in snippets:
        shown = subprocess.run([sys.executable, "-c", snippet], cwd=scratch, check=True, capture_output=True,
                               text=True, env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(source / "assets/python")}).stdout
        assert shown.strip(), "a snippet prints nothing"
        print(shown)
