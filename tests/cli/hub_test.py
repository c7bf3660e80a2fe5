"""Hugging Face folders and the hub cache: what is read, what is refused and how, `kappascope models`."""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import unittest

from harness import BUILD, MODEL, SOURCE, Case, main

TINY = ('--hidden', 32, '--layers', 2, '--heads', 2, '--kv-heads', 1, '--head-width', 16, '--experts', 4,
        '--slots', 2, '--gates', 16, '--vocab', 256)
CONFIG, WEIGHTS, INDEX = 'config.json', 'model.safetensors', 'model.safetensors.index.json'


def read_header(path):
    data = path.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def write_header(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)


class HubCase(Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder / 'home'
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(('HF_', 'HUGGINGFACE_', 'NANOCHAT_', 'XDG_CACHE'))}
        self.environment |= {'HOME': str(self.home)}
        self.cache = self.home / '.cache' / 'huggingface' / 'hub'

    def start(self, *words, **options):
        return super().start(*words, **{'env': self.environment} | options)

    def make_folder(self, name, *words):
        folder = self.folder / name
        subprocess.run([str(BUILD / 'kappascope_make_model'), 'hub', str(folder), *map(str, (*TINY, *words))],
                       check=True)
        return folder

    def make_snapshot(self, repository, revision, source, ref='main'):
        """The files of a folder as huggingface_hub keeps them: links into blobs."""
        root = self.cache / f'models--{repository.replace("/", "--")}'
        snapshot = root / 'snapshots' / revision
        snapshot.mkdir(parents=True)
        (root / 'blobs').mkdir(exist_ok=True)
        for file in source.iterdir():
            blob = root / 'blobs' / f'{revision}-{file.name}'.encode().hex()
            shutil.copy(file, blob)
            (snapshot / file.name).symlink_to(f'../../blobs/{blob.name}')
        if ref:
            (root / 'refs').mkdir(exist_ok=True)
            (root / 'refs' / ref).write_text(revision)
        return snapshot


