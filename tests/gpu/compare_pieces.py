"""The rows of the experts in several pieces, and memory that runs short on the way, give the same bits.

compare_pieces.py PROGRAM MODEL_FOLDER...    PROGRAM: kappascope_dump_forward with the emulated kernels
"""
import os, pathlib, subprocess, sys, tempfile
import numpy as np

TOKENS = 120  # above those that take the path of few rows; 240 rows with two slots
WAYS = {'two pieces': {'EMULATED_PIECE_ROWS': '120'}, 'seven pieces': {'EMULATED_PIECE_ROWS': '36'},
        'memory short at the first piece': {'EMULATED_SHORT_PIECE': '0'},
        'memory short at the third piece': {'EMULATED_SHORT_PIECE': '2', 'EMULATED_PIECE_ROWS': '72'}}


def dump(program, model, scratch, environment):
    ids, dumped = scratch / 'ids.txt', scratch / 'forward.npz'
    ids.write_text('\n'.join(str((37 * t + 11) % 2000) for t in range(TOKENS)))
    dumped.unlink(missing_ok=True)
    subprocess.run([program, model, ids, dumped, '--device', 'cuda'], check=True, env={**os.environ, **environment})
    return dict(np.load(dumped))


def main():
    program, models = sys.argv[1], sys.argv[2:]
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            whole = dump(program, model, pathlib.Path(scratch), {})
            for way, environment in WAYS.items():
                pieces = dump(program, model, pathlib.Path(scratch), environment)
                if whole.keys() != pieces.keys():
                    faults.append(f'{pathlib.Path(model).name}, {way}: other arrays')
                for name in whole.keys() & pieces.keys():
                    compared += whole[name].size
                    if whole[name].tobytes() != pieces[name].tobytes():
                        faults.append(f'{pathlib.Path(model).name}, {way}: {name} differs')
    print(f'{compared} values compared, {len(faults)} faults')
    for fault in faults[:40]:
        print('FAILED', fault)
    return 1 if faults or not compared else 0


if __name__ == '__main__':
    sys.exit(main())
