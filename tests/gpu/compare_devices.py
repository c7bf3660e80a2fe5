"""Compares the forward pass of two builds or devices on a few tokens, which the goldens do not have.

compare_devices.py PROGRAM DEVICE PROGRAM DEVICE MODEL_FOLDER...    two kappascope_dump_forward; 77 without a
                                                                   device

Every number of every tap must lie within 1e-4 + 1e-4·|the first's|, shares of gate units within one unit,
histograms within one count in a thousand.
"""
import json, pathlib, sys, tempfile
import numpy as np
from comparing import Dumper, verdict, worst

LENGTHS = (1, 2, 5, 20, 40)  # up to 32 take the path of few rows
SHARES = (1, 5, 6)           # of gate statistics: active, linear, saturated


def dump(dumper, device, model, ids, scratch):
    listed, dumped = scratch / 'ids.txt', scratch / 'forward.npz'
    listed.write_text('\n'.join(map(str, ids)))
    arrays, said = dumper(dumped, model, listed, dumped, '--device', device)
    return arrays if arrays is not None else sys.exit(said)


def faults_of(name, ours, theirs, gates):
    if ours.shape != theirs.shape:
        yield f'{name}: shape {theirs.shape}, expected {ours.shape}'
    elif name.endswith('_hist'):
        if ours.sum() != theirs.sum() or np.abs(ours - theirs).sum() > 2 + ours.sum() / 1000:
            yield f'{name}: counts differ'
    elif ours.dtype.kind in 'bi':
        if (ours != theirs).any():
            yield f'{name}: differs'
    elif (np.isnan(ours) != np.isnan(theirs)).any():
        yield f'{name}: NaN on one side only'
    else:
        allowed = 1e-4 + 1e-4 * np.abs(ours)
        if name.endswith('_stats'):
            allowed[..., SHARES] += 1.01 / gates
        fault = worst(name, ours, theirs, np.nan_to_num(np.abs(ours - theirs) / allowed, nan=0.0))
        if fault:
            yield fault


def main():
    first, second = ((Dumper(program), device) for program, device in (sys.argv[1:3], sys.argv[3:5]))
    models = sys.argv[5:]
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            for length in LENGTHS:
                ids = [(37 * t + 11) % 90 for t in range(length)]
                ours, theirs = (dump(*which, model, ids, pathlib.Path(scratch)) for which in (first, second))
                where = f'{pathlib.Path(model).name}, {length} tokens, '
                gates = next((a.shape[-1] for n, a in ours.items() if n.endswith('.kappa')), 1)
                shared = json.loads((pathlib.Path(model) / 'config.json').read_text()) if any(
                    '.shared_' in name for name in ours) else {}
                shared = shared.get('shared_expert_intermediate_size', shared.get('shared_intermediate_size', 1))
                if ours.keys() != theirs.keys():
                    faults.append(where + 'other arrays')
                for name in ours.keys() & theirs.keys():
                    compared += ours[name].size
                    faults += [where + fault for fault in faults_of(name, ours[name], theirs[name], shared if ".shared_" in name else gates)]
    return verdict(compared, faults)


if __name__ == '__main__':
    sys.exit(main())
