"""Runs of other models than the demo's, made of its trace."""
import json
import pathlib
import shutil

import numpy as np

DEMO = pathlib.Path(__file__).resolve().parent / "demo"


def make_run(folder, model, change=lambda arrays: None, **words):
    """The demo's trace as another model would have written it: arrays changed, members of the meta set."""
    folder.mkdir()
    with np.load(DEMO / "trace.npz", allow_pickle=False) as trace:
        arrays = dict(trace)
    meta = json.loads(str(arrays["kappascope_meta"]))
    meta["model"]["name"] = model
    meta.update(words)
    arrays["kappascope_meta"] = np.array(json.dumps(meta))
    change(arrays)
    np.savez(folder / "trace.npz", **arrays)
    shutil.copy(DEMO / "model.npz", folder)
    return folder
