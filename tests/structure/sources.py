"""The project's own files, as the structure tests see them."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked_files():
    """Paths relative to the root: what git tracks, or all but build/ outside a git checkout."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached",
                                 "--others", "--exclude-standard"],
                                cwd=ROOT, check=True, capture_output=True).stdout
        names = (name.decode() for name in listed.split(b"\0") if name)
    else:
        paths = (path for top in ROOT.iterdir() if top.name != "build"
                 for path in (top, *top.rglob("*")))
        names = (str(path.relative_to(ROOT)) for path in paths)
    return sorted(name for name in names if (ROOT / name).is_file())


def sources(folders=("app", "core", "kernels", "tests"), endings=(".h", ".cpp", ".cu")):
    """{path: text} of files of these kinds, C++ and CUDA unless given; in any folder with None."""
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in tracked_files()
            if (folders is None or name.split("/")[0] in folders) and name.endswith(endings)}


def report(rule, faults, checked):
    """Prints every fault and ends the program with the verdict."""
    for fault in faults:
        print(fault)
    print(f"{rule}: {checked} checked, {len(faults)} faults")
    raise SystemExit(1 if faults or not checked else 0)
