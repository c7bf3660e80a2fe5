"""Files as torch.save writes them, read and written without Torch: states are dicts of numpy arrays, of
Tensor (how an array is laid out in its storage) and of anything else that pickles."""
import io
import pickle
import sys
import types
import zipfile

import numpy as np

STORAGES = {'float32': 'FloatStorage', 'float64': 'DoubleStorage', 'float16': 'HalfStorage', 'int64': 'LongStorage',
            'int32': 'IntStorage', 'int16': 'ShortStorage', 'int8': 'CharStorage', 'uint8': 'ByteStorage',
            'bool': 'BoolStorage', 'complex64': 'ComplexFloatStorage'}


def module(name):
    """A module of that name, and those it is in: pickle looks classes up where they say they are."""
    if '.' in name:
        module(name.rpartition('.')[0])
    return sys.modules.setdefault(name, types.ModuleType(name))


def torch_name(where, name):
    """A class that pickles as `where.name`."""
    found = getattr(module(where), name, None)
    if found is None:
        found = type(name, (), {'__module__': where})
        setattr(module(where), name, found)
    return found


class Call:
    """Pickles to a call of a function of that name."""

    def __init__(self, where, name, *arguments):
        self.function, self.arguments = torch_name(where, name), arguments

    def __reduce__(self):
        return self.function, self.arguments


class Storage:
    """Elements one after another; `kind` is torch's class of it."""

    def __init__(self, array, kind=None):
        self.array = np.ascontiguousarray(array).reshape(-1)
        self.kind = kind or STORAGES[self.array.dtype.name]


def tensor(storage, offset, shape, strides, function='_rebuild_tensor_v2', more=()):
    return Call('torch._utils', function, storage, offset, tuple(shape), tuple(strides), False, {}, *more)


def plain(array):
    array = np.require(array, requirements='C')
    return tensor(Storage(array), 0, array.shape, [stride // array.itemsize for stride in array.strides])


def view(array):
    """As the array lies in memory: its steps, its storage from the first byte of its base."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    offset = (array.__array_interface__['data'][0] - base.__array_interface__['data'][0]) // array.itemsize
    # The storage in the order of memory, whatever the steps of the base.
    flat = np.lib.stride_tricks.as_strided(base, (base.size,), (base.itemsize,))
    return tensor(Storage(flat), offset, array.shape, [stride // array.itemsize for stride in array.strides])


class Pickler(pickle._Pickler):  # the one in Python: it asks persistent_id for every object
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages, self.keys = [], {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = self.keys.setdefault(id(value), str(len(self.storages)))
        if int(key) == len(self.storages):
            self.storages.append(value)
        untyped = value.kind == 'UntypedStorage'
        kind = torch_name('torch.storage' if untyped else 'torch', value.kind)
        return 'storage', kind, key, 'cpu', value.array.nbytes if untyped else value.array.size

    def save(self, value, *more, **named):
        super().save(plain(value) if isinstance(value, np.ndarray) else value, *more, **named)


def save(path, state, method=zipfile.ZIP_STORED, protocol=2):
    text = io.BytesIO()
    pickler = Pickler(text, protocol)
    pickler.dump(state)
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('archive/data.pkl', text.getvalue())
        archive.writestr('archive/byteorder', 'little')
        for key, storage in enumerate(pickler.storages):
            archive.writestr(f'archive/data/{key}', storage.array.tobytes())
        archive.writestr('archive/version', '3\n')


class Unpickler(pickle.Unpickler):
    def __init__(self, file, archive, name):
        super().__init__(file)
        self.archive, self.name = archive, name

    def find_class(self, where, name):
        if where == 'torch._utils':
            return lambda storage, offset, shape, *_: storage[offset:offset + int(np.prod(shape))].reshape(shape)
        return super().find_class(where, name) if where == 'collections' else name

    def persistent_load(self, words):
        if words[1] == 'BFloat16Storage':  # widened
            return (np.frombuffer(self.archive.read(f'{self.name}/data/{words[2]}'), '<u2').astype('<u4') << 16).view('<f4')
        kind = next(numpy for numpy, name in STORAGES.items() if name == words[1])
        return np.frombuffer(self.archive.read(f'{self.name}/data/{words[2]}'), kind)


def load(path):
    """The state of a checkpoint of contiguous tensors, as numpy arrays; bfloat16 as float32."""
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[0].split('/')[0]
        return Unpickler(io.BytesIO(archive.read(f'{name}/data.pkl')), archive, name).load()
