"""Compares whole runs of the program with the reference implementation's numbers.

check_golden.py BUILD_FOLDER MODEL_FOLDER... [--tokenizer FOLDER]
check_golden.py BUILD_FOLDER --oracle GROUP...      every model of $KAPPASCOPE_ORACLE/GROUP, or that one; GROUP
                                                    may have wildcards; 77 when unset
check_golden.py BUILD_FOLDER --forward DEVICE ...   the forward pass alone, of the golden token ids, by
                                                    kappascope_dump_forward; 77 without that device
check_golden.py BUILD_FOLDER --forward DEVICE --first N [--stream] ...    of the first N tokens; of the residual
                                                    stream alone, so that nothing of the experts is recorded
check_golden.py BUILD_FOLDER --numbers-alone ...    without what kappascope_dump_forward checks beside

Each MODEL_FOLDER holds a checkpoint and golden/NAME.{txt,npz}; other golden-* folders need the words that
index.json beside the model names for them (golden-kappa-off: --kappa off). Token ids
must be equal; every float must lie within 1e-4 + 1e-4·|golden|, float32 rounding through a few layers
and no more; an expert choice may differ only where the router's margin, or the gap between two chosen
scores, is below 1e-5. After such a near tie the token is reported and left out from there on.
"""
import argparse, json, os, pathlib, re, shlex, shutil, subprocess, sys, tempfile
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'gpu'))
from comparing import Dumper  # noqa: E402

ABSOLUTE, RELATIVE, TIE = 1e-4, 1e-4, 1e-5


class Comparison:
    """The worst difference of each quantity over the run, and what did not hold."""

    def __init__(self):
        self.worst, self.failures, self.near_ties, self.values = {}, [], 0, 0

    def floats(self, where, quantity, ours, golden, mask=None):
        ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
        if ours.shape != golden.shape:
            return self.failures.append(f'{where} {quantity}: shape {ours.shape}, expected {golden.shape}')
        if mask is not None:
            ours, golden = ours[mask], golden[mask]
        if not ours.size:
            return
        if (np.isnan(ours) != np.isnan(golden)).any():
            return self.failures.append(f'{where} {quantity}: NaN on one side only')
        excess = np.abs(ours - golden) / (ABSOLUTE + RELATIVE * np.abs(golden))
        excess = np.nan_to_num(excess, nan=0.0)
        at = np.unravel_index(excess.argmax(), excess.shape)
        self.values += excess.size
        self.worst[quantity] = max(self.worst.get(quantity, 0.0), float(excess[at]))
        if excess[at] > 1:
            self.failures.append(f'{where} {quantity}: at {at} {ours[at]:.7g}, expected {golden[at]:.7g}')

    def exact(self, where, quantity, ours, golden):
        if not np.array_equal(ours, golden):
            self.failures.append(f'{where} {quantity}: differs')


def near_ties(golden_logits, margin, slots):
    """Tokens whose chosen set, and tokens whose order among the chosen, two correct programs may see
    differently; both [T] bool. The margin is of the selection scores, which the golden file lacks."""
    ranked = -np.sort(-golden_logits, axis=1)
    gaps = ranked[:, :slots] - ranked[:, 1:slots + 1]
    in_set = (gaps[:, slots - 1:] < TIE).any(axis=1) | (margin < TIE)
    return in_set, in_set | (gaps < TIE).any(axis=1)


def soft_near_ties(golden_weight, margin):
    """The same of soft routing, whose margin is that of the weights and the threshold."""
    in_set = margin < TIE
    return in_set, in_set | ((-np.diff(golden_weight) < TIE) & (golden_weight[:, 1:] > 0)).any(axis=1)


EMPTY = {'expert_index': -1, 'expert_weight': 0}


def with_slots(golden, front, slots):
    """A layer of a golden file, its slots as many as those of the trace, which has the most of any layer."""
    layer = {name: golden[name] for name in golden.files if name.startswith(front)}
    for name, values in layer.items():
        part = name[len(front):]
        if part in ('expert_index', 'expert_weight', 'kappa', 'gate_pre', 'gate_act'):
            more = [(0, 0), (0, max(0, slots - values.shape[1]))] + [(0, 0)] * (values.ndim - 2)
            layer[name] = np.pad(values, more, constant_values=EMPTY.get(part, np.nan))[:, :slots]
    return layer