class FolderTest(HubCase):
    def test_one_file_and_shards_are_the_same_model(self):
        one = self.make_folder('one')
        parts = self.make_folder('parts', '--shard-bytes', 8000)
        self.assertGreater(len(list(parts.glob('model-*.safetensors'))), 3)
        described = [json.loads(self.run_program('info', folder, '--json')[0]) for folder in (one, parts)]
        self.assertEqual(described[0]['family'], 'mellum')
        for key in ('layers', 'parameters', 'experts', 'experts_per_token', 'tensors_of_dtype', 'kappa'):
            self.assertEqual(described[0][key], described[1][key], key)

    def test_headers_alone_are_read(self):
        """23 GB of holes: `info` has no room to map them, and needs none."""
        folder = self.folder / 'large'
        subprocess.run([str(BUILD / 'kappascope_make_model'), 'hub', str(folder), '--sparse', '--shard-bytes',
                        '5000000000'], check=True)
        self.assertLess(sum(file.stat().st_blocks * 512 for file in folder.iterdir()), 20e6)
        limit = 1 << 30
        out, _ = self.run_program('info', folder, '--json',
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertGreater(json.loads(out)['parameters']['total'], 11e9)

    def test_weights_of_other_kinds_say_what_they_are(self):
        folder = self.make_folder('model')
        good = (folder / WEIGHTS).read_bytes()
        for content, code, says in (
                (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n', 4, 'git lfs pull'),
                (b'<!doctype html><html></html>', 4, 'curl -fL -o'),
                (b'\x1f\x8b\x08\0\0\0\0\0\0\0', 4, 'compressed with gzip; unpack it: gzip -dc <'),
                (b'PK\x03\x04' + bytes(100), 4, 'pytorch_model.bin'),
                (b'GGUF\x03\0\0\0' + bytes(100), 4, 'a GGUF file'),
                (b'', 3, 'too short for a safetensors file; expected at least 8 bytes, found 0'),
                (good[:-1], 3, f'truncated; expected {len(good)} bytes, found {len(good) - 1}: download it'),
                (good + b'\0', 3, f'bytes after the last tensor; expected {len(good)} bytes'),
                (good[:100], 3, 'truncated inside the header'),
                (struct.pack('<Q', 100_000_001) + good[8:], 3, 'expected at most 100000000 bytes')):
            (folder / WEIGHTS).write_bytes(content)
            self.assert_refused(code, 'info', folder, says=(WEIGHTS + ': ', says))

    def test_the_rules_of_the_format(self):
        folder = self.make_folder('model')
        header, data = read_header(folder / WEIGHTS)
        names = sorted((name for name in header if name != '__metadata__'),
                       key=lambda name: header[name]['data_offsets'])
        first, second = names[:2]
        begin, end = header[second]['data_offsets']

        def changed(name, **members):
            return {**header, name: {**header[name], **members}}

        for document, code, says in (
                (changed(second, data_offsets=[begin - 2, end - 2]), 3, f'tensor {second}: overlaps'),
                (changed(first, data_offsets=[0, begin - 2], shape=[begin // 2 - 1]), 3, 'leaves a hole'),
                (changed(first, shape=[3]), 3, f'tensor {first}: BF16 of shape [3] takes 6 bytes'),
                (changed(first, shape=[-1]), 3, 'shape: expected'),
                (changed(first, shape=[1 << 40, 1 << 40]), 3, 'too large'),
                (changed(first, dtype='Q4'), 4, 'unknown dtype'),
                (changed(first, data_offsets=[0]), 3, 'two ascending whole numbers'),
                (json.dumps(header).replace(f'"{second}"', f'"{first}"').encode(), 3,
                 f"duplicate key '{first}'"),
                (b'{"a":' + b'[' * 70, 3, 'nested deeper than 64 levels'),
                (b'[]', 3, 'does not begin with {'),
                (b'', 3, 'does not begin with {')):
            write_header(folder / WEIGHTS, document, data)
            self.assert_refused(code, 'info', folder, says=(WEIGHTS + ': ', says))

    def test_broken_shards_are_named(self):
        folder = self.make_folder('model', '--shard-bytes', 8000)
        shards = sorted(folder.glob('model-*.safetensors'))
        index = json.loads((folder / INDEX).read_text())
        (tensor, of), *_ = index['weight_map'].items()
        kept = [shard.read_bytes() for shard in shards[:2]]
        for shard in shards[:2]:
            shard.write_bytes(shard.read_bytes()[:-5])
        self.assert_refused(3, 'info', folder, says=[f'{shard.name}: truncated' for shard in shards[:2]])
        for shard in shards[:2]:
            shard.unlink()
        self.assert_refused(5, 'info', folder, says=[f'{shard.name}: is missing' for shard in shards[:2]])
        for shard in shards[:2]:
            shard.write_bytes(kept[0])
        self.assert_refused(3, 'info', folder, says=('occurs more than once', shards[0].name, shards[1].name))
        for shard, content in zip(shards, kept):
            shard.write_bytes(content)
        for name, says in ((f'../{folder.name}/{of}', 'leads out of the folder'), (str(folder / of), 'leads out'),
                           (shards[-1].name, f'tensor {tensor}: is not in {shards[-1].name}')):
            edited = {**index, 'weight_map': {**index['weight_map'], tensor: name}}
            (folder / INDEX).write_text(json.dumps(edited))
            self.assert_refused(3, 'info', folder, says=says)
        (folder / INDEX).write_text(json.dumps(index))
        shards[0].rename(self.folder / 'elsewhere.safetensors')
        shards[0].symlink_to('../elsewhere.safetensors')
        self.assert_refused(3, 'info', folder, says=(shards[0].name, 'is a link out of the folder'))

    def test_folders_without_a_half(self):
        folder = self.make_folder('model')
        self.assert_refused(2, 'info', folder, '--step', 3, says='has no training steps')
        (folder / WEIGHTS).rename(folder / 'weights')
        self.assert_refused(5, 'info', folder, says=('no weights beside config.json', 'pytorch_model.bin'))
        (folder / 'weights').rename(folder / WEIGHTS)
        (folder / CONFIG).unlink()
        self.assert_refused(5, 'info', folder, says='config.json: is missing')


class CacheTest(HubCase):
    def test_names_are_found_and_never_downloaded(self):
        fetch = 'fetch it: hf download org/name'
        self.assert_refused(5, 'info', 'org/name', says=('not in the hub cache', fetch))
        snapshot = self.make_snapshot('org/name', 'aaaa', self.make_folder('model'))
        out, _ = self.run_program('info', 'org/name', '--json')
        self.assertEqual(json.loads(out)['name'], 'name')
        self.run_program('info', 'org/name@main')
        self.run_program('info', 'org/name@aaaa')
        self.run_program('info', snapshot)
        self.assert_refused(5, 'info', 'org/name@bbbb', says=(fetch + ' --revision bbbb', 'aaaa'))
        (snapshot / WEIGHTS).resolve().unlink()
        self.assert_refused(5, 'info', 'org/name', says=(WEIGHTS, fetch + ' --revision aaaa'))

    def test_the_variables_of_huggingface_hub(self):
        self.make_snapshot('org/name', 'aaaa', self.make_folder('model'))
        moved = self.folder / 'moved'
        shutil.move(self.cache, moved / 'hub')
        self.assert_refused(5, 'info', 'org/name')
        for name, value in (('HF_HUB_CACHE', moved / 'hub'), ('HF_HOME', moved)):
            self.run_program('info', 'org/name', env=self.environment | {name: str(value)})

    def test_a_path_that_exists_is_no_name(self):
        self.make_snapshot('org/name', 'aaaa', self.make_folder('model'))
        shutil.copytree(MODEL, self.folder / 'org' / 'name')
        out, _ = self.run_program('info', 'org/name', '--json', cwd=self.folder)
        self.assertEqual(json.loads(out)['family'], 'kappa-swiglu')

    def test_the_list_of_models(self):
        out, _ = self.run_program('models')
        self.assertEqual(out.count('no mixture of experts here'), 2, out)
        model = self.make_folder('model')
        self.make_snapshot('org/name', 'aaaa', model)
        self.make_snapshot('org/name', 'bbbb', model, ref='')
        broken = self.make_snapshot('org/broken', 'cccc', model)
        (broken / WEIGHTS).resolve().unlink()
        config = json.loads((model / CONFIG).read_text())
        for name, fields in (('org/other', {'model_type': 'nemotron_moe'}),
                             ('org/dense', {'model_type': 'llama', 'num_experts': None})):
            (model / CONFIG).write_text(json.dumps(config | fields))
            self.make_snapshot(name, 'dddd', model)
        shutil.copytree(MODEL, self.home / '.cache' / 'nanochat' / 'chatsft_checkpoints' / 'd8')
        listed = {entry['name']: entry for entry in json.loads(self.run_program('models', '--json')[0])}
        self.assertEqual(sorted(listed), ['chatsft_checkpoints/d8', 'org/broken', 'org/dense', 'org/name',
                                          'org/name@bbbb', 'org/other'])
        size = (model / WEIGHTS).stat().st_size
        for name in ('org/name', 'org/name@bbbb'):
            self.assertTrue(listed[name]['supported'], listed[name])
            self.assertEqual((listed[name]['family'], listed[name]['bytes']), ('mellum', size))
            self.run_program('info', listed[name]['open_as'])
        self.assertIn('hf download org/broken', listed['org/broken']['reason'])
        self.assertIn('nemotron_moe', listed['org/other']['reason'])
        self.assertFalse(listed['org/dense']['mixture_of_experts'])
        sft = listed['chatsft_checkpoints/d8']
        self.assertTrue(sft['supported'] and sft['step'] > 0 and sft['bytes'] > 0, sft)
        self.run_program('info', sft['open_as'])
        out, _ = self.run_program('models')
        rows = {line.split()[0]: line for line in out.splitlines() if line.startswith('  ')}
        self.assertIn(f'{size:,} bytes  supported', rows['org/name'])
        self.assertIn('not supported: ', rows['org/other'])
        self.assertNotIn('org/dense', rows)
        self.assertIn('1 model that is no mixture of experts (--json', out)
        # What the short name does not open is called by its snapshot, or by its folder.
        (model / CONFIG).write_text(json.dumps(config))
        self.make_snapshot('org/two', 'aaaa', model, ref='')
        self.make_snapshot('org/two', 'bbbb', model, ref='')
        self.make_snapshot('org/gone', 'aaaa', model)
        (self.cache / 'models--org--gone' / 'refs' / 'main').write_text('2222')
        self.make_snapshot('lonely', 'aaaa', model)
        cut = self.make_snapshot('org/cut', 'aaaa', model)
        (cut / CONFIG).unlink()
        (cut / CONFIG).write_text('{"model_type": "mel')
        listed = {entry['name']: entry for entry in json.loads(self.run_program('models', '--json')[0])}
        for name in ('org/two@aaaa', 'org/two@bbbb', 'org/gone@aaaa', 'lonely@aaaa'):
            self.assertTrue(listed[name]['supported'], name)
            self.run_program('info', listed[name]['open_as'])
        self.assertIn('invalid JSON', self.run_program('models')[0])
        # Another base folder, and a cache that cannot be read.
        base = self.environment | {'NANOCHAT_BASE_DIR': str(self.folder / 'base')}
        self.assertNotIn('chatsft', self.run_program('models', env=base)[0])
        (self.folder / 'file').write_text('')
        self.run_program('models', code=5, env=self.environment | {'HF_HUB_CACHE': str(self.folder / 'file')})


if __name__ == '__main__':
    main()
