"""Checkpoints and traces as users have them: laid out otherwise, wrapped, linked, of other formats, changed
while they are read. What opens gives the same numbers, bit for bit."""
import gzip
import json
import os
import pathlib
import shutil
import signal
import time
import zipfile

import numpy as np

import torch_files
from file_case import META, MODEL, WEIGHTS, FileCase
from harness import SOURCE, main
from torch_files import Call, Storage, save, tensor, torch_name, view

CHANGED = 'changed while it was read'


class LayoutTest(FileCase):
    def test_steps_of_every_kind(self):
        """Transposed, cut out of a wider matrix, one storage for all, expanded, tied, with attributes."""
        state = {}
        flat = np.concatenate([array.reshape(-1) for array in self.state.values()])
        shared, begin = Storage(flat), 0
        for number, (name, array) in enumerate(self.state.items()):
            rows = [stride // 4 for stride in array.strides]
            if array.ndim == 3:
                state[name] = view(np.ascontiguousarray(array.transpose(2, 0, 1)).transpose(1, 2, 0))
            elif array.ndim == 2 and number % 2:
                state[name] = view(np.ascontiguousarray(array.T).T)
            elif array.ndim == 2:
                wide = np.zeros((array.shape[0], array.shape[1] + 5), np.float32)
                wide[:, 2:-3] = array
                state[name] = view(wide[:, 2:-3])
            else:
                state[name] = tensor(shared, begin, array.shape, rows)
            begin += array.size
        for number, (name, value) in enumerate(state.items()):
            if number % 3 == 1:
                state[name] = Call('torch._utils', '_rebuild_parameter_with_state', value, True, {}, {'shared': True})
            elif number % 3 == 2:
                state[name] = Call('torch._tensor', '_rebuild_from_type_v2', value.function,
                                   torch_name('torch.nn.parameter', 'Parameter'), value.arguments, {'tag': [1]})
        self.assert_same_run(self.model('laid', state), 'copied, as')

    def test_expanded(self):
        name = 'transformer.h.2.mlp.experts.kappa_bias'
        first = self.state[name][:1]
        whole = self.model('whole', self.state | {name: np.repeat(first, self.state[name].shape[0], 0)})
        thin = self.model('thin', self.state | {name: tensor(Storage(first), 0, self.state[name].shape, (0, 1))})
        one, other = self.run_of(whole)[0], self.run_of(thin)[0]
        for array in one:
            np.testing.assert_array_equal(one[array], other[array], array)

    def test_expanded_beyond_memory(self):
        """A file of kilobytes that stands for terabytes: refused by its shape, before memory is taken."""
        folder = self.model('huge', self.state)
        document = json.loads((folder / META).read_text())
        document['model_config']['vocab_size'] = 1 << 24
        (folder / META).write_text(json.dumps(document))
        width = self.state['transformer.wte.weight'].shape[1]
        names = [name for name in self.state if name.startswith('value_embeds') or
                 name in ('lm_head.weight', 'transformer.wte.weight')]
        one = Storage(np.ones(1, np.float32))
        save(folder / WEIGHTS, self.state | {
            name: tensor(one, 0, (1 << 24, self.state[name].shape[1]), (0, 0)) for name in names})
        self.assertGreater(width, 1)
        self.refused(4, folder, 'lm_head.weight', 'expanded', 'contiguous()')

    def test_outside_its_storage(self):
        for steps in ((1 << 40, 1), (1, 1 << 62), (self.state['lm_head.weight'].shape[1] + 1, 1)):
            with self.subTest(steps=steps):
                shape = self.state['lm_head.weight'].shape
                shutil.rmtree(self.folder / 'far', ignore_errors=True)
                storage = Storage(self.state['lm_head.weight'])
                folder = self.model('far', self.state | {'lm_head.weight': tensor(storage, 0, shape, steps)})
                self.refused(3, folder, 'lm_head.weight', 'leaves its storage')

    def test_archived_anew(self):
        """Other tools put storages on any byte."""
        for name, method in (('stored', zipfile.ZIP_STORED), ('deflated', zipfile.ZIP_DEFLATED)):
            self.assert_same_run(self.model(name, self.state, method=method), 'copied, as')
        self.refused(4, self.model('bzip2', self.state, method=zipfile.ZIP_BZIP2), 'compress')

    def test_float64(self):
        wide = {name: array.astype(np.float64) for name, array in self.state.items()}
        self.assert_same_run(self.model('wide', wide), 'numbers) are float64', 'narrowed')
        wide['lm_head.weight'] = wide['lm_head.weight'].copy()
        wide['lm_head.weight'][0, :3] = 1e300
        self.assertIn('3 weights are NaN or infinite', self.run_of(self.model('over', wide))[1])


class NamesTest(FileCase):
    def test_wrappers(self):
        def inside(name):
            parts = name.split('.')
            return '.'.join(parts[:3] + ['_orig_mod'] + parts[3:]) if name.startswith('transformer.h.') else name
        plain_info = json.loads(self.run_program('info', MODEL, '--json')[0])
        for number, (rename, says) in enumerate((
                (lambda name: 'module.' + name, 'module'), (lambda name: '_orig_mod.module.' + name, '_orig_mod'),
                (lambda name: 'module._orig_mod._orig_mod.' + name, '_orig_mod'), (inside, '_orig_mod'),
                (lambda name: '_fsdp_wrapped_module.' + name, '_fsdp'), (lambda name: 'net.model.' + name, 'net.model.'),
                (lambda name: 'model._orig_mod.' + name, 'model.'))):
            with self.subTest(number=number):
                folder = self.model(f'wrapped-{number}', {rename(name): array for name, array in self.state.items()})
                out, err = self.run_program('info', folder, '--json', '-v')
                info = json.loads(out)
                self.assertEqual(info['parameters'], plain_info['parameters'])
                self.assertEqual(info['unknown_tensors'], plain_info['unknown_tensors'])
                self.assertIn(says, err)
        self.assert_same_run(folder)

    def test_state_under_a_key(self):
        other = {'optimizer': {'state': {0: {'exp_avg': np.zeros(3, np.float32)}}, 'param_groups': [{'lr': 0.1}]},
                 'step': 3490, 'loss': np.zeros((), np.float32)}
        for key in ('model', 'state_dict', 'model_state_dict', 'module'):
            with self.subTest(key=key):
                folder = self.model(f'under-{key}', {key: self.state} | other)
                self.run_program('info', folder)
        self.assert_same_run(folder)
        both = {'model': self.state, 'ema': {name: array for name, array in self.state.items()}}
        self.refused(4, self.model('both', both), 'ema.', 'model.')

    def test_strangers(self):
        """Beside the weights a file may have members of any type and class."""
        class Namespace:
            pass
        Namespace.__module__, Namespace.__qualname__ = 'my.training', 'Namespace'
        module = torch_files.module('my.training')
        module.Namespace = Namespace
        config = Namespace()
        config.itself, config.path = config, pathlib.PurePosixPath('a/b')
        loop = [1, 2]
        loop.append(loop)
        strangers = {
            'float8': tensor(Storage(np.zeros(3, np.uint8), 'UntypedStorage'), 0, (3,), (1,), '_rebuild_tensor_v3',
                             (torch_name('torch', 'float8_e4m3fn'),)),
            'none': None, 'step': 3490, 'best': 2.5, 'commit': 'abc', 'big': 1 << 200, 'raw': b'\0\1', 'set': {1, 2},
            'frozen': frozenset({3}), 'array': bytearray(b'abc'), 'tuple key': {(1, 2): 3}, 'config': config, 'loop': loop,
            'complex': 1j, 'bad text': '\ud800', 'numpy': np.float64(2.5), 'history': [np.float32(1), {'a': (1,)}],
            'half': np.zeros(3, np.float16), 'int16': np.zeros(3, np.int16), 'rope': np.zeros(3, np.complex64),
            'sparse': Call('torch._utils', '_rebuild_sparse_tensor', 0, (1, 2)), 'strided': view(np.zeros((4, 6)).T),
            'dtype': torch_name('torch', 'float32'), 'device': Call('torch', 'device', 'cpu')}
        for protocol in (2, 4):
            folder = self.model(f'strangers-{protocol}', strangers | self.state, protocol=protocol)
            self.assert_same_run(folder, 'ignored', 'float8 (a tensor of float8_e4m3fn)')

    def test_types_that_are_no_weights(self):
        name = 'transformer.h.2.mlp.experts.c_fc'
        shape = self.state[name].shape
        rows = [stride // 4 for stride in self.state[name].strides]
        float8 = tensor(Storage(np.zeros(self.state[name].size, np.uint8), 'UntypedStorage'), 0, shape, rows,
                        '_rebuild_tensor_v3', (torch_name('torch', 'float8_e4m3fn'),))
        for number, (value, says) in enumerate((
                (float8, 'float8_e4m3fn'), (np.zeros(shape, np.complex64), 'complex64'), (np.zeros(shape, np.int8), 'int8'),
                (np.zeros(shape, np.int32), 'int32'),
                (Call('torch._utils', '_rebuild_sparse_tensor', 0, (1,)), 'sparse'), ('a text', 'a text'))):
            with self.subTest(says=says):
                line = self.refused(4, self.model(f'type-{number}', self.state | {name: value}), name, says)
                self.assertIn('python3 -c', line)
                self.assertNotIn('damaged', line)

    def test_root_that_is_no_dict(self):
        self.refused(4, self.model('whole-model', Call('my.model', 'GPT', 1)), 'my.model GPT', 'state_dict')

    def test_programs_in_a_pickle(self):
        """A member that runs a program when Python loads the file is no stranger but an attack."""
        for where, name in (('os', 'system'), ('subprocess', 'Popen'), ('builtins', 'eval')):
            with self.subTest(name=name):
                shutil.rmtree(self.folder / 'evil', ignore_errors=True)
                self.refused(3, self.model('evil', self.state | {'x': Call(where, name, 'true')}
                                           if where == 'my' else self.state | {'x': Program(where, name)}), name)


class Program:
    def __init__(self, where, name):
        self.what = getattr(__import__(where), name)

    def __reduce__(self):
        return self.what, ('true',)


class FormatTest(FileCase):
    def test_other_formats(self):
        whole = (MODEL / WEIGHTS).read_bytes()
        old = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.'
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        pointer = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'
        for data, says in (
                (pointer, ('Git LFS', 'git lfs pull')), (b'\n<!DOCTYPE html>\n<html><head>', ('HTML', 'curl')),
                (gzip.compress(whole[:4000]), ('gzip', 'gzip -dc')), (old, ('old format of torch.save', 'python3 -c')),
                (len(header).to_bytes(8, 'little') + header + b'\0\0\0\0', ('safetensors', 'python3 -c')),
                (b'Entry not found\n', ('Entry not found', 'download')), (b'\x80\x02}q\0.', ('pickle', 'torch.save'))):
            with self.subTest(says=says):
                folder = self.model('other')
                (folder / WEIGHTS).write_bytes(data)
                line = self.refused(3 if data.startswith(b'Entry') else 4, folder, WEIGHTS, *says)
                self.assertNotIn('damaged', line)
                shutil.rmtree(folder)
        folder = self.model('meta')
        (folder / META).write_bytes(pointer)
        self.refused(4, folder, META, 'git lfs pull')
        tokenizer = self.folder / 'pointer'
        tokenizer.mkdir()
        (tokenizer / 'tokenizer.pkl').write_bytes(pointer)
        self.assert_refused(4, 'tokens', MODEL, '-p', 'a', '--tokenizer', tokenizer, says='git lfs pull')
        trace = self.folder / 'trace.npz'
        trace.write_bytes(pointer)
        self.assert_refused(4, 'plot', trace, '-o', self.folder / 'out', says='git lfs pull')

    def test_numbers_that_are_not_finite(self):
        """As Python's json.dump writes them: where nobody looks they are taken, elsewhere refused by name."""
        folder = self.model('meta')
        document = json.loads((folder / META).read_text())
        inf, nan = float('inf'), float('nan')
        document |= {'val_bpb': nan, 'NaN': 'Infinity', 'loop_state': {'min': inf, 'all': [-inf, nan, 'NaN "']}}
        document['model_config'] |= {'aux_loss_weight': nan}
        (folder / META).write_text(json.dumps(document))
        self.assert_same_run(folder)
        for field, value, found in (('n_embd', nan, 'NaN'), ('eval_capacity', inf, 'Infinity'),
                                    ('moe_kappa_slope_max_scale', -inf, '-Infinity')):
            with self.subTest(field=field):
                changed = json.dumps(document | {'model_config': document['model_config'] | {field: value}})
                (folder / META).write_text(changed)
                self.refused(4, folder, f'model_config.{field}', f'found {found}')
        for text in ('NaN', '{NaN: 1}', '{"a": NaNo}', '{"a": --Infinity}', '{"a": infinity}', '{"a": N}'):
            (folder / META).write_text(text)
            self.refused(3, folder, META)

    def test_overflow_is_not_blamed_on_weights(self):
        large = {name: array * np.float32(1e20) for name, array in self.state.items()}
        err = self.run_of(self.model('large', large))[1]
        self.assertRegex(err, 'not finite, first in layer [01]: activations overflow')
        self.assertNotIn('NaN or infinite weights', err)
        spoilt = {name: array.copy() for name, array in self.state.items()}
        spoilt['transformer.h.2.mlp.router.w_g.weight'][3] = np.nan
        err = self.run_of(self.model('spoilt', spoilt))[1]
        self.assertIn('spoilt by NaN or infinite weights', err)
        self.assertNotIn('overflow', err)


class PlaceTest(FileCase):
    def name_of(self, path, cwd=None):
        return json.loads(self.run_program('info', path, '--json', cwd=cwd or self.folder)[0])

    def test_names(self):
        folder = self.model('d4-mine')
        (folder / 'sub').mkdir()
        (self.folder / 'link').symlink_to(folder)
        for path, cwd in (('.', folder), ('./', folder), ('./.', folder), (WEIGHTS, folder), ('..', folder / 'sub'),
                          ('sub/..', folder), (f'{folder}/.', None), (f'{folder}/', None), (f'{folder}/{WEIGHTS}', None),
                          ('link', None), ('link/', None), (f'link/{WEIGHTS}', None), ('.', self.folder / 'link')):
            with self.subTest(path=path):
                info = self.name_of(path, cwd)
                self.assertEqual(info['name'], 'd4-mine')
                self.assertIsNotNone(info['tokenizer'])

    def test_links(self):
        """A run on another disk, reached by links: its tokenizer is beside the real folder."""
        runs = self.folder / 'scratch' / 'base_checkpoints'
        folder = self.model('d4', parent=runs)
        (self.folder / 'tokenizer').unlink()
        shutil.copytree(SOURCE / 'assets' / 'tokenizer', self.folder / 'scratch' / 'tokenizer')
        desk = self.folder / 'home' / 'me' / 'papers'
        desk.mkdir(parents=True)
        (desk / 'best').symlink_to(folder)
        (desk / 'again').symlink_to(desk / 'best')
        (desk / 'relative').symlink_to(os.path.relpath(folder, desk))
        (desk / 'both').mkdir()
        for name in (WEIGHTS, META):
            (desk / 'both' / name).symlink_to(folder / name)
        (desk / WEIGHTS).symlink_to(folder / WEIGHTS)
        for path, name in (('best', 'd4'), ('again', 'd4'), ('relative', 'd4'), ('both', 'both'), (WEIGHTS, 'd4'),
                           (f'best/{WEIGHTS}', 'd4'), (f'both/{WEIGHTS}', 'both')):
            with self.subTest(path=path):
                info = self.name_of(desk / path)
                self.assertEqual(info['name'], name)
                self.assertIn('scratch/tokenizer', info['tokenizer'] or '')
        # What is beside the path as given comes first.
        (desk / 'tokenizer').symlink_to(SOURCE / 'assets' / 'tokenizer')
        self.assertIn('papers/tokenizer', self.name_of(desk / 'again')['tokenizer'])


class ChangedTest(FileCase):
    """Files that are written anew in place: one line and code 3, where it used to be a bus error."""

    @staticmethod
    def open_files(process):
        names = []
        for file in pathlib.Path(f'/proc/{process.pid}/fd').iterdir():
            try:
                names.append(os.path.basename(os.readlink(file)))
            except FileNotFoundError:  # closed meanwhile
                pass
        return names

    def test_weights_during_a_run(self):
        whole = (MODEL / WEIGHTS).read_bytes()
        for data in (b'', whole[:1000], whole[:-5000], b'x' * len(whole)):
            with self.subTest(size=len(data)):
                folder = self.model('changed')
                out = self.folder / 'out'
                process = self.start('run', folder, '-f', '-', '-o', out, stdin=-1)
                self.wait_for(lambda: WEIGHTS in self.open_files(process))
                time.sleep(0.3)  # the header is read, the text is waited for; the clock of file times is coarse
                (folder / WEIGHTS).write_bytes(data)
                err = process.communicate(b'Once upon a time', timeout=120)[1].decode()
                self.assertEqual(process.returncode, 3, err)
                self.assertIn(WEIGHTS, err)
                self.assertIn(CHANGED, err)
                self.assertEqual(err.count('\n'), 1, err)
                self.assertFalse((out / 'trace.npz').exists())
                shutil.rmtree(folder)

    def test_trace_during_plot(self):
        """Large arrays are read from the mapped file while figures are made."""
        model = self.make_model('large', '--hidden', 32, '--layers', 8, '--moe-start', 0, '--experts', 128, '--slots', 8,
                                '--granularity', 'per-expert', '--trace', 2048)
        trace = model / 'trace' / 'trace.npz'
        process = self.start('plot', trace, '-o', self.folder / 'out')
        maps = pathlib.Path(f'/proc/{process.pid}/maps')
        self.wait_for(lambda: 'trace.npz' in maps.read_text() or process.poll() is not None)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        with open(trace, 'r+b') as file:
            file.truncate(1000)
        process.send_signal(signal.SIGCONT)
        err = process.communicate(timeout=120)[1].decode()
        self.assertEqual(process.returncode, 3, err)
        self.assertIn(CHANGED, err)
        self.assertEqual(list((self.folder / 'out').glob('*.svg')), [])


class TraceTest(FileCase):
    def trace(self):
        out = self.folder / 'trace'
        self.run_program('run', self.model('d4'), '-p', 'Once upon a time', '-o', out, '--figures', 'none')
        return out

    def plotted(self, path):
        out = self.folder / f'plot-{len(list(self.folder.iterdir()))}'
        err = self.run_program('plot', path, '-o', out, '--figures', 'loss,kappa-depth')[1]
        return {file.name: file.read_bytes() for file in out.iterdir()}, err

    def test_arrays_of_the_users_own(self):
        folder = self.trace()
        expected, err = self.plotted(folder)
        self.assertEqual(err, '')
        arrays = dict(np.load(folder / 'trace.npz'))
        mine = {'objects': np.array([{}, None]), 'complex': np.zeros(3, np.complex128), 'bytes': np.array([b'abc']),
                'big': np.zeros(3, '>f4'), 'fortran': np.asfortranarray(np.zeros((2, 3))), 'u8': np.zeros(2, np.uint64),
                'table': np.zeros(2, [('a', 'f4')]), 'when': np.zeros(2, 'M8[s]'), 'empty': np.zeros((0, 3), np.float16),
                'aaa': np.zeros(1, np.float16)}
        with open(folder / 'trace.npz', 'wb') as file:
            np.savez(file, **arrays, **mine)
        with zipfile.ZipFile(folder / 'trace.npz', 'a') as archive:
            archive.writestr('notes.txt', 'mine')
            archive.writestr('broken.npy', b'no array')
        self.assertEqual(self.plotted(folder), (expected, ''))
        arrays['nll'] = arrays['nll'].astype('>f4')
        np.savez(folder / 'trace.npz', **arrays)
        self.assert_refused(4, 'plot', folder, '-o', self.folder / 'out', says=('nll', 'big-endian'))

    def test_damaged_model_parameters(self):
        folder = self.trace()
        path = folder / 'model.npz'
        path.write_bytes(path.read_bytes()[:-100])
        self.assertIn('model.npz', self.plotted(folder)[1])


if __name__ == '__main__':
    main()
