"""kappascope train with soft routing: real runs of a tiny model, what they learn and what others read of them."""
import json
import random
import shutil
import signal
import time
import unittest

import numpy as np

import numpy_soft_model
import torch_files
from harness import SOURCE, TEXTS, Case, files_under, main
from peer_python import has_torch, run_torch

TEXT = SOURCE / 'docs' / 'metrics.md'
TOKENIZER = SOURCE / 'assets' / 'tokenizer'
SMALL = ['--layers', 4, '--width', 32, '--experts', 6, '--context', 32, '--batch', 4, '--threads', 1, '--kappa-delay',
         2, '--kappa-warmup', 3, '--lr', 0.01, '--window', 'L']
SOFT = ['--router', 'softmoe', '--budget', 2.2]
LOAD = '''
import pathlib, sys
import torch
for name in sys.argv[1:]:
    state = torch.load(name, weights_only=True)
    print(*sorted({str(tensor.dtype) for tensor in state.values()}))
'''


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / 'train.jsonl').read_text().splitlines()]
    return [line for line in lines[1:] if 'loss' in line], [line for line in lines[1:] if 'held_out_loss' in line]


def config_of(folder, step):
    return json.loads((folder / f'meta_{step:06d}.json').read_text())['model_config']


class TrainSoft(Case):
    def train(self, name, *words, steps=10, text=TEXT, soft=SOFT):
        out = self.folder / name
        err = self.run_program('train', '--text', text, '--tokenizer', TOKENIZER, *SMALL, '--tokens', steps * 128,
                               *soft, *words, '-o', out)[1]
        return out, err

    def numpy_model(self, folder, step):
        return numpy_soft_model.Model(torch_files.load(folder / f'model_{step:06d}.pt'), config_of(folder, step))

    def assert_same_logits(self, folder, step, text):
        """Of the program and of numpy, for one window of text; gives the trace. Of another text where rounding may
        decide in the first tokens already whether an expert runs."""
        for one in (text, *sorted(TEXTS.iterdir())):
            trace, expected = self.logits_of_both(folder, step, one)
            near = (trace['router_margin'] < 1e-5).any(0)
            sure = int(near.argmax()) if near.any() else len(near)
            if sure > 4:
                break
        self.assertGreater(sure, 4)
        np.testing.assert_allclose(trace['logits'][:sure], expected[:sure], rtol=1e-4, atol=1e-4)
        return trace

    def logits_of_both(self, folder, step, text):
        """A trace of the program, and the logits of numpy."""
        out = self.folder / 'run'
        shutil.rmtree(out, ignore_errors=True)
        self.run_program('run', folder, '--step', step, '-f', text, '--max-tokens', 32, '-o', out, '--figures', 'none',
                         '--logits', '-q')
        trace = dict(np.load(out / 'trace.npz'))
        model = self.numpy_model(folder, step)
        expected = numpy_soft_model.budgets(model.state, model.config)
        np.testing.assert_allclose(trace['layer_budget'], expected, rtol=1e-6)
        return trace, model.logits(trace['token_id'])

    def test_budgets_are_learned_and_the_loss_falls(self):
        out, _ = self.train('out', '--save-every', 40, '--eval-every', 40, steps=80)
        steps, evaluations = lines_of(out)
        losses = [line['loss'] for line in steps]
        self.assertAlmostEqual(losses[0], np.log(2048), delta=0.05)
        self.assertLess(np.mean(losses[-10:]), np.mean(losses[:10]) - 1)
        self.assertLess(evaluations[-1]['held_out_loss'], evaluations[0]['held_out_loss'])
        self.assertEqual((steps[0]['temperature'], config_of(out, 0)['lapsum_temperature']), (5, 5))
        temperatures = [line['temperature'] for line in steps]
        self.assertEqual(temperatures, sorted(temperatures, reverse=True))
        self.assertAlmostEqual(temperatures[40], 3, places=5)  # half of the way from 5 to 1
        self.assertEqual([config_of(out, step)['lapsum_temperature'] for step in (40, 80)], [temperatures[40], 1])
        described = [line['layers'] for line in steps if 'layers' in line]
        self.assertEqual([layer['budget'] for layer in described[0]], [2.2, 2.2])  # as η is 0
        for layers in described:
            self.assertAlmostEqual(sum(layer['budget'] for layer in layers), 4.4, places=9)
            for layer in layers:
                self.assertAlmostEqual(sum(layer['load']), 1, places=6)
                self.assertTrue(1 <= layer['experts_run'] <= 6, layer)
        first, last = (torch_files.load(out / f'model_{step:06d}.pt')['softmoe_eta'] for step in (0, 80))
        self.assertEqual((first.tolist(), last.shape), ([0, 0], (2,)))
        self.assertGreater(abs(last[0] - last[1]), 1e-3)
        for step in (40, 80):
            self.assert_same_logits(out, step, TEXT)
        info = json.loads(self.run_program('info', out, '--json')[0])
        found = [layer['budget'] for layer in info['layers'] if 'budget' in layer]
        expected = numpy_soft_model.budgets({'softmoe_eta': last}, config_of(out, 80))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        self.assertAlmostEqual(info['soft_routing']['budget_mean'], 2.2)
        self.assertIn('with as many experts as the budgets say', self.run_program('info', out)[0])

    def test_what_is_held_out_is_evaluated_as_numpy_does(self):
        text = self.folder / 'text.txt'
        text.write_text(TEXT.read_text()[:2000])
        out, _ = self.train('out', '--eval-every', 10, '--threshold', 0.3, text=text)
        self.run_program('run', out, '-f', text, '-o', self.folder / 'ids', '--figures', 'none', '--window')
        with np.load(self.folder / 'ids' / 'trace.npz') as trace:
            ids = trace['token_id']
        rows = (len(ids) - 1) // 32
        held = [rows - 1] if rows < 20 else list(range(19, rows, 20))
        model, losses = self.numpy_model(out, 10), []
        for row in held:
            logits, targets = model.logits(ids[row * 32:row * 32 + 32]), ids[row * 32 + 1:row * 32 + 33]
            whole = np.log(np.exp(logits).sum(1))
            losses.append((whole - logits[np.arange(32), targets]).mean())
        self.assertAlmostEqual(np.mean(losses), lines_of(out)[1][-1]['held_out_loss'], delta=2e-5)

    def test_killed_anywhere_and_resumed_it_ends_with_the_same_weights(self):
        whole, _ = self.train('whole', '--save-every', 7, steps=40)
        cut, draw = self.folder / 'cut', random.Random(5)
        process = self.start('train', '--text', TEXT, '--tokenizer', TOKENIZER, *SMALL, '--tokens', 40 * 128, *SOFT,
                             '--save-every', 7, '-o', cut)
        self.wait_for(lambda: (cut / 'meta_000000.json').exists())
        for turn in range(4):
            log = cut / 'train.jsonl'
            before = log.stat().st_size if log.exists() else 0
            self.wait_for(lambda: process.poll() is not None or (log.exists() and log.stat().st_size > before))
            time.sleep(draw.random() * 0.2)
            process.send_signal(signal.SIGINT if turn % 2 else signal.SIGKILL)
            process.wait()
            process = self.start('train', '--resume', cut, '--threads', 1)
        self.assertEqual(process.wait(), 0, process.stderr.read())
        for name in ('model_000040.pt', 'optim_000040_rank0.pt'):
            self.assertEqual((whole / name).read_bytes(), (cut / name).read_bytes(), name)
        self.assertEqual(lines_of(whole)[0], lines_of(cut)[0])

    def test_every_form_is_trained(self):
        for words in (['--kappa', 'router_probs'], ['--kappa', 'constant'], ['--kappa', 'gate_proj'],
                      ['--kappa-router'], ['--granularity', 'global'], ['--kappa', 'off'], ['--threshold', 0.2, '--expansion', 0],
                      ['--threshold-scale', 0, '--temperature', 2, '--temperature-start', 0.5]):
            with self.subTest(words=words):
                out, _ = self.train('-'.join(map(str, words)), *words)
                start, end = (torch_files.load(out / f'model_{step:06d}.pt') for step in (0, 10))
                still = [name for name in start if np.array_equal(start[name], end[name])]
                self.assertEqual([name for name in still if start[name].any()], [])
                for name in [name for name in start if 'kappa' in name or 'eta' in name]:
                    self.assertFalse(np.array_equal(start[name], end[name]), name)
                if words[-1] in ('router_probs', 'off', 0, 0.5):
                    self.assert_same_logits(out, 10, TEXT)
                else:
                    self.run_program('run', out, '-p', 'A short text.', '-o', out / 'run', '--figures', 'none', '-q')

    def test_a_pair_of_routers_starts_alike(self):
        for name, words in (('a', ['--twin', 'router=topk', *SOFT]),
                            ('b', ['--twin', 'router=softmoe', '--budget', 2.2])):
            out, _ = self.train(name, *words, soft=[])
            first, second = (torch_files.load(out / name / 'model_000000.pt') for name in ('topk', 'softmoe'))
            self.assertEqual(set(second) - set(first), {'softmoe_eta'})
            for tensor in first:
                np.testing.assert_array_equal(first[tensor], second[tensor], tensor)
            self.assertNotIn('router_type', config_of(out / 'topk', 10))
            self.assertEqual(config_of(out / 'softmoe', 10)['lapsum_budget_total'], 4.4)
        self.assertEqual(files_under(self.folder / 'a'), files_under(self.folder / 'b'))
        for name in files_under(out):
            self.assertEqual((self.folder / 'a' / name).read_bytes(), (out / name).read_bytes(), name)
        self.run_program('compare', out / 'topk', out / 'softmoe', '-f', TEXT, '-o', self.folder / 'compared',
                         '--figures', 'none', '--window', '--max-tokens', 400, '-q')
        shutil.rmtree(out / 'softmoe')  # as where the run ended between the starts of both
        self.run_program('train', '--resume', out, '--threads', 1)
        for name in files_under(out):
            self.assertEqual((self.folder / 'a' / name).read_bytes(), (out / name).read_bytes(), name)

    def test_refusals(self):
        base = ['train', '--text', TEXT, '--tokenizer', TOKENIZER, '--layers', 4, '-o', self.folder / 'out']
        soft = [*base, '--router', 'softmoe']
        for words, says in (
                ([*base, '--budget', 2], '--budget: of soft routing; expected --router softmoe'),
                ([*base, '--threshold', 0.1], '--threshold: of soft routing'),
                ([*base, '--temperature', 1], '--temperature: of soft routing'),
                ([*soft, '--budget', 2, '--top-k', 2], '--top-k: with soft routing it is the budget'),
                ([*soft, '--threshold', 0.1, '--threshold-scale', 1], 'expected one of it and --threshold'),
                ([*soft, '--budget', 0.5], '--budget: expected at least 1'),
                ([*soft, '--budget', 0], '--budget: expected at least 1'),
                ([*soft, '--budget', 'inf'], '--budget: expected less than 4.5'),
                ([*soft, '--expansion', 'nan'], '--expansion: expected a finite number'),
                ([*soft, '--budget', 4.5], '--budget: expected less than 4.5 with 8 experts in 2 layers'),
                ([*soft, '--top-k', 5], '--top-k: expected less than 4.5'),
                ([*soft, '--threshold', 1], '--threshold: expected'), ([*soft, '--threshold', -1], '--threshold: expected'),
                ([*soft, '--temperature', 0], '--temperature'), ([*soft, '--temperature', 'inf'], '--temperature'),
                ([*soft, '--twin', 'router=softmoe'], 'expected another router'),
                ([*base, '--twin', 'router=topk'], 'expected another router'),
                ([*base, '--twin', 'router=softmoe', '--top-k', 5], '--top-k: expected less than 4.5')):
            with self.subTest(words=words[7:]):
                self.assert_refused(2, *words, says=says)
        _, err = self.train('dead', '--threshold', 0.5, steps=2)
        self.assertIn('--threshold 0.5: at the start the weights of all experts are about', err)
        out = self.folder / 'dead'
        path = out / 'meta_000002.json'
        sound = path.read_text()
        for name, value in (('router', 'lapsum'), ('budget', 0.5), ('temperature', 0), ('threshold', 2),
                            ('expansion', -1), ('save_dtype', 'float16')):
            meta = json.loads(sound)
            meta['user_config']['kappascope_train'][name] = value
            path.write_text(json.dumps(meta))
            self.assert_refused(3, 'train', '--resume', out, says=path.name)

    def test_the_last_step_is_saved_as_bfloat16(self):
        words = ['--save-every', 5, '--eval-every', 10]
        whole, _ = self.train('whole', *words)
        half, _ = self.train('half', *words, '--save-dtype', 'bfloat16')
        expected, found = (torch_files.load(folder / 'model_000010.pt') for folder in (whole, half))
        self.assertEqual(list(expected), list(found))
        for name in expected:
            np.testing.assert_array_equal(numpy_soft_model.as_bfloat16(expected[name]), found[name], name)
        self.assertEqual((whole / 'model_000005.pt').read_bytes(), (half / 'model_000005.pt').read_bytes())
        sizes = [(folder / 'model_000010.pt').stat().st_size for folder in (whole, half)]
        self.assertLess(sizes[1], 0.52 * sizes[0])
        info = json.loads(self.run_program('info', half, '--json')[0])
        self.assertEqual(list(info['tensors_of_dtype']), ['bfloat16'])
        trace = self.assert_same_logits(half, 10, TEXT)
        self.assertTrue(np.isfinite(trace['nll'][1:]).all())
        # What was evaluated is what was saved.
        self.assertNotEqual(*(lines_of(folder)[1][-1]['held_out_loss'] for folder in (whole, half)))
        self.assertIn('nothing is left to do', self.run_program('train', '--resume', half)[1])

    @unittest.skipIf(not has_torch(), 'no Python with Torch')
    def test_torch_opens_the_files(self):
        out, _ = self.train('out', '--save-every', 5, '--save-dtype', 'bfloat16')
        found = run_torch('-c', LOAD, out / 'model_000005.pt', out / 'model_000010.pt', out / 'optim_000010_rank0.pt')
        self.assertEqual(found.split('\n')[:3], ['torch.float32', 'torch.bfloat16', 'torch.float32'])


main()
