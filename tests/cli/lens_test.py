"""The logit lens, and outputs of MoE layers that come from another run."""
import csv
import json

import numpy as np

from harness import SOURCE, Case, main

MODEL, OTHER = SOURCE / 'assets' / 'd4-kappa', SOURCE / 'assets' / 'd8-swiglu'
TEXT, CHANGED = 'The file is opened for reading and writing', 'The line is opened for reading and writing'


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


class LensTest(Case):
    def run_out(self, name, text, *words, model=MODEL, code=0):
        out = self.folder / name
        done = self.run_program('run', model, '-p', text, '-o', out, '-q', '--figures', 'none', *words, code=code)
        return done[1] if code else dict(np.load(out / 'trace.npz'))

    def test_the_last_lens_is_the_output_and_nothing_else_changes(self):
        """In chunks and passes, too; a layer that is not recorded has none."""
        text, words = ' '.join([TEXT] * 26), ('--window', '--loop', 2)
        lens, plain = self.run_out('lens', text, *words, '--lens'), self.run_out('plain', text, *words)
        self.assertEqual({name for name in set(lens) - set(plain)},
                         {'lens_layer_index', 'lens_pass_index', 'lens_token_id', 'lens_token_text', 'lens_logprob',
                          'lens_target_rank'})
        for name in set(plain) - {'kappascope_meta'}:
            np.testing.assert_array_equal(lens[name], plain[name], name)
        np.testing.assert_array_equal(lens['lens_layer_index'], [0, 1, 2, 3] * 2)
        np.testing.assert_array_equal(lens['lens_pass_index'], [0] * 4 + [1] * 4)
        np.testing.assert_array_equal(lens['lens_token_id'][-1], lens['top_token_id'][:, 0])
        np.testing.assert_array_equal(lens['lens_logprob'][-1], lens['top_token_logprob'][:, 0])
        np.testing.assert_array_equal(lens['lens_target_rank'][-1][:-1], lens['target_rank'][1:])
        self.assertTrue((lens['lens_target_rank'][:, -1] == -1).all() and (lens['lens_target_rank'][:, :-1] >= 0).all())
        part = self.run_out('part', TEXT, '--lens', '--layers', '0,3')
        np.testing.assert_array_equal(part['lens_layer_index'], [0, 3])

    def test_figure(self):
        out = self.folder / 'figure'
        self.run_program('run', MODEL, '-p', TEXT, '-o', out, '-q', '--lens', '--figures', 'logit-lens')
        trace = np.load(out / 'trace.npz')
        self.run_program('plot', out, '-o', out / 'ranks', '-q', '--figures', 'logit-lens', '--by-rank', '--figure-format',
                         'csv', '--tokens', '1:3', '--layers', '2-3')
        with open(out / 'ranks' / 'logit-lens-by-rank-tokens1-3-layers2-3.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row['layer'], row['token']) for row in rows],
                         [(str(layer), str(token)) for layer in (2, 3) for token in (1, 2, 3)])
        self.assertEqual([int(row['lens_target_rank']) for row in rows], trace['lens_target_rank'][2:, 1:4].ravel().tolist())
        self.run_program('plot', out, '-o', out / 'all', '-q', '--figures', 'patching', code=2)

    def test_patched_with_itself_and_with_another(self):
        a = self.run_out('a', TEXT, '--record', 'outputs')
        self.assertEqual(a['moe_output'].shape[:2], (len(a['layer_index']), len(a['token_id'])))
        itself = self.run_out('itself', TEXT, '--patch', f'{self.folder / "a"}:*:*', '--record', 'outputs')
        for name in set(a) - {'kappascope_meta'}:
            np.testing.assert_array_equal(itself[name], a[name], name)
        other = self.run_out('other', CHANGED, '--patch', f'{self.folder / "a" / "trace.npz"}:3:2,4', '--record', 'outputs')
        at = [2, 4]
        np.testing.assert_array_equal(other['moe_output'][-1][at], a['moe_output'][-1][at])
        self.assertFalse((other['moe_output'][-1][3] == a['moe_output'][-1][3]).all())

    def test_errors(self):
        self.run_out('a', TEXT, '--record', 'outputs', '--layers', '3')
        self.run_out('b', TEXT)
        a = self.folder / 'a'
        for says, code, words in (('expected 4 tokens, found', 4, (MODEL, '-p', 'The file is', '--patch', f'{a}:*:*')),
                                  ('run --record outputs', 4, (MODEL, '-p', TEXT, '--patch', f'{self.folder / "b"}:*:*')),
                                  ('layer 4; expected 0 to 3', 4, (MODEL, '-p', TEXT, '--patch', f'{a}:4:0')),
                                  ('layer 0 has no experts', 4, (MODEL, '-p', TEXT, '--patch', f'{a}:0:0')),
                                  ('layer 2, pass 0: its outputs were not', 4, (MODEL, '-p', TEXT, '--patch', f'{a}:2:0')),
                                  ('recorded of another model', 4, (OTHER, '-p', TEXT, '--patch', f'{a}:*:*')),
                                  ('token 99: expected 0 to', 4, (MODEL, '-p', TEXT, '--patch', f'{a}:3:99')),
                                  ('expected TRACE:LAYERS:TOKENS', 2, (MODEL, '-p', TEXT, '--patch', 'a:3')),
                                  ('give one with -o DIR', 2, (MODEL, '-p', TEXT, '--lens'))):
            error = self.run_program('run', *words, code=code)[1]
            self.assertIn(says, error)
            self.assertEqual(error.count('\n'), 1, error)

    def test_sweep(self):
        """Each change is that of a run with the one output replaced; what is done is not done again."""
        self.run_out('a', TEXT, '--record', 'outputs')
        sweep, out = ('patch', MODEL, '-p', CHANGED, '--from', self.folder / 'a', '--json'), self.folder / 'out'
        found = json.loads(self.run_program(*sweep, '-o', out)[0])
        trace = np.load(out / 'trace.npz')
        token, at, change = found['prediction']['token_id'], found['prediction']['at'], trace['patch_logprob']
        self.assertEqual((change.shape, at), ((2, len(trace['token_id'])), len(trace['token_id']) - 1))
        self.assertTrue(np.isfinite(change).all() and (change[:, :2] == 0).all())  # before the texts differ
        best = found['places'][0]
        self.assertEqual(abs(best['patch_logprob']), np.abs(change).max())
        base = self.run_out('base', CHANGED, '--logits')
        patched = self.run_out('patched', CHANGED, '--logits', '--patch', f'{self.folder / "a"}:{best["layer"]}:{best["token"]}')
        expected = [log_softmax(run['logits'][at])[token] for run in (base, patched)]
        self.assertAlmostEqual(found['prediction']['logprob'], expected[0], places=5)
        self.assertAlmostEqual(best['patch_logprob'], expected[1] - expected[0], places=5)
        log = (out / 'patching.jsonl').read_text().splitlines()
        (out / 'patching.jsonl').write_text('\n'.join(log[:4]) + '\n')
        again = json.loads(self.run_program(*sweep, '-o', out, '--resume')[0])
        self.assertEqual(again['places'], found['places'])
        self.run_program(*sweep, '-o', out, '--resume', '--token', ' x', code=5)
        # A line break is a token as others are: it neither ends the line nor the row of the table.
        shown = self.run_program(*sweep[:-1], '-o', self.folder / 'line', '--token', '\n', '--layers', '3')[0]
        self.assertIn(r"log p of '\x0a'", shown)
        self.assertIn('it would be replaced', self.run_program(*sweep, '-o', self.folder / 'a', code=2)[1])
        # Results of places that this sweep has not, of a stranger or of more layers, count for nothing.
        log[4:] = ['{"row": 7, "token": 0, "logprob": -1}', '{"row": 0, "token": 99999, "logprob": -1}']
        (out / 'patching.jsonl').write_text('\n'.join(log) + '\n')
        fewer = json.loads(self.run_program(*sweep, '-o', out, '--resume', '--layers', '3')[0])
        self.assertEqual(fewer['places'], [place for place in found['places'] if place['layer'] == 3])
        self.run_out('a', TEXT, '--record', 'outputs', '--no-capacity', '--force')
        self.assertIn('patching.jsonl', self.run_program(*sweep, '-o', out, '--resume', code=5)[1])


if __name__ == '__main__':
    main()
