"""Bad words and bad files: the exit code, one line, nothing left behind."""
import json
import os
import pickle
import unittest
import zipfile

import tiktoken

from harness import MODEL, SOURCE, Case, main


def only(folder, pattern):
    return next(folder.glob(pattern))


def edit_config(folder, **fields):
    meta = only(folder, 'meta_*.json')
    document = json.loads(meta.read_text())
    document['model_config'].update(fields)
    meta.write_text(json.dumps(document))


class Command:
    """Pickles to a call of os.system."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class UsageTest(Case):
    def test_words(self):
        for words, says in (
                (['frobnicate'], 'frobnicate'),
                (['--frobnicate'], 'frobnicate'),
                (['run'], 'MODEL'),
                (['run', MODEL], 'exactly one'),
                (['run', MODEL, '-p', 'a', '-f', 'b'], 'exactly one'),
                (['run', MODEL, '-p', 'a', '--ids', 'b'], 'exactly one'),
                (['run', MODEL, '-f', '-', '-f', '-'], 'standard input'),
                (['run', MODEL, '-p', 'a', '--layers', '3-1'], '--layers'),
                (['run', MODEL, '-p', 'a', '--layers', '0-8'], 'below 8'),
                (['run', MODEL, '-p', 'a', '--layers', '0-99999999999999999999'], '--layers'),
                (['run', MODEL, '-p', 'a', '--format', 'npz,xls'], 'xls'),
                (['run', MODEL, '-p', 'a', '--device', 'tpu'], 'tpu'),
                (['run', MODEL, '-p', 'a', '--kappa', 'maybe'], 'maybe'),
                (['run', MODEL, '-p', 'a', '--max-tokens', '0'], '--max-tokens'),
                (['run', MODEL, '-p', 'a', '--threads', 'many'], '--threads'),
                (['generate', MODEL, '-p', 'a', '--seed', '-1'], '--seed: expected at least 0, found -1;'),
                (['generate', MODEL, '-p', 'a', '--seed', '9223372036854775808'], '--seed: expected a number below 2^63'),
                (['stats', MODEL, '--corpus', 'a', '-o', 'b', '--documents', '0'],
                 '--documents: expected a number over 0, found 0;'),
                (['run', MODEL, '-p', 'a', '--logits'], '-o DIR'),
                (['run', MODEL, '-p', 'a', '--bogus\nline'], 'bogus'),
                (['tokens', MODEL], 'exactly one'),
                (['selftest', 'surplus'], 'surplus')):
            with self.subTest(words=words):
                self.assert_refused(2, *words, says=says)

    def test_help_and_version(self):
        self.assertIn('selftest', self.run_program('--help')[0])
        for verb in ('run', 'info', 'tokens', 'selftest'):
            self.assertIn('Example', self.run_program(verb, '--help')[0])
        self.assertIn('Torch', self.run_program('--version')[0])

    def test_not_built_in(self):
        # Built without CUDA, without its libraries here, or without such a GPU.
        self.assert_refused(7, 'run', MODEL, '-p', 'a', '--device', 'cuda:999', says='cuda')
        self.assert_refused(7, MODEL, says='kappascope run')
        self.assert_refused(7, says='kappascope run')

    def test_closed_descriptors(self):
        """What is closed must not become the next file that is opened, and be read or written instead."""
        def closed(descriptor):
            return lambda: os.close(descriptor)
        for verb in ('run', 'tokens'):
            err = self.run_program(verb, MODEL, '-f', '-', code=5, preexec_fn=closed(0))[1]
            self.assertIn('standard input', err)
            self.run_program(verb, MODEL, '-p', 'The tide', code=5, preexec_fn=closed(1))
            self.run_program(verb, MODEL, '-p', 'The tide', preexec_fn=closed(2))

    def test_reader_that_goes_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        out, err = self.run_program('tokens', MODEL, '-p', 'a', stdout=writer)
        os.close(writer)
        self.assertEqual(err, '')


class CheckpointTest(Case):
    def refused(self, code, folder, says=()):
        """By `info` and by `run`, with the same line."""
        line = self.assert_refused(code, 'info', folder, says=says)
        self.assertEqual(line, self.assert_refused(code, 'run', folder, '-p', 'a', '-o', self.folder / 'out'))

    def test_absent(self):
        self.refused(5, self.folder / 'nothing', 'nothing')
        (self.folder / 'empty').mkdir()
        self.refused(5, self.folder / 'empty', 'empty')
        self.assert_refused(5, 'info', MODEL, '--step', 7, says='7')

    @unittest.skipIf(os.geteuid() == 0, 'root reads everything')
    def test_permission(self):
        folder = self.copy_model()
        only(folder, '*.pt').chmod(0)
        self.refused(5, folder, 'model_004800.pt')

    def test_truncated(self):
        folder = self.copy_model()
        weights = only(folder, '*.pt')
        whole = weights.read_bytes()
        sizes = [0, 1, 3, 4, 30, 64, 1000] + [len(whole) * i // 12 for i in range(1, 12)]
        for size in sizes + [len(whole) - i for i in (1, 2, 21, 22, 23, 64, 100, 5000)]:
            with self.subTest(size=size):
                weights.write_bytes(whole[:size])
                self.assert_refused(3, 'info', folder, says='model_004800.pt')

    def test_not_regular_files(self):
        for pattern in ('*.pt', '*.json'):
            with self.subTest(pattern=pattern):
                folder = self.copy_model('fifo' + pattern[1:])
                path = only(folder, pattern)
                path.unlink()
                os.mkfifo(path)
                out, err = self.run_program('info', folder, code=self.code_of(folder))
                self.assertEqual(err.count('\n'), 1)

    def code_of(self, folder):
        process = self.start('info', folder)
        process.communicate(timeout=60)  # must not hang on the FIFO
        self.assertIn(process.returncode, (3, 5))
        return process.returncode

    def test_folder_in_place_of_weights(self):
        folder = self.copy_model()
        path = only(folder, '*.pt')
        path.unlink()
        path.mkdir()
        self.assertIn(self.code_of(folder), (3, 5))

    def test_json(self):
        folder = self.copy_model()
        meta = only(folder, '*.json')
        whole = meta.read_text()
        for text in ('', '{', whole[:-3], whole + 'x', '[' * 100000, '{"a": 1, "a": 2}', '"\\ud800"', '[]', '{}'):
            with self.subTest(text=text[:20]):
                meta.write_text(text)
                self.refused(3, folder, 'meta_004800.json')

    def test_config_against_tensors(self):
        folder = self.copy_model()
        edit_config(folder, n_embd=128)
        self.refused(3, folder, ('transformer.wte.weight', 'value_embeds.1.weight', '[2048, 128]', '[2048, 56]', 'faults in all'))

    def test_out_of_range(self):
        folder = self.copy_model()
        edit_config(folder, moe_top_k=9, window_pattern='SX', kappa_input='entropy')
        self.refused(4, folder, ('moe_top_k', 'window_pattern', 'entropy'))

    def test_missing_tensors(self):
        names = ['transformer.h.1.attn.c_q.weight', 'transformer.h.2.mlp.router.w_g.weight', 'lm_head.weight']
        folder = self.make_model('holes', *[word for name in names for word in ('--drop', name)])
        self.refused(3, folder, names)

    def test_evil_pickle(self):
        folder, mark = self.copy_model(), self.folder / 'mark'
        with zipfile.ZipFile(only(folder, '*.pt'), 'w') as archive:
            archive.writestr('archive/data.pkl', pickle.dumps({'a': Command(f'touch {mark}')}, 2))
            archive.writestr('archive/version', '3\n')
        self.refused(3, folder, 'system')
        self.assertFalse(mark.exists())

    def test_weights_that_are_no_numbers(self):
        folder = self.make_model('nan', '--vocab', 2048, '--nan', 'transformer.h.2.mlp.experts.gate_proj')
        (self.folder / 'ids').write_text('1\n2\n3\n')
        words = ('run', folder, '--ids', self.folder / 'ids')
        self.assert_refused(3, *words, '--strict', says='gate_proj')
        (self.folder / 'text').write_text('a b c')
        for verb in (('stats', folder, '--corpus', self.folder / 'text', '-o', self.folder / 'out'),
                     ('ablate', folder, '-f', self.folder / 'text', '-o', self.folder / 'out'),
                     ('compare', folder, MODEL, '-f', self.folder / 'text', '-o', self.folder / 'out')):
            self.assert_refused(3, *verb, '--tokenizer', SOURCE / 'assets' / 'tokenizer', '--strict', says='gate_proj')
        out, err = self.run_program(*words)
        self.assertIn('1 weight is NaN', err)
        self.assertEqual(self.run_program(*words, '-q')[1], '')


class TextTest(Case):
    def refused(self, code, *words, says=()):
        return self.assert_refused(code, 'run', MODEL, *words, '-o', self.folder / 'out', says=says)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_too_long(self):
        text = self.write('long.txt', b'one two three four ' * 400)
        count = len(json.loads(self.run_program('tokens', MODEL, '-f', text, '--json')[0])['token_id'])
        self.assertGreater(count, 256)
        self.refused(4, '-f', text, says=('256', str(count), '--window'))

    def test_files(self):
        self.refused(5, '-f', self.folder / 'nothing', says='nothing')
        self.refused(3, '-f', self.write('bad', b'abc\xff'), says=('offset 3', 'bad'))
        self.refused(3, '-f', self.write('utf16', 'abc'.encode('utf-16')), says=('UTF-16', 'iconv'))
        (self.folder / 'empty').mkdir()
        self.refused(4, '-f', self.folder / 'empty', says='empty')
        self.refused(5, '--files-from', self.folder / 'nothing', says='nothing')

    def test_ids(self):
        for data, code, says in ((b'[1, 2, 2048]', 4, ('position 2', '2048')), (b'5\n-1\n', 4, 'position 1'),
                                 (b'', 4, 'none'), (b'[1, "2"]', 3, 'position 1'), (b'1\ntwo\n', 3, 'line 2'),
                                 (b'[1, 2', 3, 'ids'), (b'{"a": [1]}', 3, 'token_id'),
                                 (b'[99999999999999999999]', 3, 'ids')):
            with self.subTest(data=data):
                self.refused(code, '--ids', self.write('ids', data), says=says)

    def with_tokenizer(self, **fields):
        state = {'name': 'test', 'pat_str': r'\p{L}+|\P{L}',
                 'mergeable_ranks': {bytes([i]): i for i in range(256)},
                 'special_tokens': {'<|bos|>': 256}} | fields
        folder = self.folder / 'tokenizer-of-test'
        folder.mkdir(exist_ok=True)
        (folder / 'tokenizer.pkl').write_bytes(pickle.dumps(tiktoken.Encoding(**state), protocol=4))
        return folder

    def test_tokenizer(self):
        self.refused(5, '-p', 'a', '--tokenizer', self.folder, says='tokenizer.pkl')
        good = self.with_tokenizer()
        ids = json.loads(self.run_program('tokens', MODEL, '-p', 'ab', '--tokenizer', good, '--json')[0])
        self.assertEqual(ids, {'token_id': [256, 97, 98], 'token_bytes_hex': [b'<|bos|>'.hex(), '61', '62']})
        self.refused(4, '-p', 'a', '--tokenizer', self.with_tokenizer(special_tokens={'<|x|>': 256}), says='bos')
        self.refused(4, '-p', 'a', '--tokenizer', self.with_tokenizer(special_tokens={'<|bos|>': 4000}),
                     says=('position 0', '4000'))

    def test_hostile_pattern(self):
        folder = self.with_tokenizer(pat_str=r'(?:a|a|aa)+b|[^a]')
        self.refused(3, '-p', 'a' * 5000, '--tokenizer', folder, says=('tokenizer.pkl', 'costs too much'))

    def test_hostile_tokenizer(self):
        folder, mark = self.folder / 'evil', self.folder / 'mark'
        folder.mkdir()
        (folder / 'tokenizer.pkl').write_bytes(pickle.dumps(Command(f'touch {mark}'), 4))
        self.refused(3, '-p', 'a', '--tokenizer', folder, says='system')
        self.assertFalse(mark.exists())


if __name__ == '__main__':
    main()
