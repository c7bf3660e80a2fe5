"""Several texts in one run: what is given, which text each result is of, how far a run came."""
import csv
import hashlib
import json
import os
import re
import shlex
import signal
import threading
import zipfile

import numpy as np

from harness import MODEL, TEXTS, Case, files_under, main


def meta_of(folder):
    return json.loads(str(np.load(folder / 'trace.npz')['kappascope_meta']))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def rows_of(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


class BatchCase(Case):
    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def run_into(self, out, *words, code=0, **options):
        return self.run_program('run', MODEL, *words, '-o', self.folder / out, code=code, **options)

    def index(self, out='out'):
        return rows_of(self.folder / out / 'index.csv')

    def three(self):
        return [self.write(f'{name}.txt', f'The {name} came in.') for name in ('tide', 'sea', 'wave')]


class DocumentTest(BatchCase):
    """Trace, summary and tables name the text that they are of."""

    def test_each_kind_of_text(self):
        ids = self.write('ids', '5\n 7\n\n9\n')
        prose = TEXTS / 'prose.txt'
        for words, source, data in (
                (('-p', 'The tide'), 'prompt', b'The tide'),
                (('-f', '-'), 'standard input', b'The sea\n'),
                (('-f', prose, '--max-tokens', '9'), str(prose), prose.read_bytes()),
                (('--ids', ids), str(ids), b'5 7 9')):
            with self.subTest(words=words):
                out = self.folder / 'out'
                self.run_into(out, *words, '--figures', 'none', input=data)
                expected = {'source': source, 'index': 0, 'sha256': sha256(data)}
                self.assertEqual(meta_of(out)['document'], expected)
                self.assertEqual(json.loads((out / 'summary.json').read_text())['document'], expected)
                for table in ('tokens.csv', 'routing.csv'):
                    self.assertEqual({row['document'] for row in rows_of(out / table)}, {source})

    def test_tokens_keep_to_their_line(self):
        self.run_into('out', '-p', 'a, "b"\n\nc\n', '--figures', 'none')
        lines = (self.folder / 'out' / 'tokens.csv').read_text().splitlines()
        tokens = np.load(self.folder / 'out' / 'trace.npz')['token_text']
        self.assertEqual(len(lines), 1 + len(tokens))
        self.assertEqual({line.count(',') for line in lines}, {18})
        self.assertNotIn('"', ''.join(lines))
        read = [json.loads(f'"{row["token_text"]}"') for row in rows_of(self.folder / 'out' / 'tokens.csv')]
        self.assertEqual(read, list(tokens))


class IndexTest(BatchCase):
    def test_every_text_has_its_row(self):
        tide, sea, _ = self.three()
        missing, bad = self.folder / 'missing.txt', self.write('bad, really.txt', b'a\xff')
        texts = [tide, missing, bad, sea]
        err = self.run_into('out', '-f', *texts, code=8)[1]
        rows = self.index()
        self.assertEqual(list(rows[0]), ['folder', 'source', 'tokens', 'hash', 'status', 'error'])
        self.assertEqual([row['source'] for row in rows], [str(text) for text in texts])
        self.assertEqual([row['status'] for row in rows], ['done', 'failed', 'failed', 'done'])
        self.assertEqual(rows[0]['hash'], sha256(tide.read_bytes()))
        self.assertEqual(rows[0]['tokens'], str(len(np.load(self.folder / 'out' / rows[0]['folder'] / 'trace.npz')
                                                    ['token_id'])))
        self.assertIn('missing.txt', rows[1]['error'])
        self.assertIn('offset 1', rows[2]['error'])
        self.assertEqual((rows[1]['tokens'], rows[1]['hash'], rows[0]['error']), ('', '', ''))
        self.assertIn('2 of 4 texts done; 2 failed', err.splitlines()[-1])
        for i in (0, 3):
            self.assertEqual(meta_of(self.folder / 'out' / rows[i]['folder'])['document'],
                             {'source': str(texts[i]), 'index': i, 'sha256': rows[i]['hash']})

    def test_command_is_kept_once_and_each_trace_runs_alone(self):
        texts = self.three()
        self.run_into('out', '-f', *texts, '--kappa', 'off', '--max-tokens', 5)
        batch = json.loads((self.folder / 'out' / 'batch.json').read_text())
        self.assertTrue(all(str(text) in batch['command'] for text in texts))
        err = self.run_program('plot', self.folder / 'out', '-o', self.folder / 'no', code=5)[1]
        self.assertIn('index.csv', err)
        for row in self.index():
            folder = self.folder / 'out' / row['folder']
            command = meta_of(folder)['command']
            self.assertEqual([str(text) in command for text in texts].count(True), 1)
            before = np.load(folder / 'trace.npz')
            self.run_program(*shlex.split(command)[1:])
            after = np.load(folder / 'trace.npz')
            for name in ('token_id', 'router_logits', 'kappa_mean', 'nll'):
                np.testing.assert_array_equal(before[name], after[name])

    def test_interrupted_and_continued(self):
        texts = self.three()
        texts[1].write_text('The tide came in and the tide went out again. ' * 2500)
        words = ('run', MODEL, '-f', *texts, '--window', '-o', self.folder / 'out')
        process = self.start(*words)
        self.wait_for(lambda: (self.folder / 'out' / 'index.csv').exists() and
                      self.index()[0]['status'] == 'done')
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=30)[1].decode()
        self.assertEqual(process.returncode, 130)
        self.assertIn('1 of 3 texts done', err)
        self.assertEqual([row['status'] for row in self.index()], ['done', 'pending', 'pending'])
        self.assertTrue(all(row['hash'] for row in self.index()))
        first = self.folder / 'out' / self.index()[0]['folder'] / 'trace.npz'
        before = first.stat().st_ino
        texts[1].write_text('The tide came in.')  # another text of the same name runs in its folder
        err = self.run_program(*words, '--skip-done')[1]
        self.assertEqual(first.stat().st_ino, before)
        self.assertEqual([row['status'] for row in self.index()], ['done'] * 3)
        self.assertIn('3 of 3 texts done, 1 of them before', err)
        self.assertNotIn('tide.txt', err)
        err = self.run_program(*words, '--skip-done')[1]
        self.assertIn('3 of them before', err)

    def test_texts_added_later_keep_what_is_there(self):
        texts = self.three()
        self.run_into('out', '-f', texts[0], texts[2])
        self.run_into('out', '-f', *texts, '--skip-done')
        self.assertEqual([(row['folder'], row['source']) for row in self.index()],
                         [('001-tide', str(texts[0])), ('003-sea', str(texts[1])), ('002-wave', str(texts[2]))])
        self.run_into('out', '-f', texts[0], texts[1], '--skip-done')
        self.assertEqual(len(self.index()), 3)

    def test_another_batch_is_refused(self):
        texts = self.three()
        self.run_into('out', '-f', *texts)
        before = (self.folder / 'out' / 'index.csv').read_bytes()
        for words in ((*texts[:2],), (*texts, '--kappa', 'off'), (*texts, '--kappa', 'off', '--skip-done'),
                      (*texts, '--max-tokens', '3', '--skip-done')):
            with self.subTest(words=words):
                err = self.run_into('out', '-f', *words, code=5)[1]
                self.assertIn('another batch', err)
                self.assertIn('--force', err)
                self.assertEqual((self.folder / 'out' / 'index.csv').read_bytes(), before)
        self.run_into('lens', '-f', *texts, '--lens')
        self.assertIn('lens was true, now null', self.run_into('lens', '-f', *texts, '--skip-done', code=5)[1])
        self.assertIn('results of a batch', self.run_into('out', '-f', texts[0], code=5)[1])
        self.assertFalse((self.folder / 'out' / 'trace.npz').exists())
        self.run_into('out', '-f', *texts)  # the same again
        err = self.run_into('out', '-f', *texts[1:], '--force')[1]
        self.assertIn('001-tide', err)
        self.assertEqual([row['folder'] for row in self.index()], ['001-sea', '002-wave'])
        (self.folder / 'out' / 'index.csv').unlink()
        self.assertIn('another batch', self.run_into('out', '-f', *texts, code=5)[1])
        mine = self.folder / 'mine'
        mine.mkdir()
        (mine / 'index.csv').write_text('my own numbers')
        self.assertIn('index.csv', self.run_into('mine', '-f', *texts, code=5)[1])
        self.assertEqual(files_under(mine), ['index.csv'])


