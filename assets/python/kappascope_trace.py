"""Traces and results of kappascope as labelled arrays, and traces of models that it does not compute itself.

One file that needs NumPy alone; xarray and pandas are used where they are asked for, torch is the model's own.

    from kappascope_trace import open_trace, record

    trace = open_trace('out/trace.npz')            # or the folder; stats.npz opens likewise
    trace['router_entropy'].values                 # float32 [moe_layer, token]; .dims, .unit, .long_name
    trace.xarray(['router_entropy', 'nll'])        # an xarray.Dataset
    trace.pandas('expert_weight')                  # one row for each value

    with record(model, tokenizer) as recorder:     # a Mixture-of-Experts model of transformers
        model(**tokenizer('Some text.', return_tensors='pt'))
    recorder.save('trace.npz')                     # kappascope trace.npz, kappascope plot trace.npz …

The layout of the files is that of docs/files.md.
"""
import codecs
import contextlib
import hashlib
import json
import os
import pathlib
import re
import tempfile
import zipfile

import numpy as np

__all__ = ['Labelled', 'Trace', 'open_trace', 'write_trace', 'record', 'Recorder']

META = 'kappascope_meta'
SCHEMA = 'kappascope.trace/1'


# Reading ------------------------------------------------------------------------------------------


class Labelled:
    """An array with the names of its axes."""

    def __init__(self, name, values, dims=(), unit='', long_name=''):
        self.name, self.values, self.dims, self.unit, self.long_name = name, values, tuple(dims), unit, long_name
        if self.dims and len(self.dims) != values.ndim:
            raise ValueError(f'{name}: expected {len(self.dims)} axes, {self.dims}, found {values.ndim}')

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy) if copy else np.asarray(self.values, dtype=dtype)

    def __getitem__(self, index):
        return self.values[index]

    def __len__(self):
        return len(self.values)

    @property
    def shape(self):
        return self.values.shape

    def __repr__(self):
        axes = ', '.join(f'{dim}: {size}' for dim, size in zip(self.dims, self.shape)) or f'{self.shape}'
        return f'<{self.name} {self.values.dtype} [{axes}] {self.unit}: {self.long_name}>'


