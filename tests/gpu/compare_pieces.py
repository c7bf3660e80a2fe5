"""The rows of the experts in several pieces, memory that runs short on the way, and layers that are read one at a
time give the same bits.

compare_pieces.py PROGRAM MODEL_FOLDER...    PROGRAM: kappascope_dump_forward with the emulated kernels
"""
import os, pathlib, re, sys, tempfile
from comparing import run, verdict

TOKENS = 120  # above those that take the path of few rows; 240 rows with two slots
WAYS = {'two pieces': {'EMULATED_PIECE_ROWS': '120'}, 'seven pieces': {'EMULATED_PIECE_ROWS': '36'},
        'memory short at the first piece': {'EMULATED_SHORT_PIECE': '0'},
        'memory short at the third piece': {'EMULATED_SHORT_PIECE': '2', 'EMULATED_PIECE_ROWS': '72'}}


def dump(program, model, scratch, environment, *words):
    """The arrays, and what was said; without arrays, what was wrong."""
    ids, dumped = scratch / 'ids.txt', scratch / 'forward.npz'
    ids.write_text('\n'.join(str((37 * t + 11) % 90) for t in range(TOKENS)))
    asked = ['--device', 'cuda', '--checks', 'none', *words]
    return run([program, model, ids, dumped, *asked], dumped, env={**os.environ, **environment})


def read_by_layer(program, model, scratch):
    """With the least memory that is enough, which the program names."""
    refused, said = dump(program, model, scratch, {}, '--gpu-memory', '1')
    least = re.search(r'GPU memory; expected at least (\d+) bytes .* found 1 \(--gpu-memory\)', said)
    if refused is not None or not least:
        return None, f'too little memory is not refused by its bytes: {said}'
    arrays, said = dump(program, model, scratch, {}, '--gpu-memory', least[1])
    if 'streamed a layer at a time' not in said:
        return None, f'layers are not read one at a time: {said}'
    return arrays, said


def faults_of_memory(program, model, scratch):
    arrays, said = dump(program, model, scratch, {'EMULATED_FREE': '1000'})
    known = r'GPU memory; expected at least \d+ bytes .*found 1000 of \d+ free; give --gpu-memory SIZE.* --device cpu'
    return [] if arrays is None and re.search(known, said) else [f'a model that does not fit: {said}']


def main():
    program, models = sys.argv[1], sys.argv[2:]
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            place = pathlib.Path(scratch)
            faults += faults_of_memory(program, model, place)
            whole, _ = dump(program, model, place, {})
            ways = {way: dump(program, model, place, environment) for way, environment in WAYS.items()}
            ways['layer by layer'] = read_by_layer(program, model, place)
            for way, (pieces, said) in ways.items():
                if pieces is None:
                    faults.append(f'{pathlib.Path(model).name}, {way}: {said}')
                    continue
                if whole.keys() != pieces.keys():
                    faults.append(f'{pathlib.Path(model).name}, {way}: other arrays')
                for name in whole.keys() & pieces.keys():
                    compared += whole[name].size
                    if whole[name].tobytes() != pieces[name].tobytes():
                        faults.append(f'{pathlib.Path(model).name}, {way}: {name} differs')
    return verdict(compared, faults)


if __name__ == '__main__':
    sys.exit(main())