class InputTest(BatchCase):
    def sources(self, *words, code=0, **options):
        """The sources of a batch, without the folder of the test."""
        self.run_into('out', *words, '--force', '-q', '--format', 'json', code=code, **options)
        return [row['source'].replace(f'{self.folder}/', '') for row in self.index()]

    def test_lists_and_folders(self):
        self.write('corpus/b.txt', 'The tide')
        self.write('corpus/a/a.txt', 'The sea')
        self.write('corpus/.hidden', b'\xff')
        corpus = self.folder / 'corpus'
        self.assertEqual(self.sources('-f', corpus), ['corpus/a/a.txt', 'corpus/b.txt'])
        listed = f'\ufeff{corpus}/b.txt\r\n\n{corpus}/a\n'
        names = self.write('names', listed)
        self.assertEqual(self.sources('--files-from', names), ['corpus/b.txt', 'corpus/a/a.txt'])
        self.assertEqual(self.sources('--files-from', '-', input=f'{corpus}/b.txt\0'.encode()), ['corpus/b.txt'])
        self.assertEqual(self.sources('-f', names, '--files-from', names),
                         ['names', 'corpus/b.txt', 'corpus/a/a.txt'])

    def test_more_than_999(self):
        for i in range(1001):
            self.write(f'many/{i}', b'\xff' if i else b'a')
        self.run_into('out', '-f', self.folder / 'many', '-q', '--format', 'json', code=8)
        self.assertEqual([row['folder'] for row in self.index()][999:], ['1000-998', '1001-999'])

    def test_model_after_the_texts(self):
        tide, sea, _ = self.three()
        for words in (('-f', tide, sea, MODEL, '-q'), ('-f', tide, MODEL, '-q'), ('-q', '-f', tide, MODEL)):
            self.run_program('run', *words)
        self.run_program('tokens', '-f', tide, MODEL, '-q')
        err = self.run_program('run', '-f', tide, sea, code=2)[1]
        self.assertIn('MODEL', err)

    def test_json_lines(self):
        lines = ['{"id": "doc/7", "text": "The tide", "n": 1}', '', '{"text": "The sea"}', '{"content": "x"}',
                 '{"id": 12, "text": ""}', '["The sea"]']
        file = self.write('c.jsonl', '\n'.join(lines))
        self.assertEqual(self.sources('-f', file, '--text-field', 'text', code=8),
                         ['c.jsonl#doc/7', 'c.jsonl:3', 'c.jsonl:4', 'c.jsonl#12', 'c.jsonl:6'])
        rows = self.index()
        self.assertEqual([row['folder'] for row in rows], ['001-doc_7', '002-c', '003-c', '004-12', '005-c'])
        self.assertEqual(rows[0]['hash'], sha256(b'The tide'))
        self.assertIn('"text"', rows[2]['error'])
        self.assertEqual(self.sources('-f', '-', '--text-field', 'content', code=8, input=lines[3].encode() + b'\n{}'),
                         ['standard input:1', 'standard input:2'])
        ids = self.write('ids.jsonl', '[1, 2]\n{"token_id": [5, 7, 9], "id": "x"}\n')
        self.assertEqual(self.sources('--ids', ids), ['ids.jsonl:1', 'ids.jsonl#x'])
        self.assertEqual([row['hash'] for row in self.index()], [sha256(b'1 2'), sha256(b'5 7 9')])
        self.assertIn('--text-field', self.run_into('no', '-p', 'a', '--text-field', 'a', code=2)[1])
        self.assertIn('--text-field', self.run_into('no', '-f', self.write('a', 'a'), '--text-field', 'a', code=2)[1])

    def test_warnings(self):
        for name, data, says in (('a.jsonl', '{"text": "a"}\n', '--text-field'), ('empty.txt', '', 'empty'),
                                 ('mark.txt', b'\xef\xbb\xbfThe tide', 'byte order mark')):
            with self.subTest(name=name):
                path = self.write(name, data)
                out, err = self.run_program('run', MODEL, '-f', path)
                self.assertIn('warning: ', err)
                self.assertIn(name, err)
                self.assertIn(says, err)
        marked = self.write('ids', b'\xef\xbb\xbf5\r\n7\r\n')
        out, err = self.run_program('tokens', MODEL, '--ids', marked, '--json')
        self.assertEqual((json.loads(out)['token_id'], err), ([5, 7], ''))

    def test_pipes(self):
        fifo = self.folder / 'fifo'
        os.mkfifo(fifo)
        for option, data in (('-f', b'The tide'), ('--ids', b'5 \n7\n')):
            with self.subTest(option=option):
                feeder = threading.Thread(target=fifo.write_bytes, args=(data,))
                feeder.start()
                by_fifo = self.run_program('tokens', MODEL, option, fifo, '--json')[0]
                feeder.join()
                by_input = self.run_program('tokens', MODEL, option, '/dev/stdin', '--json', input=data)[0]
                self.assertEqual(by_fifo, by_input)
        feeder = threading.Thread(target=fifo.write_bytes, args=(b'The sea',))
        feeder.start()
        self.run_into('out', '-f', fifo, '--figures', 'none')
        feeder.join()
        self.assertEqual(meta_of(self.folder / 'out')['document']['sha256'], sha256(b'The sea'))


