"""One model of a Hugging Face family, written in other ways, gives the same trace.

check_hf_forms.py PROGRAM MODEL_FOLDER...           small folders, as tests/golden/hf
check_hf_forms.py PROGRAM --oracle PATTERN...       folders of $KAPPASCOPE_ORACLE, the kinds of files in turn; 77 when unset

config.json in the nested spelling of transformers 5 and in the flat one before it, with every type of RoPE
for the first folder: the traces are equal byte for byte (the oracle's: the arrays and `info`). Weights as one file, as shards, as pytorch_model.bin with and without
shards; bfloat16 and the float32 of the same values, MXFP4 and float8 and the float32 of what they stand for:
every array is equal bit for bit, so that the golden numbers of a folder hold for each of its forms. Likewise
one expert of float32 among bfloat16 ones.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'gpu'))
from comparing import Dumper
from hf_files import FORMS, read_weights, write_weights

# Of what `info` says: names, types and places of tensors, another in each form, and where the folder is.
OF_FILES = ('directory_sha256', 'path', 'tensors_of_dtype')
SPELLED_ALONE = ('glm4-groups-bias', 'qwen3-5')  # small folders whose tensors are kept as those of others
ROPES = [  # what config.json says beside rope_theta, each a case of its own; the first is the folder's
    None,
    {'rope_type': 'default'},
    {'rope_type': 'default', 'partial_rotary_factor': 1.0},
    {'rope_type': 'linear', 'factor': 2.5},
    {'rope_type': 'dynamic', 'factor': 2.0},
    {'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 32, 'beta_fast': 24.0, 'truncate': False},
    {'rope_type': 'llama3', 'factor': 4.0, 'low_freq_factor': 1.0, 'high_freq_factor': 3.0,
     'original_max_position_embeddings': 32},
]


# config.json ------------------------------------------------------------------------------------


def nested(config):
    """As transformers 5 writes it."""
    config = dict(config)
    if 'rope_parameters' not in config:
        config['rope_parameters'] = {'rope_type': 'default', **(config.pop('rope_scaling', None) or {})}
        for field in ('rope_theta', 'partial_rotary_factor'):
            if field in config:
                config['rope_parameters'][field] = config.pop(field)
    config.pop('rope_scaling', None)
    if 'torch_dtype' in config:
        config['dtype'] = config.pop('torch_dtype')
    if config['model_type'] in ('qwen3_moe', 'mellum') and 'num_experts' in config:
        config['num_local_experts'] = config.pop('num_experts')
    return config


def flat(config, type_name):
    """As repositories before it have it; `type_name`: of the type of RoPE, rope_type or type."""
    config = nested(config)
    if config['model_type'] != 'mellum':  # whose two kinds of layers have no flat spelling
        rope = config.pop('rope_parameters')
        kind = rope.pop('rope_type')
        for field in ('rope_theta', 'partial_rotary_factor'):
            if field in rope:
                config[field] = rope.pop(field)
        # Null is as good as false, or as the whole head, unlike a field that is not there.
        if rope.get('truncate') is False:
            rope['truncate'] = None
        if config.get('partial_rotary_factor') == 1:
            config['partial_rotary_factor'] = None
        silent = kind == 'default' and config['model_type'] != 'gpt_oss'  # there silence means yarn
        config['rope_scaling'] = None if silent else {type_name: kind, **rope}
    for field in ('norm_topk_prob', 'rope_interleave'):
        if config.get(field) is False:
            config[field] = None
    config['torch_dtype'] = config.pop('dtype', 'float32')
    if 'num_local_experts' in config and config['model_type'] in ('qwen3_moe', 'mellum'):
        config['num_experts'] = config.pop('num_local_experts')
    for field in ('head_dim', 'sliding_window', 'clip_qkv'):  # null is as good as nothing
        if field in config and config[field] is None:
            del config[field]
    return config


def with_rope(config, rope):
    if rope is None:
        return config
    config = nested(config)
    theta = config['rope_parameters'].get('rope_theta', 10000.0)
    return {**config, 'rope_parameters': {'rope_theta': theta, **rope}}


# Weights ----------------------------------------------------------------------------------------


def rounded(tensors):
    """Of float32 the nearest bfloat16, ties to even; other types as they are."""
    result = {}
    for name, (kind, array) in tensors.items():
        if kind == 'F32':
            bits = array.view('<u4').astype(np.uint64)
            kind, array = 'BF16', ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype('<u2')
        result[name] = kind, array
    return result


def widened(tensors):
    return {name: ('F32', (array.astype('<u4') << 16).view('<f4')) if kind == 'BF16' else (kind, array)
            for name, (kind, array) in tensors.items()}


CODE_POINTS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def decoded(tensors):
    """MXFP4 as the float32 tensors that a folder without it has: [E,inputs,outputs]."""
    result = {}
    for name, (kind, array) in tensors.items():
        if name.endswith('_blocks'):  # [E,outputs,inputs/32,16]: the low half is the earlier number
            scale = tensors[name.replace('_blocks', '_scales')][1].astype(np.float64) - 127
            pairs = np.stack([CODE_POINTS[array & 15], CODE_POINTS[array >> 4]], axis=-1)
            values = pairs.reshape(*array.shape[:3], 32) * np.exp2(scale)[..., None]
            experts, outputs = array.shape[:2]
            values = values.reshape(experts, outputs, -1).transpose(0, 2, 1)
            result[name[:-len('_blocks')]] = 'F32', np.ascontiguousarray(values, np.float32)
        elif not name.endswith('_scales'):
            result[name] = kind, array
    return result


def with_mxfp4(config, tensors, gates=64):
    """A gpt-oss folder with experts of `gates` gate units in random MXFP4: two blocks a row of down_proj."""
    random = np.random.default_rng(5)
    result = {name: value for name, value in tensors.items() if '.mlp.experts.' not in name}
    experts, width = config['num_local_experts'], config['hidden_size']
    for layer in range(config['num_hidden_layers']):
        front = f'model.layers.{layer}.mlp.experts.'
        for name, outputs, inputs in (('gate_up_proj', 2 * gates, width), ('down_proj', width, gates)):
            blocks = random.integers(0, 256, (experts, outputs, inputs // 32, 16), np.uint8)
            scales = random.integers(120, 127, (experts, outputs, inputs // 32), np.uint8)
            bias = random.normal(0, 0.2, (experts, outputs)).astype(np.float32)
            result |= {f'{front}{name}_blocks': ('U8', blocks), f'{front}{name}_scales': ('U8', scales),
                       f'{front}{name}_bias': ('F32', bias)}
    return {**config, 'intermediate_size': gates, 'quantization_config': {'quant_method': 'mxfp4'}}, result


# float8_e4m3: sign, four bits of exponent (bias 7), three of mantissa; the last of each sign is no number.
EIGHT_BITS = np.array([(8 + byte % 8) * 2.0 ** ((byte >> 3) - 10) if byte >> 3 else byte % 8 * 2.0 ** -9 for byte in range(127)],
                      np.float32)


def with_eight_bits(tensors):
    """Weights of the projections as float8 with a scale for each block of 128 rows and columns; and what they stand for."""
    given, meant = {}, {}
    for name, (kind, array) in tensors.items():
        given[name] = meant[name] = kind, array
        if not name.endswith('proj.weight') and not name.endswith('proj_with_mqa.weight'):
            continue
        values = (widened({name: (kind, array)})[name][1]).astype(np.float64)
        rows, columns = (-(-size // 128) for size in values.shape)
        scales = np.array([[np.abs(values[128 * r:128 * r + 128, 128 * c:128 * c + 128]).max() / 448 for c in range(columns)]
                           for r in range(rows)], np.float32)
        wide = np.repeat(np.repeat(scales, 128, 0), 128, 1)[:values.shape[0], :values.shape[1]]
        size = np.abs(values / wide)
        codes = np.clip(np.searchsorted(EIGHT_BITS, size), 1, 126)
        codes -= size - EIGHT_BITS[codes - 1] < EIGHT_BITS[codes] - size
        signs = np.where(values < 0, np.float32(-1), np.float32(1))
        given[name] = 'F8_E4M3', (codes | (values < 0) << 7).astype(np.uint8)
        given[name + '_scale_inv'] = 'F32', scales
        meant[name] = 'F32', EIGHT_BITS[codes] * signs * wide
    return given, meant


# Runs -------------------------------------------------------------------------------------------


class Forms:
    def __init__(self, program, scratch, traces):
        self.program, self.scratch, self.traces, self.failures, self.runs = program, scratch, traces, [], 0
        self.dumper = Dumper(pathlib.Path(program).parent / 'kappascope_dump_forward')

    def folder_of(self, model, config, tensors=None, form=None):
        """The model in the one folder that every form has in turn: the trace names its path."""
        folder = self.scratch / 'model'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in model.iterdir():
            weights = path.name.startswith(('model', 'pytorch_model'))
            if path.is_file() and path.name != 'config.json' and not (weights and form):
                shutil.copyfile(path, folder / path.name)  # links out of a folder are refused
        if form:
            write_weights(folder, tensors, *FORMS[form])
        (folder / 'config.json').write_text(json.dumps(config))
        return folder

    @staticmethod
    def ids_of(folder):
        vocab = json.loads((folder / 'config.json').read_text())['vocab_size']
        return [(t * 37 + 11) % vocab for t in range(48)]

    def failed(self, where, code, said):
        self.failures.append(f'{where}: code {code}, {said.strip()}')

    def trace_of(self, where, folder):
        """The bytes of a trace; None: the run failed, which was noted."""
        ids, out = self.scratch / 'ids.json', self.scratch / 'out'
        ids.write_text(str(self.ids_of(folder)))
        shutil.rmtree(out, ignore_errors=True)
        command = [self.program, 'run', folder, '--ids', ids, '-o', out, '--record', 'gates', '--logits',
                   '--figures', 'none', '--format', 'npz', '-q']
        done = subprocess.run(command, capture_output=True, text=True)
        self.runs += 1
        return self.failed(where, done.returncode, done.stderr) if done.returncode else (out / 'trace.npz').read_bytes()

    def described(self, where, folder):
        """What the program reads from the files; None as above."""
        done = subprocess.run([self.program, 'info', folder, '--json'], capture_output=True, text=True)
        return self.failed(where, done.returncode, done.stderr) if done.returncode else json.loads(done.stdout)

    def arrays_of(self, where, folder):
        """All that the forward pass gives, and the description without what is another in each form; None as above."""
        ids, dumped = self.scratch / 'ids.txt', self.scratch / 'forward.npz'
        ids.write_text(' '.join(map(str, self.ids_of(folder))))
        arrays, said = self.dumper(dumped, folder, ids, dumped)
        self.runs += 1
        if arrays is None:
            return self.failed(where, 1, said)
        meta = self.described(where, folder)
        return meta and (arrays, {name: value for name, value in meta.items() if name not in OF_FILES})

    def spellings(self, model, ropes):
        config = json.loads((model / 'config.json').read_text())
        for rope in ropes:
            if rope is not None and config['model_type'] == 'mellum':
                continue
            given = with_rope(config, rope)
            where = f'{model.name}, {rope["rope_type"] if rope else "its own"} RoPE'
            type_name = 'rope_type' if rope is None else 'type'
            spellings = (('nested', nested), ('flat', lambda config: flat(config, type_name)))
            result_of = self.trace_of if self.traces else self.arrays_of
            first, second = [result_of(f'{where}, {name}', self.folder_of(model, spelled(given)))
                             for name, spelled in spellings]
            if not self.traces:
                self.same(where, first, second)
            elif first != second:
                self.failures.append(f'{where}: the two spellings give different bytes')

    def same(self, where, ours, theirs):
        if ours is None or theirs is None:
            return
        (arrays, meta), (others, other_meta) = ours, theirs
        if arrays.keys() != others.keys():
            self.failures.append(f'{where}: other arrays, {sorted(arrays.keys() ^ others.keys())}')
        for key in sorted(meta.keys() | other_meta.keys()):
            if meta.get(key) != other_meta.get(key):
                self.failures.append(f'{where}: {key} of the meta, {meta.get(key)} and {other_meta.get(key)}')
        for name in arrays.keys() & others.keys():
            if arrays[name].dtype != others[name].dtype or arrays[name].tobytes() != others[name].tobytes():
                self.failures.append(f'{where}: {name} differs')

    def weights(self, model, containers):
        config = json.loads((model / 'config.json').read_text())
        tensors = read_weights(model)
        given = self.arrays_of(f'{model.name} as it is', self.folder_of(model, config))
        for form in containers:
            if form == 'one file' and (model / 'model.safetensors').exists():
                continue
            folder = self.folder_of(model, config, tensors, form)
            self.same(f'{model.name} as {form}', self.arrays_of(f'{model.name} as {form}', folder), given)
        narrow, of_narrow = rounded(tensors), given
        if any(kind == 'F32' for kind, _ in tensors.values()):
            folder = self.folder_of(model, config, narrow, 'one file')
            of_narrow = self.arrays_of(f'{model.name} in bfloat16', folder)
        folder = self.folder_of(model, config, widened(narrow), 'three shards')
        of_wide = self.arrays_of(f'{model.name} in float32', folder)
        self.same(f'{model.name}, bfloat16 and float32', of_narrow, of_wide)

    def types_side_by_side(self, model):
        """One expert of float32 among bfloat16 ones keeps its numbers."""
        config = json.loads((model / 'config.json').read_text())
        narrow = rounded(read_weights(model))
        apart = [name for name in narrow if '.experts.1.' in name]
        if not apart:
            return
        wide = widened(narrow)
        for name in apart:
            wide[name] = 'F32', (wide[name][1] * np.float32(1.001)).astype('<f4')
        mixed = narrow | {name: wide[name] for name in apart}
        ours = self.arrays_of(f'{model.name} in two types', self.folder_of(model, config, mixed, 'one file'))
        theirs = self.arrays_of(f'{model.name} in one type', self.folder_of(model, config, wide, 'one file'))
        self.same(f'{model.name}, two types and one', ours, theirs)

    def four_bits(self, model):
        config = json.loads((model / 'config.json').read_text())
        tensors = read_weights(model)
        if config['model_type'] != 'gpt_oss':
            return
        if 'quantization_config' not in config:
            if config['hidden_size'] % 32:  # numbers of a block
                return
            config, tensors = with_mxfp4(config, tensors)
        folder = self.folder_of(model, config, tensors, 'two .bin shards')
        given = self.arrays_of(f'{model.name} in MXFP4', folder)
        config.pop('quantization_config')
        folder = self.folder_of(model, config, decoded(tensors), 'one file')
        self.same(f'{model.name}, MXFP4 and float32', given, self.arrays_of(f'{model.name}, decoded', folder))

    def eight_bits(self, model):
        config = json.loads((model / 'config.json').read_text())
        if config['model_type'] not in ('qwen3_moe', 'deepseek_v3'):
            return
        given, meant = with_eight_bits(read_weights(model))
        used = {'quant_method': 'fp8', 'fmt': 'e4m3', 'weight_block_size': [128, 128]}
        folder = self.folder_of(model, {**config, 'quantization_config': used}, given, 'three shards')
        ours = self.arrays_of(f'{model.name} in float8', folder)
        self.same(f'{model.name}, float8 and float32', ours,
                  self.arrays_of(f'{model.name}, decoded', self.folder_of(model, config, meant, 'one file')))

    def beside_pictures(self, model):
        """The text part of a folder of pictures and text, which is left out by rule."""
        config = json.loads((model / 'config.json').read_text())
        if config['model_type'] != 'qwen3_5_moe_text':
            return
        tensors = read_weights(model)
        given = self.arrays_of(f'{model.name} alone', self.folder_of(model, config))
        whole = {('model.language_model.' + name.removeprefix('model.') if name.startswith('model.') else name): tensor
                 for name, tensor in tensors.items()}
        extra = np.ones((2, 3), '<f4')
        whole |= {'model.visual.blocks.0.weight': ('F32', extra), 'mtp.layers.0.weight': ('F32', extra)}
        outer = {'model_type': 'qwen3_5_moe', 'text_config': config, 'vision_config': {'depth': 1}, 'vocab_size': config['vocab_size'],
                 'tie_word_embeddings': config.get('tie_word_embeddings', False)}
        ours = self.arrays_of(f'{model.name} beside pictures', self.folder_of(model, outer, whole, 'one file'))
        if ours is None or given is None:
            return
        for meta in (ours[1], given[1]):  # what the folder is called and its configuration
            meta.pop('config_sha256')
            meta.pop('family')
        self.same(f'{model.name} beside pictures', ours, given)


def main():
    program, words = sys.argv[1], sys.argv[2:]
    if words[0] == '--oracle':
        if not os.environ.get('KAPPASCOPE_ORACLE'):
            print('skipped: KAPPASCOPE_ORACLE is not set')
            return 77
        oracle = pathlib.Path(os.environ['KAPPASCOPE_ORACLE'])
        models = sorted(path for pattern in words[1:] for path in oracle.glob(pattern))
    else:
        models = [pathlib.Path(word) for word in words]
    with tempfile.TemporaryDirectory() as scratch:
        forms = Forms(program, pathlib.Path(scratch), words[0] != '--oracle')
        for number, model in enumerate(models):
            # The families share one reader of RoPE.
            forms.spellings(model, ROPES if number == 0 else ROPES[:1])
            forms.beside_pictures(model)
            if model.name in SPELLED_ALONE:
                continue
            # No family has a reader of files of its own: of the many folders each takes one kind in turn.
            forms.weights(model, list(FORMS) if words[0] != '--oracle' else [list(FORMS)[number % len(FORMS)]])
            forms.four_bits(model)
            forms.eight_bits(model)
            forms.types_side_by_side(model)
    forms.dumper.end()
    for failure in forms.failures:
        print('FAILED', failure)
    print(f'{len(models)} models, {forms.runs} runs')
    return 1 if forms.failures else 0


if __name__ == '__main__':
    sys.exit(main())