def compare_routing(result, where, trace, m, golden, front, rows, gates):
    index, kept = trace['expert_index'][m], trace['expert_kept'][m]
    soft = front + 'soft_weight' in golden
    if soft:
        index = np.where(kept, index, -1)
        golden = with_slots(golden, front, index.shape[1])
        result.floats(where, 'soft_weight', trace['soft_weight'][m], golden[front + 'soft_weight'], rows)
        if 'layer_budget' in trace:
            result.floats(where, 'budget', trace['layer_budget'][m], golden[front + 'budget'])
        set_tied, order_tied = soft_near_ties(golden[front + 'expert_weight'], trace['router_margin'][m])
    else:
        set_tied, order_tied = near_ties(golden[front + 'router_logits'], trace['router_margin'][m], index.shape[1])
    expected = golden[front + 'expert_index']
    other_order = rows & (index != expected).any(axis=1)
    other_set = rows & (np.sort(index, axis=1) != np.sort(expected, axis=1)).any(axis=1)
    for t in np.flatnonzero(other_order & ~order_tied | other_set & ~set_tied):
        result.failures.append(f'{where} {front}expert_index: token {t} chose {index[t]}, expected {expected[t]}')
    flips = other_order
    result.near_ties += int(flips.sum())
    rows = rows & ~flips
    result.floats(where, 'router_logits', trace['router_logits'][m], golden[front + 'router_logits'], rows)
    if front + 'kept' in golden:
        result.exact(where, front + 'kept', kept[rows], golden[front + 'kept'][rows])
    result.floats(where, 'expert_weight', trace['expert_weight'][m], golden[front + 'expert_weight'], rows)
    both = rows[:, None] & kept
    if front + 'kappa_input' in golden:
        result.floats(where, 'kappa_input', trace['kappa_input'][m], golden[front + 'kappa_input'], both)
    elif not soft and not np.isnan(trace['kappa_input'][m]).all():
        result.failures.append(f'{where} {front}kappa_input: a number, where the family has none')
    for name in ('kappa', 'gate_pre', 'gate_act') if gates else ():
        if front + name in golden:
            width = golden[front + name].shape[-1]
            result.floats(where, name, trace[name][m][..., :width], golden[front + name], both)
    return rows


def compare_prompts(result, arguments, model, golden_files, words, scratch):
    """The program's traces of the texts of a folder, made by one run of all of them."""
    out = scratch / 'run'
    texts = [word for path in golden_files for word in ('-f', path.with_suffix('.txt'))]
    tokenizer = ['--tokenizer', arguments.tokenizer] if arguments.tokenizer else []
    command = [arguments.programs / 'kappascope', 'run', model, *texts, '-o', out, '--record', 'gates',
               '--logits', '--format', 'npz', '--figures', 'none', '-q', *words, *tokenizer]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    folders = sorted(out.glob('*/')) if len(golden_files) > 1 else [out]
    with_stream, kept = [], []
    for path, folder in zip(golden_files, folders, strict=True):
        golden = np.load(path)
        rows = compare_prompt(result, named(model, path, words), np.load(folder / 'trace.npz'), golden)
        if rows is not None and any(name.endswith('.hidden') for name in golden.files):
            with_stream.append(path)
            kept.append(rows)
    shutil.rmtree(out)
    goldens = [np.load(path) for path in with_stream]
    dumps = dump_forward(arguments, model, goldens, scratch, words)
    for path, golden, ours, rows in zip(with_stream, goldens, dumps, kept):
        compare_hidden(result, ours, named(model, path, words), golden, rows)


def named(model, golden_file, words):
    return ' '.join([f'{model.name}/{golden_file.stem}', *words])


def compare_prompt(result, where, trace, golden):
    """Which tokens may be compared further on, [T] bool; None where the text is another."""
    if not np.array_equal(trace['token_id'], golden['token_ids'].ravel()):
        return result.failures.append(f'{where} token_id: differs')
    rows = np.ones(len(trace['token_id']), bool)
    passes = bool((trace['pass_index'] > 0).any())
    for m, (layer, step) in enumerate(zip(trace['layer_index'], trace['pass_index'])):
        front = (f'ut{step}.' if passes else '') + f'layer{layer}.'
        rows = compare_routing(result, where, trace, m, golden, front, rows, True)
    result.floats(where, 'logits', trace['logits'][:, ::8], golden['logits_every8'].reshape(len(rows), -1), rows)
    result.floats(where, 'nll', trace['nll'][1:], golden['nll'].ravel(), rows[:-1])
    return rows


def dump_forward(arguments, model, goldens, scratch, words):
    """What kappascope_dump_forward, one for all models, writes of the token ids of each golden file."""
    if not goldens:
        return []
    if not arguments.dumper:
        arguments.dumper = Dumper(arguments.programs / 'kappascope_dump_forward')
    files = [(scratch / f'ids-{n}.txt', scratch / f'forward-{n}.npz') for n in range(len(goldens))]
    for golden, (ids, dumped) in zip(goldens, files):
        ids.write_text('\n'.join(map(str, golden['token_ids'].ravel())))
        dumped.unlink(missing_ok=True)
    checks = ['--checks', 'none'] if arguments.numbers_alone else []
    arrays, said = arguments.dumper(files[0][1], model, *(name for pair in files for name in pair), *checks, *words)
    if arrays is None:
        raise RuntimeError(said)
    return [arrays, *(dict(np.load(dumped)) for _, dumped in files[1:])]


