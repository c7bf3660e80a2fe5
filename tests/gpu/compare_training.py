"""Compares training steps of two builds or devices, or of one device with itself.

compare_training.py PROGRAM DEVICE PROGRAM DEVICE MODEL...    two kappascope_train_steps; 77 without a device

A model is a folder, or `MAKER:` with the path of kappascope_make_model: one of each of MADE.

Losses and derivatives must agree to 1e-4 of the largest in their array, weights after some steps to 1e-3. Where both
are the same program on the same device, every bit must.
"""
import pathlib, subprocess, sys, tempfile
import numpy as np
from comparing import arrays_of, verdict, worst

DERIVATIVES, WEIGHTS = 1e-4, 1e-3
MADE = [['--kappa-input', 'constant'], ['--kappa-input', 'router_probs', '--granularity', 'per-expert'],
        ['--granularity', 'global'], ['--no-kappa'], ['--soft-budget', '4']]


def folders_of(model, scratch):
    if not model.startswith('MAKER:'):
        return [model]
    folders = [scratch / '_'.join(words).strip('-') for words in MADE]
    for folder, words in zip(folders, MADE):
        subprocess.run([model.removeprefix('MAKER:'), folder, *words], check=True, stdout=subprocess.DEVNULL)
    return folders


def faults_of(name, ours, theirs, exact):
    if ours.shape != theirs.shape:
        return f'{name}: shape {theirs.shape}, expected {ours.shape}'
    if exact:
        return '' if ours.tobytes() == theirs.tobytes() else f'{name}: other bits'
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return f'{name}: NaN on one side only'
    tolerance = DERIVATIVES if name.startswith(('first', 'grad.')) else WEIGHTS
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    return worst(name, ours, theirs, np.abs(ours - theirs) / (tolerance * np.abs(ours).max() + 1e-9))


def main():
    first, second, models = sys.argv[1:3], sys.argv[3:5], sys.argv[5:]
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for model in (folder for model in models for folder in folders_of(model, pathlib.Path(scratch))):
            written = pathlib.Path(scratch) / 'steps.npz'
            ours, theirs = (arrays_of([program, model, written, device], written)
                            for program, device in (first, second))
            where = pathlib.Path(model).name + ', '
            if ours.keys() != theirs.keys():
                faults.append(where + 'other arrays')
            if not ours['loss'][-1] < ours['loss'][0]:
                faults.append(where + f'the loss does not fall: {ours["loss"].tolist()}')
            if not all(ours[name].any() for name in ours if name.startswith('grad.')):
                faults.append(where + 'a tensor without a derivative')
            compared += sum(array.size for array in ours.values())
            found = (faults_of(name, ours[name], theirs[name], first == second) for name in ours.keys() & theirs.keys())
            faults += [where + fault for fault in found if fault]
    return verdict(compared, faults)


if __name__ == '__main__':
    sys.exit(main())
