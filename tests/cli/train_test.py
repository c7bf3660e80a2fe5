"""kappascope train: real runs of a tiny model, ended in every way, and what others read of them."""
import csv
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest
import zipfile

import numpy as np

from harness import PROGRAM, SOURCE, files_under, main
from peer_python import has_torch, run_torch
from train_case import SMALL, TEXT, TINY, TOKENIZER, TrainCase, steps_of, steps_of_partial, tensors

REFERENCE = os.environ.get('KAPPASCOPE_REFERENCE')
TORCH = has_torch()
# Run by it: `python -c … FOLDER STEP` prints the number of tensors.
LOAD = '''
import pathlib, sys
import torch
folder, step = pathlib.Path(sys.argv[1]), int(sys.argv[2])
state = torch.load(folder / f'model_{step:06d}.pt', weights_only=True)
torch.load(folder / f'optim_{step:06d}_rank0.pt', weights_only=True)
assert all(torch.isfinite(tensor).all() for tensor in state.values())
print('tensors', len(state))
'''


class Train(TrainCase):
    def interrupted(self):
        """A run that was interrupted after some steps: its folder, the step and what was shown."""
        out = self.folder / 'there'
        process = self.start('train', '--text', TEXT, '--tokenizer', TOKENIZER, *TINY, '--tokens',
                             1 << 24, '-o', out)
        self.wait_for(lambda: len(steps_of_partial(out)) > 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        return out, len(steps_of(out)[0]), err.decode()

    def test_the_loss_falls_and_the_model_opens(self):
        out = self.folder / 'out'
        self.train(out, '--eval-every', 40, '--save-every', 40, steps=80)
        steps, evaluations = steps_of(out)
        self.assertEqual([line['step'] for line in steps], list(range(1, 81)))
        losses = [line['loss'] for line in steps]
        self.assertAlmostEqual(losses[0], np.log(2048), delta=0.05)  # nothing is known yet
        self.assertLess(np.mean(losses[-10:]), np.mean(losses[:10]) - 1)
        self.assertLess(evaluations[-1]['held_out_loss'], evaluations[0]['held_out_loss'])
        self.assertLess(evaluations[-1]['held_out_bits_per_byte'], 3.5)
        layers = [layer for line in steps if 'layers' in line for layer in line['layers']]
        self.assertEqual({layer['layer'] for layer in layers}, {2, 3})
        for layer in layers:
            self.assertAlmostEqual(sum(layer['load']), 1, places=6)
        self.assertEqual(layers[0]['kappa_mean'], 1)
        self.assertGreater(layers[-1]['kappa_sd'], 0)
        self.assertEqual([name for name in files_under(out) if name.startswith('m')],
                         ['meta_000000.json', 'meta_000040.json', 'meta_000080.json',
                          'model_000000.pt', 'model_000040.pt', 'model_000080.pt'])
        told, _ = self.run_program('info', out)
        self.assertIn('top_logits', told)
        self.run_program('run', out, '-f', SOURCE / 'assets' / 'texts' / 'prose.txt', '-o',
                         self.folder / 'run', '--figures', 'none', '--window')
        with np.load(self.folder / 'run' / 'trace.npz') as trace:
            self.assertGreater(np.nanstd(trace['kappa_mean']), 0)

    def test_what_is_logged_is_what_the_forward_pass_computes(self):
        """The held-out loss against the verb that runs texts, token for token."""
        out = self.folder / 'out'
        text = self.folder / 'text.txt'
        text.write_text(TEXT.read_text()[:2000])
        self.run_program('train', '--text', text, '--tokenizer', TOKENIZER, *TINY, '--tokens', 1280, '-o',
                         out, '--eval-every', 10)
        _, evaluations = steps_of(out)
        self.run_program('run', out, '-f', text, '-o', self.folder / 'run', '--figures', 'none',
                         '--window')
        with np.load(self.folder / 'run' / 'trace.npz') as trace:
            ids = trace['token_id']
        rows = (len(ids) - 1) // 32
        held = [rows - 1] if rows < 20 else [row for row in range(rows) if row % 20 == 19]
        losses = []
        for row in held:
            part = self.folder / f'ids{row}.json'
            part.write_text(json.dumps(ids[row * 32:row * 32 + 33].tolist()[:32]))
            following = int(ids[row * 32 + 32])
            place = self.folder / f'row{row}'
            self.run_program('run', out, '--ids', part, '-o', place, '--figures', 'none',
                             '--logits')
            with np.load(place / 'trace.npz') as trace:
                logits = trace['logits'][-1].astype(np.float64)
                losses += trace['nll'][1:].tolist()
            losses.append(float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[following]))
        # A batch has one capacity of experts, a single sequence its own: both keep every token here.
        self.assertAlmostEqual(np.mean(losses), evaluations[-1]['held_out_loss'], delta=2e-4)

    def test_the_same_words_give_the_same_files(self):
        for name in ('a', 'b'):
            self.train(self.folder / name, '--save-every', 6)
        self.assertEqual(files_under(self.folder / 'a'), files_under(self.folder / 'b'))
        for name in files_under(self.folder / 'a'):
            self.assertEqual((self.folder / 'a' / name).read_bytes(),
                             (self.folder / 'b' / name).read_bytes(), name)
        self.train(self.folder / 'c', '--seed', 27)
        self.assertNotEqual((self.folder / 'a' / 'model_000012.pt').read_bytes(),
                            (self.folder / 'c' / 'model_000012.pt').read_bytes())

    def test_an_interrupt_saves_the_step_that_was_reached(self):
        out, reached, err = self.interrupted()
        self.assertTrue((out / f'model_{reached:06d}.pt').exists(), files_under(out))
        self.assertIn(f'--resume {out} --threads 1', err)
        self.assertEqual([name for name in files_under(out) if '.kappascope' in name], [])

    def test_twins_start_alike_and_both_open(self):
        out = self.folder / 'pair'
        self.train(out, '--twin', 'kappa=off')
        first, second = (tensors(out / name / 'model_000000.pt') for name in ('kappa', 'kappa-off'))
        self.assertEqual({name for name in set(first) - set(second)},
                         {f'transformer.h.{layer}.mlp.experts.kappa_{part}' for layer in (2, 3)
                          for part in ('bias', 'scale')})
        for name in second:
            self.assertEqual(first[name], second[name], name)
        self.run_program('compare', out / 'kappa', out / 'kappa-off', '-f',
                         SOURCE / 'assets' / 'texts' / 'prose.txt', '-o', self.folder / 'compared',
                         '--figures', 'none', '--window')
        _, err = self.run_program('train', '--resume', out)
        self.assertIn('nothing is left to do', err)

    def test_a_run_too_short_for_kappa_says_so(self):
        for steps in (2, 3, 4, 12):
            err = self.train(self.folder / str(steps), steps=steps)[1]
            self.assertEqual('κ is not learned in this run: that begins after 3 steps' in err, steps <= 3)

    def test_every_form_of_kappa_is_trained(self):
        for words in (['--kappa', 'router_probs', '--granularity', 'per-expert'],
                      ['--kappa', 'constant', '--granularity', 'per-layer'],
                      ['--kappa', 'gate_proj'],
                      ['--kappa-router'],
                      ['--kappa', 'gate_proj', '--kappa-router'],
                      ['--granularity', 'global'],
                      ['--kappa', 'off']):
            with self.subTest(words=words):
                out = self.folder / '-'.join(words)
                _, err = self.train(out, *words, steps=10)
                self.assertEqual('--kappa-delay, --kappa-warmup: no effect' in err, words[-1] == 'off')
                start, end = (tensors(out / f'model_{step:06d}.pt') for step in (0, 10))
                kappa = [name for name in start if 'kappa' in name]
                self.assertEqual(bool(kappa), words[-1] != 'off')
                for name in kappa:
                    self.assertNotEqual(start[name], end[name], name)
                self.run_program('run', out, '-p', 'A short text.', '-o', out / 'run', '--figures',
                                 'none', '-q')

    def test_a_tokenizer_is_learned(self):
        out = self.folder / 'out'
        self.run_program('train', '--text', TEXT, SOURCE / 'docs' / 'figures.md', '--vocab', 400, *TINY,
                         '--tokens', 512, '-o', out)
        self.assertEqual(json.loads((out / 'meta_000004.json').read_text())['model_config']['vocab_size'], 400)
        told, _ = self.run_program('tokens', out, '-p', 'mean of the tokens, größer')
        self.assertLess(len(told.splitlines()), 26)
        shutil.rmtree(out)
        self.assert_refused(4, 'train', '--text', SOURCE / 'assets' / 'texts' / 'code.txt', '--vocab',
                            40000, *TINY, '-o', out, says='expected at most')

    def test_documents_of_json_lines(self):
        lines = self.folder / 'texts.jsonl'
        text = TEXT.read_text()
        lines.write_text(''.join(json.dumps({'text': text[at:at + 500]}) + '\n'
                                 for at in range(0, 8000, 500)))
        self.run_program('train', '--text', lines, '--tokenizer', TOKENIZER, *TINY, '--tokens', 512, '-o',
                         self.folder / 'model')
        lines.write_text('{"txt": "a"}\n')
        self.assert_refused(3, 'train', '--text', lines, '--tokenizer', TOKENIZER, *TINY, '-o',
                            self.folder / 'out', says=['texts.jsonl:1', '"text"'])

    def test_every_form_of_documents_is_the_same_text(self):
        text = TEXT.read_text()
        documents = [text[at:at + 500] for at in range(0, 8000, 500)]
        lines = ''.join(json.dumps({'text': document}) + '\n' for document in documents)
        (self.folder / 'a.jsonl').write_text(lines)
        (self.folder / 'a.jsonl.gz').write_bytes(gzip.compress(lines.encode()))
        with open(self.folder / 'a.csv', 'w', newline='') as file:
            csv.writer(file).writerows([('id', 'text'), *enumerate(documents)])
        streams = set()
        for name in ('a.jsonl', 'a.jsonl.gz', 'a.csv'):
            self.run_program('train', '--text', self.folder / name, '--text-field', 'text', '--tokenizer', TOKENIZER,
                             *TINY, '--tokens', 256, '-o', self.folder / 'model', '--force')
            meta = json.loads(min((self.folder / 'model').glob('meta_*.json')).read_text())
            streams.add(json.dumps(meta['user_config']['kappascope_train']['stream_sha256']))
        self.assertEqual(len(streams), 1)

    def test_parquet_without_its_library_names_the_remedy(self):
        alone = self.folder / 'kappascope'  # no library is beside it
        shutil.copy(PROGRAM, alone)
        (self.folder / 'a.parquet').write_bytes(b'PAR1')
        done = subprocess.run([alone, 'train', '--text', self.folder / 'a.parquet', '--tokenizer', TOKENIZER, *map(str, TINY),
                               '-o', self.folder / 'out'], capture_output=True, text=True)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn('a.parquet: this kappascope is built without Apache Arrow', done.stderr)
        self.assertIn('KAPPASCOPE_ARROW=ON make build', done.stderr)

    def test_refusals(self):
        base = ['train', '--text', TEXT, '--tokenizer', TOKENIZER]
        out = self.folder / 'out'
        for code, words, says in (
                (2, ['train', '-o', out], 'expected --text'),
                (2, ['train', '--text', TEXT, '-o', out], '--tokenizer DIR or --vocab N'),
                (2, [*base, '-o', out, '--top-k', 9], '--top-k: expected at most 8'),
                (2, [*base, '-o', out, '--width', 40], '--width'),
                (2, [*base, '-o', out, '--kappa', 'off', '--twin', 'kappa=off'], '--twin'),
                (4, [*base, '-o', out, '--context', 1000000, '--kappa', 'off'], 'expected at least'),
                (2, [*base, '-o', out, '--batch', 1 << 40], '--batch: expected 1 to'),
                (2, [*base, '-o', out, '--text-field', 'body'], '--text-field: expected a .jsonl'),
                (5, ['train', '--text', self.folder / 'none.txt', *base[3:], '-o', out], 'none.txt'),
                (5, ['train', '--resume', self.folder / 'none'], 'no training to go on with')):
            with self.subTest(words=words):
                self.assert_refused(code, *words, says=says)

    def test_a_run_is_not_replaced_and_keeps_its_texts(self):
        out, text = self.folder / 'there', self.folder / 'text.txt'
        text.write_text(TEXT.read_text())
        words = ['train', '--text', text, '--tokenizer', TOKENIZER, *TINY, '--tokens', 512, '-o', out]
        self.run_program(*words)
        before = files_under(out)
        self.assert_refused(5, *words, says=['--resume', '--force'])
        self.assertEqual(files_under(out), before)
        self.run_program(*words, '--force')
        text.write_text('Another text. ' * 2000)
        self.assert_refused(4, 'train', '--resume', out, 
                            says=['meta_000004.json', 'not those that this run was started with', 'SHA-256'])

    def test_another_tokenizer_is_not_replaced(self):
        place = self.folder / 'there'
        shutil.copytree(TOKENIZER, place / 'tokenizer')
        before = {name: (place / name).read_bytes() for name in files_under(place)}
        learned = ['train', '--text', TEXT, '--vocab', 400, *TINY, '--tokens', 512, '-o', place]
        self.assert_refused(5, *learned, says=['tokenizer.pkl', '--force'])
        self.assertEqual({name: (place / name).read_bytes() for name in files_under(place)}, before)
        self.run_program(*learned[:3], '--tokenizer', place / 'tokenizer', *learned[5:])
        for name, content in before.items():
            self.assertEqual((place / name).read_bytes(), content, name)
        self.run_program(*learned, '--force')
        self.assertNotEqual((place / 'tokenizer' / 'tokenizer.pkl').read_bytes(),
                            before['tokenizer/tokenizer.pkl'])

    def test_damaged_settings_are_refused(self):
        out = self.folder / 'there'
        self.train(out, steps=4)
        path = out / 'meta_000004.json'
        sound = path.read_text()
        for name, value in (('context', 0), ('batch', 0), ('save_every', 0), ('evaluate_every', 0),
                            ('evaluate_rows', 0), ('layers', 0), ('top_k', 0), ('tokens', 0),
                            ('tokens', 1e300), ('tokens', 256), ('batch', 1 << 40), ('seed', True),
                            ('seed', -1), ('bound', 'x'), ('kappa', 'none'), ('rate', -1), ('experts', 6)):
            with self.subTest(name=name, value=value):
                meta = json.loads(sound)
                meta['user_config']['kappascope_train'][name] = value
                path.write_text(json.dumps(meta))
                self.assert_refused(3, 'train', '--resume', out, says='meta_000004.json')
        meta = json.loads(sound)
        meta['model_config']['moe_kappa_slope_max_scale'] = 5.0
        path.write_text(json.dumps(meta))
        self.assert_refused(3, 'train', '--resume', out, says='model_config.moe_kappa_slope_max_scale')

    def test_a_damaged_log_is_named(self):
        out, _, _ = self.interrupted()
        path = out / 'train.jsonl'
        lines = path.read_text().splitlines()
        for number, line in ((1, '{}'), (1, 'x'), (2, '{"step": "x"}'), (2, '[]'), (2, '{"step": 1.5}'),
                             (2, '{"loss"')):
            with self.subTest(number=number, line=line):
                damaged = '\n'.join([*lines[:number - 1], line, *lines[number:]]) + '\n'
                path.write_text(damaged)
                self.assert_refused(3, 'train', '--resume', out, '-q', says=f'train.jsonl:{number}')
                self.assertEqual(path.read_text(), damaged)

    def test_damaged_moments_are_named(self):
        out, step, _ = self.interrupted()
        path = out / f'optim_{step:06d}_rank0.pt'
        name = 'exp_avg_sq.transformer.wte.weight'
        bad = np.frombuffer(tensors(path)[name], np.float32).copy()
        bad[5] = -1
        with zipfile.ZipFile(path) as archive:
            files = {info.filename: archive.read(info) for info in archive.infolist()}
        for key, content in files.items():
            if content == tensors(path)[name]:
                files[key] = bad.tobytes()
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
            for key, content in files.items():
                archive.writestr(key, content)
        self.assert_refused(3, 'train', '--resume', out, '-q', says=[path.name, name, 'found -1 as value 5'])

    def test_an_evaluation_is_of_its_own_step(self):
        out = self.folder / 'there'
        self.train(out, '--save-every', 3, '--eval-every', 2, steps=6)
        found = [json.loads((out / f'meta_{step:06d}.json').read_text())['val_bpb'] for step in (3, 6)]
        self.assertIsNone(found[0])
        self.assertGreater(found[1], 0)

    def test_a_missing_twin_is_started(self):
        whole, cut = self.folder / 'whole', self.folder / 'cut'
        self.train(whole, '--twin', 'kappa=off', steps=4)
        shutil.copytree(whole, cut)
        shutil.rmtree(cut / 'kappa-off')
        self.run_program('train', '--resume', cut, '--threads', 1)
        for name in files_under(whole):
            self.assertEqual((whole / name).read_bytes(), (cut / name).read_bytes(), name)

    @unittest.skipIf(not TORCH, 'no Python with Torch')
    def test_torch_opens_the_files(self):
        out = self.folder / 'out'
        self.train(out)
        found = run_torch('-c', LOAD, out, 12)
        self.assertEqual(found.split()[-1], str(len(tensors(out / 'model_000012.pt'))))

    @unittest.skipIf(not TORCH or not REFERENCE, 'no KAPPASCOPE_REFERENCE, or no Python with Torch')
    def test_the_reference_computes_the_same(self):
        """Logits of what we wrote, and the losses and derivatives of the step that came after."""
        text = self.folder / 'text.txt'
        text.write_text(TEXT.read_text()[:180])
        for kappa in ('top_logits', 'router_probs', 'constant', 'off'):
            with self.subTest(kappa=kappa):
                out = self.folder / kappa
                words = [*SMALL, '--batch', 1, '--tokens', 40 * 32, '--save-every', 30, '--kappa', kappa]
                _, err = self.run_program('train', '--text', text, '--tokenizer', TOKENIZER, *words, '-o', out)
                self.assertIn('1 sequences of 32 tokens to train on', err)  # the first one
                self.run_program('run', out, '--step', 30, '-f', text, '--max-tokens', 33, '--window', '-o',
                                 out / 'run', '--figures', 'none', '--logits')
                with np.load(out / 'run' / 'trace.npz') as trace:
                    ids, logits = trace['token_id'].tolist(), trace['logits'][31]
                ours = steps_of(out)[0][30]
                (out / 'ids.json').write_text(json.dumps(ids))
                found = run_torch(pathlib.Path(__file__).with_name('reference_model.py'), REFERENCE, out,
                                  30, out / 'ids.json', ours['bound'])
                theirs = json.loads(found.splitlines()[-1])
                np.testing.assert_allclose(logits, theirs['logits'], rtol=1e-4, atol=1e-4)
                for name in ('loss', 'balance', 'router_z', 'kappa_l2', 'gradient'):
                    np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-4, err_msg=name)


main()
