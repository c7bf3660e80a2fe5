"""What interventions do: `run --against` and `ablate`."""
import csv
import json

import numpy as np

from harness import SOURCE, Case, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
TEXT = 'The tide came in, and the tide went out again before the moon rose over the harbour wall.'


def arrays_of(path):
    arrays = dict(np.load(path, allow_pickle=False))
    arrays['meta'] = json.loads(str(arrays.pop('kappascope_meta')))
    return arrays


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits = logits - logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


class AgainstTest(Case):
    def run_out(self, name, *words):
        out = self.folder / name
        printed = self.run_program('run', MODEL, '-p', TEXT, '-o', out, '--figures', 'none', *words)[0]
        return out, printed

    def assert_same(self, ours, theirs, names):
        for name in names:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)

    def test_both_runs_and_their_difference(self):
        """Each trace is that of the run alone; KL, ΔNLL and the routing are what NumPy makes of their logits."""
        out, printed = self.assert_effect(['--kappa-mul', '1.5@2'], 'off', ['--kappa', 'off'])
        self.assertEqual(arrays_of(out / 'against' / 'trace.npz')['meta']['interventions'], ['kappa=off'])
        self.assertIn('against kappa=off: ΔNLL', printed)
        self.run_program('plot', out / 'against', '--figures', 'kappa-depth', '--figure-format', 'csv', '-o',
                         self.folder / 'plotted', '-q')  # it finds model.npz above

    def test_outputs_of_another_text(self):
        length = len(arrays_of(self.run_out('length')[0] / 'trace.npz')['token_id'])
        given = self.folder / 'given.txt'
        given.write_text('\n'.join(str(7 * t % 500) for t in range(length)))
        self.run_program('run', MODEL, '--ids', given, '-o', self.folder / 'given', '--figures', 'none', '--record', 'outputs')
        self.assert_effect(['--patch', f'{self.folder / "given" / "trace.npz"}:2:3-9'], 'none', [])

    def assert_effect(self, words, against, against_words):
        """The folder of `words` against others, which are `against_words` by themselves, and what was printed."""
        out, printed = self.run_out('both', '--logits', *words, '--against', against)
        a, b = arrays_of(out / 'trace.npz'), arrays_of(out / 'against' / 'trace.npz')
        alone = arrays_of(self.run_out('a', '--logits', *words)[0] / 'trace.npz')
        other = arrays_of(self.run_out('b', '--logits', *against_words)[0] / 'trace.npz')
        self.assertEqual(set(a) - set(alone), {'kl_against'})
        self.assert_same(a, alone, sorted(set(alone) - {'meta'}))
        self.assert_same(b, other, sorted(set(other) - {'meta'}))
        self.assertEqual(a['meta']['against'], b['meta']['interventions'])
        p, q = log_softmax(b['logits']), log_softmax(a['logits'])
        kl = (np.exp(p) * (p - q)).sum(1)
        np.testing.assert_allclose(a['kl_against'], kl, rtol=1e-5, atol=1e-9)
        self.assertTrue((kl > 1e-6).any())
        effect = json.loads((out / 'effect.json').read_text())
        change = np.nanmean(a['nll'].astype(np.float64) - b['nll'])
        self.assertAlmostEqual(effect['nll_difference_mean'], change, places=9)
        self.assertAlmostEqual(effect['kl']['mean'], kl.mean(), places=6)
        for m, layer in enumerate(effect['layers']):
            otherwise = [set(x) != set(y) for x, y in zip(a['expert_index'][m], b['expert_index'][m])]
            self.assertEqual(layer['routed_otherwise'], sum(otherwise))
            ties = sum(o and g < 1e-3 for o, g in zip(otherwise, b['router_margin'][m]))
            self.assertEqual(layer['routed_otherwise_near_ties'], ties)
        with open(out / 'effect.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(a['token_id']))
        self.assertAlmostEqual(float(rows[3]['nll_change']), float(a['nll'][3]) - float(b['nll'][3]), places=6)
        np.testing.assert_allclose(float(rows[3]['kl_against']), a['kl_against'][3], rtol=1e-6)  # seven digits
        return out, printed

    def test_several_texts_and_a_second_time(self):
        texts = []
        for name in ('one', 'two'):
            texts.append(self.folder / f'{name}.txt')
            texts[-1].write_text(TEXT + name)
        out = self.folder / 'many'
        for _ in range(2):
            self.run_program('run', MODEL, '-f', *texts, '-o', out, '-q', '--ablate', '2:0', '--against', 'none')
        for name in ('001-one', '002-two'):
            self.assertIn('nll_difference_mean', json.loads((out / name / 'effect.json').read_text()))
            self.assertEqual(arrays_of(out / name / 'against' / 'trace.npz')['meta']['interventions'], [])
        printed = self.run_program('run', MODEL, '-p', TEXT, '--against', 'kappa=2@3 top-k=1')[0]
        self.assertIn('against kappa=2@3 top-k=1: ΔNLL', printed.replace('top-k=1 kappa=2@3', 'kappa=2@3 top-k=1'))

    def test_printed_as_json(self):
        printed = json.loads(self.run_program('run', MODEL, '-p', TEXT, '--against', 'off', '--json')[0])
        self.assertGreater(printed[0]['effect']['kl']['mean'], 0)

    def test_errors(self):
        for code, words, says in ((2, ('--against', 'none'), 'the model as it is'), (2, ('--against', 'kapa=1'), 'kapa'),
                                  (2, ('--kappa', 'off', '--against', 'off'), 'the same interventions'),
                                  (4, ('--against', 'ablate=0:0'), 'no experts')):
            err = self.run_program('run', MODEL, '-p', 'a', *words, code=code)[1]
            self.assertIn(says, err)
            self.assertEqual(err.count('\n'), 1, err)


class AblateTest(Case):
    def ablate(self, name, *words, code=0):
        out, text = self.folder / name, () if '-p' in words else ('-p', TEXT)
        self.run_program('ablate', MODEL, *text, '-o', out, '--figures', 'none', *words, code=code)
        return out

    def test_every_expert_as_run_by_itself(self):
        for mode in ('zero', 'reroute', 'mean'):
            out = self.ablate(mode, '--mode', mode, '--layers', '2-3', '--threads', '1', '-q')
            found = json.loads((out / 'ablation.json').read_text())
            trace = arrays_of(out / 'trace.npz')
            self.assertEqual(found['nll_count'], len(trace['token_id']) - 1)
            self.assertEqual(len(found['experts']), 2 * trace['router_logits'].shape[2])
            changes = [expert['delta_nll'] for expert in found['experts']]
            self.assertEqual(changes, sorted(changes, reverse=True))
            self.assertNotEqual(changes[0], changes[-1])
            for expert in (found['experts'][0], found['experts'][-1]):
                where = f'{expert["layer"]}:{expert["expert"]}'
                self.run_program('run', MODEL, '-p', TEXT, '-o', self.folder / 'one', '--ablate', f'{where}:{mode}',
                                 '--figures', 'none', '--threads', '1', '-q')
                one = arrays_of(self.folder / 'one' / 'trace.npz')
                change = np.nansum(one['nll'].astype(np.float64)) - np.nansum(trace['nll'].astype(np.float64))
                self.assertAlmostEqual(expert['delta_nll_sum'], change, places=9)
            row = list(trace['layer_index']).index(found['experts'][0]['layer'])
            self.assertEqual(trace['ablation_nll'][row, found['experts'][0]['expert']], changes[0])
            chosen = np.bincount(trace['expert_index'][row].ravel(), minlength=trace['router_logits'].shape[2])
            for expert in found['experts']:
                if expert['layer'] == trace['layer_index'][row]:
                    self.assertEqual(expert['assigned'], chosen[expert['expert']])
                    if expert['assigned'] == 0:
                        self.assertEqual(expert['delta_nll'], 0)
            with open(out / 'ablation.csv', newline='') as file:
                rows = list(csv.DictReader(file))
            self.assertEqual([float(row['delta_nll']) for row in rows], changes)
            for row, expert in zip(rows, found['experts'], strict=True):
                at = trace['layer_index'].tolist().index(expert['layer'])
                chosen = trace['expert_index'][at] == expert['expert']
                self.assertEqual(int(row['assigned']), chosen.sum())
                self.assertEqual(int(row['kept']), (chosen & (trace['expert_kept'][at] != 0)).sum())

    def test_killed_and_resumed(self):
        """What was measured is kept whatever ends the process, and the end is that of one sweep."""
        words = ('--threads', '1', '-q', '--window', '-p', 20 * TEXT)
        whole = self.ablate('whole', *words)
        out = self.folder / 'killed'
        process = self.start('ablate', MODEL, '-o', out, '--figures', 'none', *words)
        log = out / 'ablation.jsonl'
        self.wait_for(lambda: log.exists() and log.read_text().count('\n') > 3)
        process.kill()
        process.wait()
        self.assertFalse((out / 'ablation.json').exists())
        with open(log, 'a') as file:
            file.write('{"layer": 3, "exp')  # cut off by the end of the process
        before = [line for line in log.read_text().splitlines()]
        self.ablate('killed', *words, code=5)
        self.ablate('killed', *words, '--resume', '--mode', 'mean', code=5)
        self.ablate('killed', *words, '--resume', '--layers', '3')
        self.ablate('killed', *words, '--resume')
        self.assertEqual(sum('nll' in line for line in log.read_text().splitlines()), len(json.loads(
            (whole / 'ablation.json').read_text())['experts']))
        self.assertEqual(log.read_text().splitlines()[:len(before) - 1], before[:-1])
        ours, theirs = (json.loads((folder / 'ablation.json').read_text()) for folder in (out, whole))
        self.assertEqual(ours['experts'], theirs['experts'])
        self.ablate('killed', *words, '--resume')

    def test_what_fails_before_the_first_result_leaves_nothing(self):
        out = self.ablate('out', '--memory', '1MB', code=6)
        self.assertFalse(out.exists())
        self.ablate('out', '--layers', '3', '-q')
        (out / 'ablation.jsonl').write_text('{"schema": 7}\n')
        self.ablate('out', '--layers', '3', '--resume', code=5)
        self.ablate('out', '--layers', '3', '--force', '-q')

    def test_picture(self):
        """ΔNLL over load and saliency; the run of the whole model is drawn without its model, too."""
        out = self.ablate('out', '--layers', '3', '-q')
        self.run_program('plot', out, '--figures', 'expert-importance', '--figure-format', 'csv,svg', '-o', out / 'drawn', '-q')
        with open(out / 'drawn' / 'expert-importance.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        trace = arrays_of(out / 'trace.npz')
        self.assertEqual([float(row['ablation_nll']) if row['ablation_nll'] else None for row in rows],
                         [None if np.isnan(change) else change for change in trace['ablation_nll'].ravel()])
        self.assertIn('ΔNLL', (out / 'drawn' / 'expert-importance.svg').read_text())

    def test_errors(self):
        for code, words in ((2, ('--mode', 'half')), (2, ('--layers', '9')), (4, ('--layers', '0')),
                            (2, ('--resume', '--force'))):
            self.ablate('wrong', *words, code=code)
        self.run_program('ablate', MODEL, '-f', SOURCE / 'assets' / 'texts', '-o', self.folder / 'many', code=2)


if __name__ == '__main__':
    main()