class Trace:
    """A trace.npz or stats.npz: a mapping of names to Labelled arrays, which are read when they are asked for.

    `meta`: what the file says of model, run and versions (docs/files.md).
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if self.path.is_dir():
            found = [self.path / name for name in ('trace.npz', 'stats.npz') if (self.path / name).exists()]
            if not found:
                raise FileNotFoundError(f'{self.path}: neither trace.npz nor stats.npz in this folder')
            self.path = found[0]
        self._file = np.load(self.path, allow_pickle=False)
        if META not in getattr(self._file, 'files', ()):
            raise ValueError(f'{self.path}: not a file of kappascope: no {META}')
        self.meta = json.loads(str(self._file[META]))
        self._described = self.meta.get('arrays', {})
        self._read = {}

    def __getitem__(self, name):
        if name not in self._read:
            if name == META or name not in self._file.files:
                raise KeyError(f'{name} is not recorded in {self.path}')
            said = self._described.get(name, {})
            self._read[name] = Labelled(name, self._file[name], said.get('_ARRAY_DIMENSIONS', ()), said.get('unit', ''),
                                        said.get('long_name', ''))
        return self._read[name]

    def __contains__(self, name):
        return name != META and name in self._file.files

    def __iter__(self):
        return (name for name in self._file.files if name != META)

    def __len__(self):
        return len(self._file.files) - 1

    def keys(self):
        return list(self)

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        model = self.meta.get('model', {}).get('name', '')
        return f'<{self.meta.get("schema", "")} {self.path} of {model}, {len(self)} arrays>'

    def coordinates(self):
        """{axis: labels} of the axes that are layers of the model."""
        found = {}
        for axis, name in (('moe_layer', 'layer_index'), ('dense_layer', 'dense_layer_index'),
                           ('shared_layer', 'shared_layer_index'), ('lens_layer', 'lens_layer_index')):
            if name in self:
                layers = self[name].values
                if len(set(layers.tolist())) == len(layers):  # else several passes over the stack
                    found[axis] = layers
        return found

    def xarray(self, names=None):
        """The arrays `names` (all) as an xarray.Dataset."""
        import xarray

        variables = {}
        for name in names if names is not None else self:
            array = self[name]
            dims = array.dims or tuple(f'{name}_{axis}' for axis in range(array.values.ndim))
            variables[name] = xarray.Variable(dims, array.values, {'units': array.unit, 'long_name': array.long_name})
        used = {dim for variable in variables.values() for dim in variable.dims}
        coordinates = {axis: labels for axis, labels in self.coordinates().items() if axis in used}
        return xarray.Dataset(variables, coordinates, {META: json.dumps(self.meta)})

    def pandas(self, name):
        """One array as a pandas.DataFrame: a column for each axis, one row for each value."""
        import pandas

        array, labels = self[name], self.coordinates()
        dims = array.dims or tuple(f'axis_{axis}' for axis in range(array.values.ndim))
        if not dims:
            return pandas.DataFrame({name: [array.values.item()]})
        places = np.indices(array.shape).reshape(array.values.ndim, -1)
        columns = {dim: np.asarray(labels[dim])[place] if dim in labels else place for dim, place in zip(dims, places)}
        return pandas.DataFrame({**columns, name: array.values.reshape(-1)})


def open_trace(path):
    """The trace.npz or stats.npz at `path`, or in the folder `path`."""
    return Trace(path)


# Writing ------------------------------------------------------------------------------------------

# {name: (type, axes, unit, long name)} of what is written here, in the words of docs/files.md.
ARRAYS = {
    'token_id': ('i4', ('token',), '', 'token id'),
    'char_start': ('i4', ('token',), 'code point', 'first code point of the token in the text'),
    'char_end': ('i4', ('token',), 'code point', 'code point after the token in the text'),
    'token_text': ('U', ('token',), '', 'token as shown to people'),
    'token_bytes_hex': ('U', ('token',), '', 'exact bytes of the token, hexadecimal'),
    'nll': ('f4', ('token',), 'nat', 'negative log-likelihood of the token given the ones before'),
    'target_rank': ('i4', ('token',), '', 'rank of the token among the predictions, 0 the likeliest'),
    'top_token_id': ('i4', ('token', 'top'), '', 'likeliest next tokens'),
    'top_token_logprob': ('f4', ('token', 'top'), 'nat', 'log-probability of the likeliest next tokens'),
    'layer_index': ('i4', ('moe_layer',), '', 'layer of the model, from 0'),
    'pass_index': ('i4', ('moe_layer',), '', 'pass over the stack of layers, from 0'),
    'router_logits': ('f4', ('moe_layer', 'token', 'expert'), 'logit', 'router logits before any bias'),
    'selection_score': ('f4', ('moe_layer', 'token', 'expert'), '1',
                        'score by which experts are chosen, where it is not the router logit'),
    'expert_index': ('i2', ('moe_layer', 'token', 'slot'), '', 'chosen expert, best first'),
    'expert_weight': ('f4', ('moe_layer', 'token', 'slot'), '1', 'combine weight, 0 where dropped'),
    'expert_kept': ('?', ('moe_layer', 'token', 'slot'), '', 'false: over capacity'),
    'router_top1_prob': ('f4', ('moe_layer', 'token'), '1', 'largest router probability'),
    'router_selected_mass': ('f4', ('moe_layer', 'token'), '1', 'router probability of the chosen experts'),
    'router_margin': ('f4', ('moe_layer', 'token'), 'logit', 'lowest chosen less highest unchosen selection score'),
    'router_top_gap': ('f4', ('moe_layer', 'token'), 'logit', 'best less second best logit'),
    'router_entropy': ('f4', ('moe_layer', 'token'), '1', 'entropy of the router probabilities over ln E'),
    'kappa_input': ('f4', ('moe_layer', 'token', 'slot'), '1', 'score s of kappa = U^tanh(alpha s + b)'),
    **{name: ('f4', ('moe_layer', 'token', 'slot'), '1', what) for name, what in (
        ('kappa_mean', 'mean of kappa over the gate units'), ('kappa_min', 'smallest kappa of the gate units'),
        ('kappa_max', 'largest kappa of the gate units'), ('kappa_p05', '5 % quantile of kappa over the gate units'),
        ('kappa_p95', '95 % quantile of kappa over the gate units'),
        ('gate_mean_abs', 'mean |a| of the gate activations a'), ('gate_active_fraction', 'share of |a| above the threshold'),
        ('gate_top16_share', 'share of the largest |a| in the sum of |a|'),
        ('gate_kz_rms', 'root mean square of kappa z, the effective sharpness'),
        ('gate_linear_fraction', 'share of |kappa z| below 1'), ('gate_saturated_fraction', 'share of |kappa z| above 4'))},
    'gate_entropy': ('f4', ('moe_layer', 'token', 'slot'), 'nat', 'entropy of |a| over the gate units'),
    'kappa_hist': ('i8', ('moe_layer', 'expert', 'kappa_bin'), '',
                   'kept (token, gate) by ln kappa / ln U in 64 equal bins of [-1, 1]'),
    'gate_pre_hist': ('i8', ('moe_layer', 'expert', 'gate_pre_bin'), '',
                      'kept (token, gate) by z: underflow, 64 equal bins of [-8, 8], overflow'),
    **{name: ('f8', ('moe_layer', 'expert'), unit, what) for name, unit, what in (
        ('effect_mean', '1', 'mean of d = z sigma(kappa z) - z sigma(z)'), ('effect_abs', '1', 'mean |d|'),
        ('effect_rms', '1', 'root mean square of d'), ('effect_positive', '1', 'share of d > 0'),
        ('effect_rel_mean', '1', 'mean of d / silu(z)'), ('effect_rel_abs', '1', 'mean |d / silu(z)|'),
        ('effect_rel_rms', '1', 'root mean square of d / silu(z)'),
        ('effect_rel_positive', '1', 'share of d / silu(z) > 0'),
        ('effect_count', '', 'scalars (kept token, gate) behind the effect'))},
}
OPTIONAL = ('selection_score',)
THRESHOLDS = {'gate_active': 0.1, 'gate_top': 16, 'gate_linear': 1.0, 'gate_saturated': 4.0}
NEAR_TIE = {'logit': 1e-3, 'score': 2.5e-4}  # margins below it, by their unit
TOP_TOKENS = 5


def _save_aligned(file, arrays):
    """As numpy.savez, but the values of every array begin at a multiple of 64 bytes of the file: kappascope then reads
    the pages of a large one that it needs, in place of all of it. The same arrays give the same bytes."""
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            entry = zipfile.ZipInfo(f'{name}.npy')
            begin = archive.start_dir + 30 + len(entry.filename) + 20  # of the .npy: behind its header of ZIP, and ZIP64's part
            padding = -(begin + 4) % 64
            entry.extra = b'pk' + padding.to_bytes(2, 'little') + bytes(padding)  # an extra field of nobody
            with archive.open(entry, 'w', force_zip64=True) as part:
                np.lib.format.write_array(part, np.ascontiguousarray(values) if np.ndim(values) else values, allow_pickle=False)


def write_trace(path, arrays, meta):
    """Writes trace.npz as a whole or not at all. `arrays`: {name: values} of ARRAYS, with all of its axes of one size
    each; `meta`: model, model_config, n_layer, dimensions with gate and vocabulary, the two sums of SHA-256."""
    sizes, described, typed = {}, {}, {}
    for name, values in arrays.items():
        if name not in ARRAYS:
            raise ValueError(f'{name}: not an array of a trace that is written here; expected one of {", ".join(ARRAYS)}')
        kind, dims, unit, long_name = ARRAYS[name]
        if name == 'router_margin':
            unit = meta.get('router_margin_unit', unit)
        values = np.asarray(values, kind)
        if values.ndim != len(dims):
            raise ValueError(f'{name}: expected the axes {dims}, found the shape {values.shape}')
        for dim, size in zip(dims, values.shape):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f'{name}: expected {sizes[dim]} along {dim}, found {size}')
        described[name] = {'_ARRAY_DIMENSIONS': list(dims), 'unit': unit, 'long_name': long_name}
        typed[name] = values
    missing = [name for name in ARRAYS if name not in typed and name not in OPTIONAL]
    if missing:
        raise ValueError(f'missing arrays: {", ".join(missing)}')
    whole = {'schema': SCHEMA, 'arrays': described, 'interventions': [],
             'thresholds': {**THRESHOLDS, 'near_tie': meta.get('near_tie', NEAR_TIE['logit'])},
             'kappa': {'model': False, 'in_force': False}, **meta}
    whole['dimensions'] = {**{axis: sizes[axis] for axis in ('token', 'moe_layer', 'expert', 'slot')}, 'dense_layer': 0,
                           'dense_gate': 0, **meta['dimensions']}
    path = pathlib.Path(path)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix='.part')
    try:
        with os.fdopen(handle, 'wb') as file:
            _save_aligned(file, {**typed, META: np.array(json.dumps(whole, sort_keys=True))})
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(scratch, 0o666 & ~mask)
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


# Numbers of a run ---------------------------------------------------------------------------------


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def sigmoid_share(logits):
    q = 1 / (1 + np.exp(-logits))
    return q / q.sum(-1, keepdims=True)


def score_of(logits, index, weight):
    """softmax or sigmoid: what the weights of the chosen experts are in proportion to. None: neither, or one expert."""
    if index.shape[-1] < 2:
        return None
    share = weight / weight.sum(-1, keepdims=True)
    for name, of in (('softmax', softmax), ('sigmoid', sigmoid_share)):
        chosen = np.take_along_axis(of(logits), index.astype(np.int64), -1)
        if np.allclose(chosen / chosen.sum(-1, keepdims=True), share, rtol=2e-2, atol=1e-3):
            return name
    return None


def router_numbers(logits, selection, index, score):
    """The arrays of a layer from its router logits and selection scores [T,E] and chosen experts [T,K]; NaN for what is
    not known: without a score no probabilities, and no margin where the chosen experts are not the highest ones."""
    logits, index = logits.astype(np.float64), index.astype(np.int64)
    tokens, experts = logits.shape
    ordered = np.sort(logits, -1)[:, ::-1]
    chosen = np.take_along_axis(selection, index, -1)
    rest = selection.astype(np.float64)
    np.put_along_axis(rest, index, -np.inf, -1)
    margin = chosen.min(-1) - rest.max(-1)
    numbers = {'router_top_gap': ordered[:, 0] - ordered[:, 1] if experts > 1 else np.full(tokens, np.nan),
               'router_margin': margin if (margin >= 0).all() and index.shape[1] < experts else np.full(tokens, np.nan)}
    unknown = np.full(tokens, np.nan)
    p = {'softmax': softmax, 'sigmoid': sigmoid_share}[score](logits) if score else None
    numbers['router_top1_prob'] = unknown if p is None else p.max(-1)
    numbers['router_selected_mass'] = unknown if p is None else np.take_along_axis(p, index, -1).sum(-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        entropy = None if p is None else -np.where(p > 0, p * np.log(p), 0).sum(-1) / np.log(experts)
    numbers['router_entropy'] = unknown if p is None else entropy if experts > 1 else np.zeros(tokens)
    return numbers


def gate_numbers(z):
    """The gate arrays of rows of pre-activations z [N,I] with SiLU."""
    z = z.astype(np.float64)
    size = np.abs(z / (1 + np.exp(-z)))
    total = size.sum(-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        share = size / total[:, None]
        entropy = -np.where(share > 0, share * np.log(share), 0).sum(-1)
        top = np.sort(size, -1)[:, ::-1][:, :THRESHOLDS['gate_top']].sum(-1) / total
    return {'gate_mean_abs': size.mean(-1), 'gate_active_fraction': (size > THRESHOLDS['gate_active']).mean(-1),
            'gate_top16_share': top, 'gate_entropy': entropy, 'gate_kz_rms': np.sqrt((z * z).mean(-1)),
            'gate_linear_fraction': (np.abs(z) < THRESHOLDS['gate_linear']).mean(-1),
            'gate_saturated_fraction': (np.abs(z) > THRESHOLDS['gate_saturated']).mean(-1)}


GATES = tuple(gate_numbers(np.ones((1, 1))))


def gate_histogram(z):
    bins = np.clip(np.floor((z.astype(np.float64) + 8) * 4).astype(np.int64), -1, 64) + 1
    return np.bincount(bins.reshape(-1), minlength=66)


# Recording ----------------------------------------------------------------------------------------


class Layer:
    """The Mixture-of-Experts block of a layer: what its modules are, and what they were given in the last call."""

    def __init__(self, number, block, router, experts):
        self.number, self.block, self.router, self.experts = number, block, router, experts
        self.hidden = self.logits = self.index = self.weight = None
        self.calls = []

    def router_weight(self):
        """(weight [E,H], bias or None) of the router; None where it has none of this form."""
        for module in self.router.modules():
            weight = getattr(module, 'weight', None)
            if weight is not None and weight.ndim == 2:
                return weight, getattr(module, 'bias', None)
        return None

    def selection_bias(self):
        """What is added to a score where experts are chosen, and not in their weights; None: nothing."""
        for name, values in (*self.block.named_buffers(), *self.block.named_parameters()):
            if name.split('.')[-1] in ('e_score_correction_bias', 'expert_bias'):
                return values.detach().float().cpu().numpy().reshape(-1)
        return None

    def gate_rows(self, expert, rows):
        """z [N,I] of the rows [N,H] in an expert; None where the experts are of an unknown form."""
        import torch

        weight, act = getattr(self.experts, 'gate_up_proj', None), getattr(self.experts, 'act_fn', None)
        plain = weight is not None and getattr(weight, 'ndim', 0) == 3 and not getattr(self.experts, 'is_transposed', False)
        biased = getattr(self.experts, 'gate_up_proj_bias', None) is not None or getattr(self.experts, 'has_bias', False)
        if not plain or biased or weight.shape[2] != rows.shape[1] or not is_silu(act):
            return None
        return torch.nn.functional.linear(rows, weight[expert, :weight.shape[1] // 2])


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def is_silu(act):
    import torch

    if act is None:
        return False
    probe = torch.linspace(-3, 3, 13)
    with torch.no_grad():
        return bool(torch.allclose(act(probe), torch.nn.functional.silu(probe), atol=1e-6))


def layers_of(model):
    """The blocks of a model: modules with experts, called with rows, chosen experts and weights, beside a router."""
    found = []
    for name, module in model.named_modules():
        router = getattr(module, 'gate', None) or getattr(module, 'router', None)
        experts = getattr(module, 'experts', None)
        numbers = re.findall(r'\.(\d+)(?:\.|$)', name)
        if router is None or experts is None or not numbers or not hasattr(experts, 'forward'):
            continue
        if type(experts).__name__ in ('ModuleList', 'ModuleDict'):
            raise ValueError(f'{name}.experts: a list of modules; expected a module that is called with the chosen experts, '
                             'as transformers 5 has it')
        found.append(Layer(int(numbers[0]), module, router, experts))
    if not found:
        raise ValueError('no module with experts beside a gate or router; expected a Mixture-of-Experts model of transformers 5')
    return found


def letters_of_bytes():
    """{letter: byte} of GPT-2, in whose letters byte-level tokenizers spell tokens."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTE_OF_LETTER = letters_of_bytes()