class NewerStepTest(BatchCase):
    def test_a_newer_step_without_its_other_half(self):
        for name, missing in (('model_005000.pt', 'meta_005000.json'), ('meta_005001.json', 'model_005001.pt')):
            model = self.copy_model(name)
            (model / name).write_bytes(b'')
            for words in (('info', model), ('run', model, '-p', 'a'), ('tokens', model, '-p', 'a')):
                with self.subTest(words=words):
                    err = self.run_program(*words)[1]
                    self.assertIn('warning: ', err)
                    self.assertIn(missing, err)
                    self.assertIn('step 4800 is used', err)
            self.assertEqual(self.run_program('info', model, '--step', 4800)[1], '')


class ReportTest(BatchCase):
    def test_progress(self):
        texts = self.three()
        out, err = self.run_into('out', '-f', *texts)
        lines = err.splitlines()
        self.assertEqual(len(lines), 4, err)
        for i, text in enumerate(texts):
            self.assertRegex(lines[i], f'{i + 1} of 3: {re.escape(str(text))}: [0-9]+ tokens, .* tokens/s, [0-9:]+ left')
        self.assertRegex(lines[3], r'3 of 3 texts done; [0-9]+ tokens in [0-9.]+ s, .* tokens/s')
        err = self.run_into('ties', '-f', TEXTS / 'prose.txt', TEXTS / 'prose.txt')[1].splitlines()
        self.assertEqual([line for line in err if 'near ties' in line], [err[2]], err)  # once for all
        self.assertEqual(len(err), 4, err)
        self.assertEqual(self.run_into('quiet', '-f', *texts, '-q'), ('', ''))
        shown = self.run_on_terminal('run', MODEL, '-f', *texts)
        self.assertRegex(shown, r'\r2 of 3 \[#*\.*\] [0-9]+ %, .* tokens/s, [0-9:]+ left')
        self.assertRegex(shown, r'\r\x1b\[Kkappascope: 3 of 3 texts done')
        self.assertNotIn('1 of 3: ', shown)

    def test_figures_only_when_asked_for(self):
        texts = self.three()
        self.run_into('out', '-f', *texts, '-q')
        self.assertFalse([name for name in files_under(self.folder / 'out') if 'figures' in name])
        self.run_into('asked', '-f', *texts, '-q', '--figures', 'loss')
        self.assertEqual(len([name for name in files_under(self.folder / 'asked') if 'figures' in name]), 3)

    def test_json_has_one_shape(self):
        texts = self.three()
        one = json.loads(self.run_into('one', '-f', texts[0], '--figures', 'none', '--json')[0])
        several = json.loads(self.run_into('several', '-f', *texts, '--json')[0])
        self.assertEqual([one[0]['document'][key] for key in ('source', 'index')], [str(texts[0]), 0])
        self.assertEqual([each['document']['source'] for each in several], [str(text) for text in texts])
        self.assertEqual(one[0], several[0])