class Beginning(dict):
    """The first tokens of a golden file: what a text begins with does not depend on its end."""

    def __init__(self, golden, first):
        tokens = golden['token_ids'].size
        for name in golden.files:
            values = golden[name]
            by_token = values.reshape(tokens, -1) if values.shape[:1] == (1,) and values.size >= tokens else values
            self[name] = values.ravel()[:first - 1] if name == 'nll' else by_token[:first]
        self.files = golden.files


def compare_forwards(result, arguments, model, golden_files, words, scratch):
    goldens = [np.load(path) for path in golden_files]
    if arguments.first:
        goldens = [Beginning(golden, arguments.first) for golden in goldens]
    asked = ['--backend', 'plain'] if arguments.forward == 'plain' else ['--device', arguments.forward]
    if arguments.stream:
        asked += ['--wants', 'stream']
    dumps = dump_forward(arguments, model, goldens, scratch, [*asked, *words])
    for path, golden, ours in zip(golden_files, goldens, dumps):
        compare_forward(result, named(model, path, words), ours, golden)


def compare_forward(result, where, ours, golden):
    """Everything of a golden file, from its token ids on."""
    rows = np.ones(len(ours['logits']), bool)
    names = {'expert_kept': 'kept'}
    in_order = lambda name: [int(number) for number in re.findall(r'\d+', name)]
    for name in sorted((name for name in ours if name.endswith('.router_logits')), key=in_order):
        front = name[:-len('router_logits')]
        trace = {key: ours[front + names.get(key, key)][None] for key in (
            'router_logits', 'router_margin', 'expert_index', 'expert_weight', 'expert_kept', 'kappa_input',
            'kappa', 'gate_pre', 'gate_act')}
        if front + 'soft_weight' in ours:
            trace['soft_weight'] = ours[front + 'soft_weight'][None]
        rows = compare_routing(result, where, trace, 0, golden, front, rows, True)
    result.floats(where, 'logits', ours['logits'][:, ::8], golden['logits_every8'].reshape(len(rows), -1), rows)
    result.floats(where, 'nll', ours['nll'], golden['nll'].ravel(), rows[:-1])
    compare_hidden(result, ours, where, golden, rows)


def compare_hidden(result, ours, where, golden, rows):
    """The residual stream, the router's input and the layer's output, which the trace does not hold."""
    for name in golden.files:
        # The reference's own rounding exceeds the tolerance there: its stream has values up to 156.
        if where.startswith('gpt-oss-mxfp4/') and name.endswith('.hidden'):
            continue
        if name in ours and name.rsplit('.', 1)[-1] in ('hidden', 'router_input', 'moe_output'):
            result.floats(where, name.rsplit('.', 1)[-1], ours[name], golden[name].reshape(len(rows), -1), rows)


def words_for(model, folder):
    """What a folder of golden numbers asks of the command line."""
    if folder == 'golden-kappa-off':
        return ['--kappa', 'off']
    index = model.parent / 'index.json'
    if not index.exists():
        return []
    return shlex.split(json.loads(index.read_text())[model.name]['goldens'][folder])


def compare_models(result, arguments):
    prompts, compare = 0, compare_forwards if arguments.forward else compare_prompts
    with tempfile.TemporaryDirectory() as scratch:
        for model in arguments.models:
            for folder in sorted(model.glob('golden*/')):
                golden_files = sorted(folder.glob('*.npz'))
                if folder.name != 'golden-debug' and golden_files:
                    compare(result, arguments, model, golden_files, words_for(model, folder.name), pathlib.Path(scratch))
                    prompts += len(golden_files)
    return prompts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('programs', type=pathlib.Path)
    parser.add_argument('models', type=pathlib.Path, nargs='*')
    parser.add_argument('--oracle', nargs='+', default=[])
    parser.add_argument('--tokenizer', type=pathlib.Path)
    parser.add_argument('--forward')
    parser.add_argument('--first', type=int)
    parser.add_argument('--stream', action='store_true')
    parser.add_argument('--numbers-alone', action='store_true')
    parser.set_defaults(dumper=None)
    arguments = parser.parse_intermixed_args()
    if arguments.oracle:
        if not os.environ.get('KAPPASCOPE_ORACLE'):
            print('skipped: KAPPASCOPE_ORACLE is not set')
            return 77
        oracle = pathlib.Path(os.environ['KAPPASCOPE_ORACLE'])
        for group in arguments.oracle:
            for folder in sorted(oracle.glob(group)):
                arguments.models += [folder] if (folder / 'golden').is_dir() else [
                    model for model in sorted(folder.iterdir()) if model.is_dir()]
    result = Comparison()
    prompts = compare_models(result, arguments)
    if arguments.dumper:
        arguments.dumper.end()
    for quantity, excess in result.worst.items():
        print(f'{quantity:>14}: worst difference {excess:6.4f} of the tolerance')
    print(f'{prompts} prompts, {result.values} floats, {result.near_ties} near ties chosen differently')
    for failure in result.failures[:40]:
        print('FAILED', failure)
    # A folder without goldens must not pass as compared.
    return 1 if result.failures or not prompts else 0


if __name__ == '__main__':
    sys.exit(main())
