"""A folder includes only itself and what is to its left:

kernels, core | checkpoint, tokenizer, chat, corpus, tasks, model, engine, trace, train, stats, figure, report | app

core/forward, the engine library, is a leaf with Torch, core/parquet one with Arrow: nobody else
includes them.
"""

import re

from sources import report, sources

# Kernels stand alone, by a rule of their own.
ORDER = ["kernels", "core", "core/checkpoint", "core/tokenizer", "core/chat", "core/corpus", "core/tasks", "core/model",
         "core/engine", "core/trace", "core/train", "core/stats", "core/figure", "core/report", "app"]
# Each with the last folder that it includes.
LEAVES = {"core/forward": "core/engine", "core/parquet": "core/corpus"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CUDA = re.compile(r"^(cuda|cublas|cooperative_groups)\w*(\.h|/)")
CUDA_FILE = re.compile(r"^kernels/(\w+\.cu|cuda_launch\.h|wgmma\.h)$")
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
ARROW = re.compile(r"^(arrow|parquet)/")


def place(path):
    """The place of a file in ORDER, or None for a file that belongs to none."""
    folder = path.rsplit("/", 1)[0]
    if folder.split("/")[0] in ("app", "kernels"):
        return folder.split("/")[0]
    if folder == "core/model/families":
        return "core/model"
    return folder if folder in (*ORDER, *LEAVES) else None


def own_include_faults(path, target):
    if place(target) is None:
        yield f"{path}: includes {target}, which is in no folder of the order"
    elif place(path) == "kernels" and place(target) != "kernels":
        yield f"{path}: kernels include nothing but kernels, found {target}"
    elif place(path) in LEAVES:
        left = ORDER[:ORDER.index(LEAVES[place(path)]) + 1]
        if place(target) not in (*left, place(path)):
            yield f"{path}: includes {target}, which is to its right"
    elif place(target) in LEAVES:
        yield f"{path}: includes {target}; nobody but {place(target)} itself does"
    elif ORDER.index(place(target)) > ORDER.index(place(path)):
        yield f"{path}: includes {target}, which is to its right"


def faults_of(files):
    for path, text in files.items():
        if place(path) is None:
            yield f"{path}: in no folder of the order"
            continue
        for mark, target in INCLUDE.findall(text):
            if target == "implot.h":
                yield f"{path}: includes {target}; ImPlot is for the benchmark"
            if CUDA.match(target) and not CUDA_FILE.match(path):
                yield f"{path}: includes {target}; CUDA is for kernels/*.cu"
            if ARROW.match(target) and place(path) != "core/parquet":
                yield f"{path}: includes {target}; Arrow is for core/parquet"
            if TORCH.match(target) and place(path) != "core/forward":
                yield f"{path}: includes {target}; Torch is for core/forward"
            elif TORCH.match(target) and mark == '"':
                yield f"{path}: Torch's headers are system headers, <{target}>"
            elif mark == '"' and not TORCH.match(target):
                yield from own_include_faults(path, target)


def check_itself():
    breaks = {
        "core/checkpoint/a.h": '#include "core/trace/trace.h"',
        "core/error.h": '#include "core/checkpoint/zip.h"',
        "core/model/a.cpp": '#  include "core/engine/engine.h"',
        "core/forward/b.cpp": '#include "core/trace/trace.h"',
        "core/stats/b.cpp": '#include "core/forward/weights.h"',
        "core/engine/engine.h": '#include "app/cli/verbs.h"',
        "core/engine/probe.h": "#include <torch/torch.h>",
        "core/model/config.cpp": "#include <ATen/ATen.h>",
        "core/stats/a.cpp": '#include "summary.h"',
        "core/new/a.cpp": "",
        "kernels/cpu/a.cpp": '#include "core/error.h"',
        "kernels/a.cu": "#include <torch/torch.h>",
        "kernels/b.cpp": "#include <cuda_runtime.h>",
        "core/forward/a_cuda.cpp": "#include <cuda_runtime.h>",
        "kernels/a.h": "#include <cublas_v2.h>",
        "app/gui/a.cpp": "#include <implot.h>",
        "core/corpus/a.cpp": "#include <parquet/arrow/reader.h>",
        "core/parquet/a.cpp": '#include "core/model/model.h"',
    }
    keeps = {
        "core/parquet/b.cpp": '#include <arrow/array.h>\n#include "core/corpus/parquet.h"',
        "core/forward/engine.cpp": '#include "core/engine/engine.h"\n#include <torch/torch.h>',
        "core/forward/load.cpp": '#include <ATen/ATen.h>\n#include "core/model/model.h"',
        "core/trace/b.cpp": '#include "core/engine/probe.h"\n#include "core/model/model.h"',
        "kernels/a.cu": '#include <cuda_runtime.h>\n#include "kernels/kernels.h"',
        "core/figure/a.cpp": '#include "kernels/kernels.h"\n#include <vector>',
        "app/gui/plots.cpp": '#include "core/engine/engine.h"\n#include "app/cli/verbs.h"\n'
                             "#include <imgui.h>",
    }
    for path, text in breaks.items():
        assert len(list(faults_of({path: text}))) == 1, path
    for path, text in keeps.items():
        assert not list(faults_of({path: text})), path


check_itself()
found = sources(("app", "core", "kernels"))
report("include order", list(faults_of(found)), len(found))
