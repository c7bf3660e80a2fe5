"""A kernel NAME is defined in kernels/NAME.cu and its reference twin in kernels/NAME_ref.cpp."""

import re

from sources import ROOT, report

DECLARED = re.compile(r"^(?:int|void|float) (\w+)_(cuda|ref)\(", re.MULTILINE)
FILES = {"cuda": "{}.cu", "ref": "{}_ref.cpp"}


def faults_of(headers, read):
    """`headers`: their texts; `read`: the text of a file of kernels/, None where there is none."""
    declared = {match.groups() for text in headers for match in DECLARED.finditer(text)}
    for name, kind in sorted(declared):
        file = FILES[kind].format(name)
        text = read(file)
        if text is None or (name, kind) not in {match.groups() for match in DECLARED.finditer(text)}:
            yield f"kernels/{file}: {name}_{kind} is not defined there"
    for name, kind in sorted(declared):
        if kind == "cuda" and (name, "ref") not in declared:
            yield f"{name}_cuda has no reference twin"


def check_itself():
    header = "void a_ref(const Args& args);\nint a_cuda(const Args& args, Stream stream);\n"
    files = {"a_ref.cpp": "void a_ref(const Args& args) {", "a.cu": "int a_cuda(const Args& args) {"}
    assert not list(faults_of([header], files.get))
    assert len(list(faults_of([header], {**files, "a.cu": ""}.get))) == 1
    assert len(list(faults_of([header], {}.get))) == 2
    assert len(list(faults_of(["int b_cuda(x);"], {"b.cu": "int b_cuda(x) {"}.get))) == 1


def read(file):
    path = ROOT / "kernels" / file
    return path.read_text() if path.exists() else None


check_itself()
headers = [(ROOT / "kernels" / name).read_text() for name in ("kernels.h", "device_ops.h", "training_ops.h")]
report("kernel_pairs", list(faults_of(headers, read)), sum(len(DECLARED.findall(h)) for h in headers))