def bytes_of(spelling):
    """Of a token in such letters or as <0xNN>; None for another."""
    if re.fullmatch(r'<0x[0-9A-Fa-f]{2}>', spelling or ''):
        return bytes([int(spelling[3:5], 16)])
    letters = [BYTE_OF_LETTER.get(letter) for letter in spelling or '']
    return bytes(letters) if letters and None not in letters else None


def split_bytes(text, spellings):
    """The bytes of the tokens that decode to `text` together, token by token; where these are not known the last has
    them all."""
    own = [bytes_of(spelling) for spelling in spellings]
    if None not in own and b''.join(own).decode(errors='replace') == text:
        return own
    return [b''] * (len(own) - 1) + [text.encode()]


class Recorder:
    """What record() gives. The calls of the model follow one another, as in generate() with a cache; `save` writes them
    as one text."""

    def __init__(self, model, tokenizer=None):
        self.model, self.tokenizer = model, tokenizer
        self.layers = layers_of(model)
        self.ids, self.top_id, self.top_logprob, self.nll, self.rank = [], [], [], [], []
        self._last = None  # log-probabilities after the last token
        self._hooks = []

    # hooks

    def __enter__(self):
        self._hooks.append(self.model.register_forward_pre_hook(self._before_model, with_kwargs=True))
        self._hooks.append(self.model.register_forward_hook(self._after_model))
        for layer in self.layers:
            self._hooks.append(layer.router.register_forward_pre_hook(
                lambda _module, given, layer=layer: setattr(layer, 'hidden', given[0].detach())))
            self._hooks.append(layer.experts.register_forward_pre_hook(
                lambda _module, given, named, layer=layer: self._before_experts(layer, given, named), with_kwargs=True))
        return self

    def __exit__(self, *_):
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _before_model(self, _module, given, named):
        ids = named.get('input_ids', given[0] if given else None)
        if ids is None or ids.ndim != 2 or ids.shape[0] != 1:
            raise ValueError(f'input_ids: expected the shape [1, T], found {None if ids is None else tuple(ids.shape)}')
        self.ids.append(ids[0].detach().cpu().numpy().astype(np.int64))
        # generate() asks for the last row of logits alone.
        return (given, {**named, 'logits_to_keep': 0}) if 'logits_to_keep' in named else None

    def _before_experts(self, layer, given, named):
        import torch

        words = [value for value in (*given, *named.values()) if torch.is_tensor(value)]
        rows = words[0].detach()
        index = next((word for word in words[1:] if word.ndim == 2 and not word.is_floating_point()), None)
        weight = next((word for word in words[1:] if word.ndim == 2 and word.is_floating_point()), None)
        if index is None or weight is None:
            raise ValueError(f'experts of layer {layer.number}: expected to be called with rows, chosen experts and weights')
        found = layer.router_weight()
        if found is None:
            raise ValueError(f'router of layer {layer.number}: no weight of two axes')
        matrix, bias = found
        hidden = layer.hidden.reshape(-1, layer.hidden.shape[-1])
        logits = torch.nn.functional.linear(hidden.float(), matrix.detach().float(), None if bias is None else bias.detach().float())
        index = index.detach()
        if weight.shape != index.shape:  # a weight for every expert
            weight = torch.gather(weight, 1, index)
        layer.calls.append(self._call(layer, rows.reshape(-1, rows.shape[-1]), logits, index, weight.detach().float()))

    def _call(self, layer, rows, logits, index, weight):
        tokens, slots = index.shape
        gates = {name: np.full((tokens, slots), np.nan) for name in GATES}
        histogram, count, units = np.zeros((logits.shape[1], 66), np.int64), np.zeros(logits.shape[1], np.int64), None
        for expert in index.unique().tolist():
            places = (index == expert).nonzero()
            z = layer.gate_rows(expert, rows[places[:, 0]])
            if z is None:
                break
            z = z.float().cpu().numpy()
            units = z.shape[1]
            at = places.cpu().numpy()
            for name, values in gate_numbers(z).items():
                gates[name][at[:, 0], at[:, 1]] = values
            histogram[expert] = gate_histogram(z)
            count[expert] = z.size
        return {'logits': logits.cpu().numpy(), 'index': index.cpu().numpy(), 'weight': weight.cpu().numpy(), 'gates': gates,
                'histogram': histogram, 'count': count, 'units': units}

    def _after_model(self, _module, _given, output):
        import torch

        logits = getattr(output, 'logits', None)
        if logits is None:
            raise ValueError('the output of the model has no logits; expected a model with a language modelling head')
        ids = self.ids[-1]
        if logits.shape[1] != len(ids):
            raise ValueError(f'logits: expected one row for each of {len(ids)} tokens, found {logits.shape[1]} '
                             '(call the model without logits_to_keep)')
        logs = torch.log_softmax(logits[0].detach().float(), -1)
        top = logs.topk(min(TOP_TOKENS, logs.shape[1]), -1)
        self.top_id.append(top.indices.cpu().numpy())
        self.top_logprob.append(top.values.cpu().numpy())
        before = logs[:-1] if self._last is None else torch.cat([self._last[None], logs[:-1]])
        targets = torch.as_tensor(ids[1:] if self._last is None else ids, device=logs.device)
        of_target = before.gather(1, targets[:, None])
        rank = (before > of_target).sum(1)
        first = [np.nan] if self._last is None else []
        self.nll.append(np.concatenate([first, -of_target[:, 0].cpu().numpy()]))
        self.rank.append(np.concatenate([[-1] if self._last is None else [], rank.cpu().numpy()]).astype(np.int64))
        self._last = logs[-1]

    # the trace

    def save(self, path):
        """Writes what was recorded as trace.npz."""
        if not self.ids:
            raise ValueError('nothing was recorded: call the model inside of "with record(model) as recorder:"')
        layers = [layer for layer in self.layers if layer.calls]
        if not layers:
            raise ValueError('no layer with experts was run')
        ids = np.concatenate(self.ids)
        arrays = {'token_id': ids, 'nll': np.concatenate(self.nll), 'target_rank': np.concatenate(self.rank),
                  'top_token_id': np.concatenate(self.top_id), 'top_token_logprob': np.concatenate(self.top_logprob),
                  'layer_index': [layer.number for layer in layers], 'pass_index': [0] * len(layers), **self._texts(ids)}
        parts, scores = [], []
        for layer in layers:
            part, score = self._layer(layer, len(ids))
            parts.append(part)
            scores.append(score)
        if len({part['router_logits'].shape for part in parts}) > 1 or len({part['expert_index'].shape for part in parts}) > 1:
            raise ValueError('layers with different numbers of experts are not written')
        # What is not known of every layer is of none.
        arrays |= {name: np.stack([part[name] for part in parts]) for name in parts[0] if all(name in part for part in parts)}
        unit = 'score' if 'selection_score' in arrays else 'logit'
        write_trace(path, arrays, self._meta(scores, unit))

    def _layer(self, layer, tokens):
        joined = {name: np.concatenate([call[name] for call in layer.calls]) for name in ('logits', 'index', 'weight')}
        logits, index, weight = joined['logits'], joined['index'], joined['weight']
        if len(logits) != tokens:
            raise ValueError(f'layer {layer.number}: expected {tokens} tokens, found {len(logits)}')
        score = score_of(logits, index, weight)
        bias = layer.selection_bias()
        selection = logits.astype(np.float64)
        by_score = bias is not None and score is not None
        if by_score:
            selection = (1 / (1 + np.exp(-selection)) if score == 'sigmoid' else softmax(selection)) + bias
        best_first = np.argsort(-np.take_along_axis(selection, index.astype(np.int64), -1), -1, kind='stable')
        by_place = {name: np.concatenate([call['gates'][name] for call in layer.calls]) for name in GATES}
        index, weight, *gates = (np.take_along_axis(values, best_first, -1) for values in (index, weight, *by_place.values()))
        count = sum(call['count'] for call in layer.calls)
        known = all(call['units'] is not None for call in layer.calls)
        cells, experts = index.shape, logits.shape[1]
        one = np.ones(cells) if known else np.full(cells, np.nan)
        effect = np.where(count > 0, 0.0, np.nan)  # of κ = 1 against SiLU
        kappa = np.zeros((experts, 64), np.int64)
        kappa[:, 32] = count
        part = {'router_logits': logits, 'expert_index': index, 'expert_weight': weight, 'expert_kept': np.ones(cells, bool),
                'kappa_input': np.full(cells, np.nan), 'kappa_hist': kappa,
                'gate_pre_hist': sum(call['histogram'] for call in layer.calls),
                'effect_count': count, **router_numbers(logits, selection, index, score)}
        if by_score:
            part['selection_score'] = selection
        part |= {name: one for name in ('kappa_mean', 'kappa_min', 'kappa_max', 'kappa_p05', 'kappa_p95')}
        part |= dict(zip(GATES, gates))
        part |= {name: effect for name in ARRAYS if name.startswith('effect_') and name != 'effect_count'}
        return part, score

    def _texts(self, ids):
        """Texts, bytes and places of tokens in the text: where a character is spread over several tokens each of them
        has its own bytes and the place of the whole character; what the tokenizer adds to a text has no place."""
        count = len(ids)
        if self.tokenizer is None:
            return {'token_text': [''] * count, 'token_bytes_hex': [''] * count, 'char_start': [-1] * count, 'char_end': [-1] * count}
        pieces, decoded, waiting = [], '', []
        for end in range(1, count + 1):
            whole = self.tokenizer.decode(ids[:end].tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)
            waiting.append(int(ids[end - 1]))
            # An unfinished character shows as U+FFFD until its last token is there.
            if end < count and (whole.endswith('\ufffd') or not whole.startswith(decoded)):
                continue
            pieces += split_bytes(whole[len(decoded):], [self.tokenizer.convert_ids_to_tokens(one) for one in waiting])
            decoded, waiting = whole, []
        added, special = self._added_tokens(ids), {*getattr(self.tokenizer, 'added_tokens_decoder', {})}
        starts, ends, whole = [], [], 0  # whole: characters before that are complete
        reader = codecs.getincrementaldecoder('utf-8')('replace')
        blank = self._adds_blank()  # SentencePiece puts one in front of a text, which is no character of it
        for place, piece in enumerate(pieces):
            if place in added:
                starts.append(-1)
                ends.append(-1)
                continue
            inside = piece[1:] if blank and piece[:1] == b' ' else piece
            blank = blank and int(ids[place]) in special
            broken_off = reader.getstate()[0] and inside[:1] and inside[0] & 0xC0 != 0x80
            starts.append(whole + bool(broken_off))
            whole += len(reader.decode(inside))
            ends.append(whole + bool(reader.getstate()[0]))
        return {'token_text': [piece.decode(errors='backslashreplace') for piece in pieces],
                'token_bytes_hex': [piece.hex() for piece in pieces], 'char_start': starts, 'char_end': ends}

    def _adds_blank(self):
        around = self.tokenizer('')['input_ids']
        return any(str(spelling).startswith('\u2581') for spelling in self.tokenizer.convert_ids_to_tokens(
            [one for one in self.tokenizer('a')['input_ids'] if one not in around]))

    def _added_tokens(self, ids):
        """Places of what the tokenizer puts around every text, as a BOS: what it makes of an empty one."""
        around = list(self.tokenizer('')['input_ids'])
        first = next((place for place, (one, other) in enumerate(zip(ids, around)) if one != other), min(len(ids), len(around)))
        behind = around[first:]
        ends = len(behind) > 0 and len(ids) >= len(around) and ids[len(ids) - len(behind):].tolist() == behind
        return {*range(first), *(range(len(ids) - len(behind), len(ids)) if ends else ())}

    def _meta(self, scores, unit):
        import torch

        known = set(scores) - {None}
        silu = all(call['units'] for layer in self.layers for call in layer.calls)
        config, text = self.model.config, self.model.config.get_text_config()
        gates = next((call['units'] for layer in self.layers for call in layer.calls if call['units']), None)
        gates = gates or getattr(text, 'moe_intermediate_size', None) or getattr(text, 'intermediate_size', None)
        if not gates:
            raise ValueError('the number of gate units is not known: neither moe_intermediate_size nor intermediate_size')
        directory = json.dumps([(name, list(values.shape)) for name, values in self.model.state_dict().items()])
        name = getattr(config, 'name_or_path', '') or type(self.model).__name__
        document = json.loads(json.dumps(config.to_dict(), default=str))
        return {'model': {'name': pathlib.Path(name).name, 'family': config.model_type, 'step': None, 'path': str(name)},
                'model_config': document, 'config_sha256': sha256(json.dumps(document, sort_keys=True)),
                'tensor_directory_sha256': sha256(directory), 'threads': torch.get_num_threads(),
                'dimensions': {'gate': int(gates), 'vocabulary': self._last.shape[0]}, 'n_layer': int(text.num_hidden_layers),
                'tool_version': 'kappascope_trace.py', 'torch_version': torch.__version__, 'command': 'kappascope_trace.record',
                'device': str(self.model.device), 'dtype': str(self.model.dtype).removeprefix('torch.'),
                'router_score': known.pop() if len(known) == 1 else None, 'router_margin_unit': unit, 'near_tie': NEAR_TIE[unit],
                'kappa': {'model': False, 'in_force': False, **({'constant': 1.0} if silu else {})},
                'capacity': {'in_force': False, 'factor': None, 'minimum': None}}


def record(model, tokenizer=None):
    """A Recorder of the calls of a Mixture-of-Experts model of transformers 5, one text of batch 1, to be used in a
    with statement. Router logits are computed from the router's input and weight in float32; chosen experts and
    weights are what the experts were called with. Gate statistics are NaN where the experts are not SiLU of a plain
    gate_up_proj; so are router probabilities where the weights are in proportion to neither softmax nor sigmoid."""
    return Recorder(model, tokenizer)
