"""`kappascope scan`, and --fail-if: every number again with NumPy."""
import csv
import json
import math

import numpy as np

import torch_files
from harness import SOURCE, Case, files_under, main

MODEL = SOURCE / 'assets' / 'd4-kappa'
WEIGHTS = 'model_004800.pt'


class ScanTest(Case):
    def scan(self, *words, **options):
        return json.loads(self.run_program('scan', *words, '--json', **options)[0])

    def test_numbers_of_every_tensor(self):
        state = torch_files.load(MODEL / WEIGHTS)
        found = self.scan(MODEL, '--outlier-z', '4', '--outlier-abs', '0.5')
        self.assertEqual({row['tensor'] for row in found['tensors']}, set(state))
        some = 0
        for row in found['tensors']:
            x = np.asarray(state[row['tensor']], np.float64).ravel()
            expected = [x.min(), x.max(), x.mean(), x.std(), np.abs(x).max()]
            np.testing.assert_allclose([row[key] for key in ('min', 'max', 'mean', 'std', 'abs_max')], expected,
                                       rtol=1e-9, atol=1e-12, err_msg=row['tensor'])
            self.assertEqual(row['abs_max_index'], np.argmax(np.abs(x)))
            self.assertEqual((row['nan'], row['inf'], row['elements']), (0, 0, x.size))
            self.assertEqual(row['abs_outliers'], (np.abs(x) > 0.5).sum())
            if x.std() > 0:
                z = np.abs(x - x.mean()) / x.std()
                np.testing.assert_allclose(row['z_max'], z.max(), rtol=1e-9)
                self.assertEqual(row['z_outliers'], (z > 4).sum())
                some += row['z_outliers']
        self.assertGreater(some, 0)

    def test_learned_kappa(self):
        state = torch_files.load(MODEL / WEIGHTS)
        found = self.scan(MODEL)['kappa']
        self.assertEqual([row['layer'] for row in found], [2, 3])
        for row in found:
            a, b = (np.asarray(state[f'transformer.h.{row["layer"]}.mlp.experts.{name}'], np.float64)
                    for name in ('kappa_scale', 'kappa_bias'))
            for name, x in (('kappa_scale', a), ('kappa_bias', b)):
                expected = {'mean': x.mean(), 'std': x.std(), 'min': x.min(), 'max': x.max(),
                            'std_across_experts': x.std(axis=0).mean(), 'std_across_gates': x.std(axis=1).mean()}
                for key, value in expected.items():
                    np.testing.assert_allclose(row[name][key], value, rtol=1e-6, err_msg=f'{name} {key}')
            np.testing.assert_allclose(row['pearson'], np.corrcoef(a.ravel(), b.ravel())[0, 1], rtol=1e-6)
            c = (a * b).sum() / (a * a).sum()
            np.testing.assert_allclose(row['slope'], c, rtol=1e-6)
            rms = lambda x: math.sqrt((x * x).mean())
            np.testing.assert_allclose(row['residual'], rms(b - c * a), rtol=1e-6)
            np.testing.assert_allclose(row['residual_share'], rms(b - c * a) / rms(b), rtol=1e-6)

    def test_alignment_and_similarity(self):
        state = torch_files.load(MODEL / WEIGHTS)
        out = self.folder / 'out'
        self.run_program('scan', MODEL, '-o', out, '-q', '--layer', '2-3', '--figure-format', 'svg,csv')
        found = json.loads((out / 'scan.json').read_text())
        for row in found['alignment']:
            part = lambda name: np.asarray(state[f'transformer.h.{row["layer"]}.mlp.{name}'], np.float64)
            router, gate = part('router.w_g.weight'), part('experts.gate_proj')
            cos = np.einsum('eh,ehi->ei', router, gate) / (
                np.linalg.norm(router, axis=1)[:, None] * np.linalg.norm(gate, axis=1))
            count = math.ceil(cos.shape[1] / 20)
            ranked = np.sort(cos, axis=1)
            np.testing.assert_allclose(row['experts']['alignment_top5'], ranked[:, -count:].mean(axis=1), rtol=1e-5)
            np.testing.assert_allclose(row['experts']['alignment_bottom5'], ranked[:, :count].mean(axis=1), rtol=1e-5)
            np.testing.assert_allclose(row['alignment_top5'], ranked[:, -count:].mean(), rtol=1e-5)
        for one in found['similarity']:
            part = lambda name: np.asarray(state[f'transformer.h.{one["layer"]}.mlp.experts.{name}'], np.float64)
            flat = np.concatenate([part(name).reshape(8, -1) for name in ('gate_proj', 'c_fc', 'c_proj')], axis=1)
            flat /= np.linalg.norm(flat, axis=1)[:, None]
            np.testing.assert_allclose(np.array(one['weights_cosine'], float), flat @ flat.T, atol=1e-9)
            self.assertEqual(sorted(one['order']), list(range(8)))
        self.assertEqual(files_under(out), ['scan.csv', 'scan.json', 'similarity-layer2.csv', 'similarity-layer2.svg',
                                            'similarity-layer3.csv', 'similarity-layer3.svg'])
        with open(out / 'scan.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([float(row['std']) for row in rows], [row['std'] for row in found['tensors']])
        before = {name: (out / name).read_bytes() for name in files_under(out)}
        self.run_program('scan', MODEL, '-o', out, '-q', '--layer', '2-3', '--figure-format', 'svg,csv')
        self.assertEqual(before, {name: (out / name).read_bytes() for name in files_under(out)})

    def test_not_finite(self):
        model = self.make_model('nan', '--nan', 'transformer.h.2.mlp.experts.gate_proj')
        found = self.scan(model)
        self.assertEqual(sum(row['nan'] > 0 for row in found['tensors']), 1)
        _, err = self.run_program('scan', model, '--fail-if', 'nonfinite>0', '-q', code=1)
        self.assertIn('nonfinite>0: transformer.h.2.mlp.experts.gate_proj', err)
        self.assertEqual(err.count('\n'), 1)

    def test_thresholds(self):
        self.run_program('scan', MODEL, '-q', '--fail-if', 'nan>0,inf>0', '--fail-if', 'alignment_mean < -1')
        err = self.run_program('scan', MODEL, '-q', '--fail-if', 'alignment_mean<=1', code=1)[1]
        self.assertIn('layer 2', err)
        for words in ('nonsense>1', 'nan', 'nan>', 'nan>x', 'nan=>1', '>1', 'nan>nan'):
            self.assert_refused(2, 'scan', MODEL, '--fail-if', words, says='--fail-if')
        self.assert_refused(2, 'scan', MODEL, '--layer', '2', says='-o')
        self.assert_refused(2, 'scan', MODEL, '--layer', '99999', '-o', self.folder / 'out', says='--layer: expected layers below')
        self.assert_refused(2, 'scan', MODEL, '--layer', '0', '-o', self.folder / 'out', says='no experts')
        self.assert_refused(5, 'scan', self.folder / 'absent')

    def test_thresholds_of_a_run(self):
        text = ('-p', 'The tide came in and went out again.')
        self.run_program('run', MODEL, *text, '-q', '--fail-if', 'kappa.mean<0,nll_mean>100')
        out = self.folder / 'written'
        err = self.run_program('run', MODEL, *text, '-o', out, '-q', '--figures', 'none', '--fail-if', 'load_cv>0.01',
                               code=1)[1]
        summary = json.loads((out / 'summary.json').read_text())  # it is written all the same
        value = summary['layers'][0]['load_cv']
        self.assertIn(f'load_cv>0.01: prompt layer 2 ({value:.6g})', err)
        self.assert_refused(2, 'run', MODEL, *text, '--fail-if', 'load>1', says='load_cv')

    def test_other_families(self):
        """Tensors of experts of their own, shared ones and scaled ones."""
        for family in ('granitemoeshared', 'gpt-oss-alpha-limit'):
            found = self.scan(SOURCE / 'tests' / 'golden' / 'hf' / family)
            self.assertGreater(len(found['tensors']), 5)
            self.assertEqual(found['kappa'], [])


if __name__ == '__main__':
    main()