class CompressTest(BatchCase):
    def test_same_arrays_in_less_room(self):
        words = ('-f', TEXTS / 'prose.txt', '--record', 'gates', '--layers', '2', '--max-tokens', 40, '--figures',
                 'loss,kappa-vs-score,kappa-distribution', '--figure-format', 'csv')
        self.run_into('plain', *words)
        self.run_into('small', *words, '--compress')
        for name in ('trace.npz', 'model.npz'):
            plain, small = (self.folder / folder / name for folder in ('plain', 'small'))
            self.assertLess(small.stat().st_size, plain.stat().st_size)
            self.assertIsNone(zipfile.ZipFile(small).testzip())
            self.assertEqual({entry.compress_type for entry in zipfile.ZipFile(small).infolist()},
                             {zipfile.ZIP_DEFLATED})
            one, two = np.load(plain), np.load(small)
            self.assertEqual(one.files, two.files)
            for array in one.files:
                if array != 'kappascope_meta':
                    self.assertEqual(one[array].tobytes(), two[array].tobytes(), array)
        for table in ('loss', 'kappa-vs-score', 'kappa-distribution'):
            self.assertEqual(*((self.folder / folder / 'figures' / f'{table}.csv').read_bytes()
                               for folder in ('plain', 'small')))
        self.run_program('plot', self.folder / 'small', '--figures', 'loss', '--figure-format', 'csv', '-o',
                         self.folder / 'drawn')
        self.assertEqual((self.folder / 'drawn/loss.csv').read_bytes(),
                         (self.folder / 'plain/figures/loss.csv').read_bytes())
        self.run_into('small', *words, '--compress')  # replaces its own
        foreign = self.folder / 'numpy.npz'
        np.savez_compressed(foreign, **dict(np.load(self.folder / 'plain' / 'trace.npz')))
        self.run_program('plot', foreign, '--figures', 'loss', '-o', self.folder / 'foreign')
        data = bytearray((self.folder / 'small' / 'trace.npz').read_bytes())
        data[len(data) // 2] ^= 0xff
        foreign.write_bytes(data)
        self.run_program('plot', foreign, '-o', self.folder / 'no', code=3)
        self.assertIn('-o DIR', self.run_program('run', MODEL, '-p', 'a', '--compress', code=2)[1])


if __name__ == '__main__':
    main()
