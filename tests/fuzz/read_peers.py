"""What the Python readers make of files: lines of "KIND PATH" in, a line of JSON each out, as read_files does.

   read_peers.py [TEXT ...] <LIST
   read_peers.py --seeds FOLDER     the sound files to begin from: FOLDER/KIND-NAME"""
import hashlib
import json
import pathlib
import sys
import warnings

import safetensors
import tokenizers
import torch

warnings.simplefilter('ignore')
TYPES = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16', 'I64': 'int64', 'I32': 'int32',
         'I16': 'int16', 'I8': 'int8', 'U8': 'uint8', 'U16': 'uint16', 'U32': 'uint32', 'U64': 'uint64', 'BOOL': 'bool',
         'F8_E4M3': 'float8_e4m3fn', 'F8_E5M2': 'float8_e5m2', 'F8_E8M0': 'float8_e8m0fnu'}


def entry(dtype, shape, data):
    return [dtype, list(shape), hashlib.sha256(bytes(data)).hexdigest()]


def torch_entry(tensor):
    plain = tensor.detach().cpu().contiguous().clone()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b''
    return entry(str(plain.dtype).removeprefix('torch.'), plain.shape, data)


def members(value, name=''):
    """Tensors in dicts in dicts, by their names with a dot between."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from members(inner, f'{name}.{key}' if name else str(key))


def read(kind, path, texts):
    if kind == 'safetensors':
        found = safetensors.deserialize(pathlib.Path(path).read_bytes())
        return {'tensors': {name: entry(TYPES.get(t['dtype'], t['dtype']), t['shape'], t['data']) for name, t in found}}
    if kind == 'torch':
        found = torch.load(path, map_location='cpu', weights_only=True)
        return {'tensors': {name: torch_entry(tensor) for name, tensor in members(found)}}
    tokenizer = tokenizers.Tokenizer.from_file(path)
    return {'ids': [tokenizer.encode(text).ids for text in texts]}


def write_seeds(folder):
    torch.manual_seed(1)
    wide, half = torch.randn(4, 6), torch.randn(3, 5).bfloat16()
    tied = torch.randn(8)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    for name, value in {'flat': {'a.weight': wide, 'b': half, 'c': torch.arange(5), 'd': torch.ones(2, dtype=torch.bool)},
                        'views': {'a': tied, 'b': tied[2:6], 't': wide.t(), 'e': torch.zeros(0, 3), 's': torch.tensor(1.5)},
                        'module': model.state_dict(),
                        'wrapped': {'_orig_mod.w': torch.nn.Parameter(half.half()), '_orig_mod.v': wide.double()},
                        'nested': {'model': model.state_dict(), 'step': 7, 'lr': 0.5, 'name': 'a', 'l': [1, None, (2,)]}}.items():
        torch.save(value, folder / f'torch-{name}')
    header = {'__metadata__': {'format': 'pt'},
              'a': {'dtype': 'BF16', 'shape': [2, 3], 'data_offsets': [0, 12]},
              'b.c': {'dtype': 'F32', 'shape': [], 'data_offsets': [12, 16]},
              'é': {'dtype': 'U8', 'shape': [0, 2], 'data_offsets': [16, 16]},
              'd': {'dtype': 'I64', 'shape': [1, 1, 2], 'data_offsets': [16, 32]}}
    for name, spaces in {'plain': 0, 'padded': 40}.items():
        text = json.dumps(header).encode() + b' ' * spaces
        (folder / f'safetensors-{name}').write_bytes(len(text).to_bytes(8, 'little') + text + bytes(range(32)))


def main():
    if sys.argv[1:2] == ['--seeds']:
        return write_seeds(pathlib.Path(sys.argv[2]))
    for line in sys.stdin:
        kind, path = line.rstrip('\n').split(' ', 1)
        try:
            said = read(kind, path, sys.argv[1:])
        except BaseException as error:  # a panic of Rust is no Exception
            said = {'code': 1, 'says': f'{type(error).__name__}: {error}'}
        print(json.dumps(said), flush=True)


if __name__ == '__main__':
    main()
