"""A run's arrays and summary as NumPy sees them, and the comparison of two sets of numbers."""

import json
import math
import pathlib

import numpy as np

NAN = float("nan")


class Comparison:
    """Largest difference by quantity, over its tolerance; NaN agrees with null only."""

    def __init__(self):
        self.worst = {}

    def add(self, name, ours, theirs, where="", relative=1e-5, absolute=1e-6):
        ours = np.atleast_1d(np.asarray(ours, dtype=np.float64))
        theirs = [theirs] if np.ndim(theirs) == 0 else theirs
        theirs = np.array([NAN if x is None else x for x in theirs], dtype=np.float64)
        if ours.shape != theirs.shape:
            self.worst[name] = (math.inf, ours.shape, theirs.shape, where)
            return
        excess = np.abs(ours - theirs) / (absolute + relative * np.abs(ours))
        both = np.isnan(ours) & np.isnan(theirs)
        excess = np.where(both, 0, np.where(np.isnan(excess), math.inf, excess))
        excess = np.where(ours == theirs, 0, excess)
        if excess.size == 0:
            self.worst.setdefault(name, (0.0, NAN, NAN, where))
            return
        at = int(np.argmax(excess))
        if name not in self.worst or excess[at] > self.worst[name][0]:
            self.worst[name] = (float(excess[at]), float(ours[at]), float(theirs[at]), where)

    def report(self):
        failed = False
        order = sorted(self.worst.items(), key=lambda item: (-item[1][0], item[0]))
        for name, (excess, ours, theirs, where) in order:
            bad = excess > 1
            failed = failed or bad
            if bad or excess > 0:
                print(f"{'FAIL' if bad else 'ok  '} {name}: {excess:.3g} of the tolerance, "
                      f"NumPy {ours}, kappascope {theirs} ({where})")
        print(f"{len(self.worst)} quantities compared, {'some differ' if failed else 'all agree'}")
        return 1 if failed else 0


def mean(values):
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else NAN


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def entropy(shares, axis=-1):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(shares > 0, shares * np.log(shares), 0 * shares).sum(axis=axis)


class Run:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.trace = np.load(folder / "trace.npz", allow_pickle=False)
        self.names = set(self.trace.files)
        self.meta = json.loads(str(self.trace["kappascope_meta"]))
        self.summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        self.model = None
        for path in (folder / "model.npz", folder.parent / "model.npz"):
            if path.exists():
                self.model = np.load(path, allow_pickle=False)
                break

    def __getitem__(self, name):
        return self.trace[name]


class Layer:
    """Row m of a run's arrays, cut to the layer's own experts."""

    def __init__(self, run, m, arrays):
        self.run, self.m = run, m
        self.layer = int(arrays["layer_index"][m])
        self.get = lambda name: arrays[name][m]
        logits = arrays["router_logits"][m]
        self.experts = logits.shape[1]
        self.gates = int(run.meta["dimensions"]["gate"])
        if run.model is not None:
            self.experts = int(run.model["layer_experts"][self.layer])
            self.gates = int(run.model["layer_gates"][self.layer])
        self.logits = logits[:, : self.experts].astype(np.float64)
        self.index = arrays["expert_index"][m].astype(np.int64)
        self.weight = arrays["expert_weight"][m].astype(np.float64)
        self.chosen = self.index >= 0
        self.finite = np.isfinite(arrays["router_entropy"][m])
        self.kept = arrays["expert_kept"][m] & self.chosen
        self.kept_finite = self.kept & self.finite[:, None]

    def of_gates(self, row, expert):
        """A row of parameters, per gate, expert or layer, as one number for each gate [I]."""
        row = np.asarray(row)
        row = row[expert] if row.ndim > 0 else row
        return np.broadcast_to(np.ravel(row)[: self.gates], (self.gates,)).astype(np.float64)

    def stored(self, name, expert):
        """α or b of model.npz in the slot or on the side that acted; None when it is not there."""
        model, meta = self.run.model, self.run.meta
        if name not in model.files:
            return None
        array = model[name].astype(np.float64)
        slots = json.loads(str(model["kappascope_meta"])).get("kappa_slots", 1)
        of_all = array.size == slots and model["kappa_u"].size > 1
        sets = list(array) if slots > 1 else [array]
        own = [self.of_gates(np.ravel(v)[0] if of_all else v[self.layer], expert) for v in sets]
        if meta.get("kappa_slot") is None:
            return own[min(int(self.get("pass_index")), slots - 1)]
        if meta["kappa_slot"] == "base" or slots == 1:
            return own[0]
        return own[1] if meta["sft_kappa"] == "independent" else (own[0] + own[1])

    def parameter(self, name, expert):
        """α or b as it acted."""
        edited = name + "_in_force"
        if edited in self.run.names:
            return self.of_gates(self.get(edited), expert)
        return self.stored(name, expert)

    def kappa_of(self, expert, scores):
        """κ [n,I] of one expert at these s; None when it does not follow from s, α and b."""
        run, kappa = self.run, self.run.meta["kappa"]
        if not kappa["in_force"] or run.model is None or kappa.get("input") == "gate_proj":
            return None
        if np.isnan(run.model["kappa_u"][self.layer]):
            return None
        s = scores.astype(np.float64)[:, None]
        b, a = (self.parameter(name, expert) for name in ("kappa_bias", "kappa_scale"))
        b = np.zeros(self.gates) if b is None else b
        a = np.ones(self.gates) if kappa.get("router", False) and a is None else a
        u = kappa.get("multiplier", 1) * (s * b if a is None else a * s + b)
        factor = float(self.get("kappa_factor")[expert]) if "kappa_factor" in run.names else 1.0
        return factor * np.exp(np.log(np.float64(run.model["kappa_u"][self.layer])) * np.tanh(u))
