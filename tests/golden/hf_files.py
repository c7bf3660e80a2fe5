"""Weights of a folder of a Hugging Face family: reading them, and writing them in every kind of file."""
import json, pathlib, struct, sys
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'cli'))
import torch_files

NUMPY = {'F8_E4M3': 'u1', 'F32': '<f4', 'F16': '<f2', 'BF16': '<u2', 'U8': 'u1'}
STORAGES = {'F32': 'FloatStorage', 'F16': 'HalfStorage', 'BF16': 'BFloat16Storage', 'U8': 'ByteStorage'}


def read_weights(folder):
    """{name: (type as in safetensors, array)} of all files of a folder."""
    tensors = {}
    for path in sorted(folder.glob('*.safetensors')):
        data = path.read_bytes()
        length = struct.unpack('<Q', data[:8])[0]
        for name, entry in json.loads(data[8:8 + length]).items():
            if name != '__metadata__':
                begin, end = (8 + length + offset for offset in entry['data_offsets'])
                array = np.frombuffer(data[begin:end], NUMPY[entry['dtype']]).reshape(entry['shape'])
                tensors[name] = entry['dtype'], array
    return tensors


def write_safetensors(path, tensors):
    header, offset = {'__metadata__': {'format': 'pt'}}, 0
    for name, (kind, array) in tensors.items():
        header[name] = {'dtype': kind, 'shape': list(array.shape), 'data_offsets': [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(array.tobytes() for _, array in tensors.values()))


def write_bin(path, tensors):
    state = {}
    for name, (kind, array) in tensors.items():
        array = np.ascontiguousarray(array)
        steps = [stride // array.itemsize for stride in array.strides]
        state[name] = torch_files.tensor(torch_files.Storage(array, STORAGES[kind]), 0, array.shape, steps)
    torch_files.save(path, state)


def write_weights(folder, tensors, shards, stem, suffix, write):
    names = list(tensors)
    if shards == 1:
        return write(folder / (stem + suffix), tensors)
    weight_map = {}
    for shard in range(shards):
        name = f'{stem}-{shard + 1:05}-of-{shards:05}{suffix}'
        part = names[shard::shards]
        write(folder / name, {tensor: tensors[tensor] for tensor in part})
        weight_map |= {tensor: name for tensor in part}
    index = {'metadata': {'total_size': sum(array.nbytes for _, array in tensors.values())}, 'weight_map': weight_map}
    (folder / f'{stem}{suffix}.index.json').write_text(json.dumps(index))


FORMS = {'one file': (1, 'model', '.safetensors', write_safetensors),
         'three shards': (3, 'model', '.safetensors', write_safetensors),
         'one .bin': (1, 'pytorch_model', '.bin', write_bin),
         'two .bin shards': (2, 'pytorch_model', '.bin', write_bin)}
