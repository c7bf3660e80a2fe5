"""Committed files name no path of one machine and no package registry, and stay small."""

import re

from sources import ROOT, report, tracked_files

TREE_BYTES = 40_000_000
# Spelled in pieces, so that this file does not name what it looks for.
MACHINE = re.compile(rb"(?<![\w.}$)*-])/(?:work|root|tmp|home/\w+|Users/\w+|opt/wheels)/\w")
REGISTRY = re.compile(rb"\b(?:pypi\.|files\.python" rb"hosted\.|pythonhosted\.|deb\.deb" rb"ian\.|"
                      rb"security\.deb" rb"ian\.|snapshot\.deb" rb"ian\.|archive\.ubun" rb"tu\.|"
                      rb"registry\.npm|download\.py" rb"torch\.)(?:org|com|net|js)")


def faults_of(name, data):
    for what, pattern in (("a path of one machine", MACHINE), ("a registry's address", REGISTRY)):
        for match in pattern.finditer(data):
            line = data.count(b"\n", 0, match.start()) + 1
            yield f"{name}:{line}: {what}, {match.group().decode(errors='replace')}"


def check_itself():
    for bad in (b"see /wo" b"rk/main", b"'/tm" b"p/x'", b"/ho" b"me/me/a", b"https://py" b"pi.org/",
                b"http://deb.deb" b"ian.org"):
        assert list(faults_of("example", bad)), bad
    for good in (b"network/main", b"$ROOT/tmp/x", b"/usr/share/fonts", b"PyPI", b"build/tmp/x"):
        assert not list(faults_of("example", good)), good


check_itself()
names = tracked_files()
faults = [fault for name in names if not name.endswith((".pt", ".npz"))
          for fault in faults_of(name, (ROOT / name).read_bytes())]
size = sum((ROOT / name).stat().st_size for name in names)
if size >= TREE_BYTES:
    faults.append(f"the tree has {size} bytes; less than {TREE_BYTES} expected")
report("tree", faults, len(names))
