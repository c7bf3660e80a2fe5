"""Interventions on experts, routing and gates: two backends must agree under each, and NumPy judges what acted.

check_interventions.py PROGRAM PROGRAM BACKEND MODEL_FOLDER...   two kappascope_dump_forward, the second one's words:
                                                                 plain, or cuda
"""
import json
import pathlib
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'gpu'))
from compare_devices import faults_of  # noqa: E402
from comparing import Dumper  # noqa: E402

TOKENS = 40


class Run:
    def __init__(self, program, words, model, folder):
        self.dumper, self.words, self.model, self.folder = Dumper(program), words, model, folder

    def __call__(self, *edits, tokens=TOKENS, fails=None):
        listed, dumped = self.folder / 'ids.txt', self.folder / 'forward.npz'
        listed.write_text('\n'.join(str((37 * t + 11) % 90) for t in range(tokens)))
        words = [word for edit in edits for word in ('--' + edit.split('=')[0], edit.split('=', 1)[1])]
        arrays, said = self.dumper(dumped, self.model, listed, dumped, *self.words, *words)
        if fails is not None:
            return arrays is None and fails in said
        if arrays is None:
            sys.exit(f'{self.model}, {edits}: {said}')
        return arrays


def fronts_of(arrays):
    """The rows of experts, in running order: "layer2.", or "ut0.layer2."."""
    rows = [name.removesuffix('expert_index') for name in arrays if name.endswith('.expert_index')]
    return sorted(rows, key=lambda row: [int(part.strip('utlayer')) for part in row.strip('.').split('.')])


def layer_of(front):
    return int(front.strip('.').split('.')[-1].removeprefix('layer'))


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[n], theirs[n], equal_nan=ours[n].dtype.kind == 'f')
                                                for n in ours)


def largest(a, share):
    """a [..,I] with the smallest set of units with Σ|a| ≥ share·Σ|a|, the rest 0."""
    magnitude = np.abs(a.astype(np.float64))
    order = np.argsort(-magnitude, axis=-1, kind='stable')
    ranked = np.take_along_axis(magnitude, order, -1)
    stays = np.cumsum(ranked, -1) - ranked < share * magnitude.sum(-1, keepdims=True)
    acts = np.zeros_like(stays)
    np.put_along_axis(acts, order, stays, -1)
    return np.where(acts, a, 0)


class Model:
    """The checks of one model; `run` is that of the judge, `other` that of the backend."""

    def __init__(self, run, other, folder):
        self.run, self.other, self.folder, self.faults, self.compared = run, other, folder, [], 0
        self.base = run()
        self.rows = fronts_of(self.base)
        self.first, self.last = self.rows[0], self.rows[-1]
        self.layer = layer_of(self.last)
        self.slots = self.base[self.last + 'expert_index'].shape[1]
        self.experts = self.base[self.last + 'router_logits'].shape[1]
        chosen = self.base[self.last + 'expert_index'][self.base[self.last + 'kept'] != 0]
        self.busy = int(np.bincount(chosen).argmax())

    def expect(self, holds, what):
        if not holds:
            self.faults.append(f'{pathlib.Path(self.run.model).name}: {what}')

    def both(self, *edits, tokens=TOKENS):
        ours, theirs = self.run(*edits, tokens=tokens), self.other(*edits, tokens=tokens)
        gates = next(a.shape[-1] for n, a in ours.items() if n.endswith('.kappa'))
        self.expect(ours.keys() == theirs.keys(), f'{edits}: other arrays')
        for name in ours.keys() & theirs.keys():
            self.compared += ours[name].size
            with np.errstate(invalid='ignore'):  # −∞ on both sides
                for fault in faults_of(name, ours[name], theirs[name], gates):
                    self.expect(False, f'{edits}, {tokens} tokens: {fault}')
        return ours

    def outputs_differ(self, ours, what):
        self.expect(not np.array_equal(ours['logits'], self.base['logits']), f'{what}: nothing changed')

    def check_ablations(self):
        hit = self.base[self.last + 'expert_index'] == self.busy
        ran = hit & (self.base[self.last + 'kept'] != 0)
        for mode in ('', ':mean'):
            word = f'ablate={self.layer}:{self.busy}{mode}'
            ours = self.both(word)
            if self.first == self.last:
                for name in ('expert_index', 'expert_weight', 'kept', 'kappa_input', 'gate_pre', 'gate_act', 'kappa'):
                    self.expect(np.array_equal(ours[self.last + name], self.base[self.last + name], equal_nan=True),
                                f'{word}: {name} is another')
            norms = ours[self.last + 'output_norm'][(ours[self.last + 'expert_index'] == self.busy) &
                                                    (ours[self.last + 'kept'] != 0)]
            self.expect(norms.size > 0 and np.ptp(norms) <= 1e-5 * norms.max(), f'{word}: norms {norms}')
            self.expect((norms == 0).all() == (mode == ''), f'{word}: norms {norms}')
            self.outputs_differ(ours, word)
        # What a layer without any expert gives is what the shared expert gives, or nothing.
        word = f'ablate={self.layer}:*'
        ours = self.both(word, tokens=5)
        if not any('shared_' in name for name in ours):
            self.expect((ours[self.last + 'moe_output'] == 0).all(), f'{word}: an output is left')
        if self.experts <= self.slots:
            return self.expect(self.run(f'ablate={self.layer}:0:reroute', fails='left'), 'reroute leaves too few')
        word = f'ablate={self.layer}:{self.busy}:reroute'
        ours = self.both(word)
        self.expect((ours[self.last + 'expert_index'] != self.busy).all(), f'{word}: it is chosen')
        self.expect(np.isneginf(ours[self.last + 'selection_score'][:, self.busy]).all(), f'{word}: selection score')
        self.expect(ran.any(), f'{word}: expert {self.busy} had no token')
        everyone = ','.join(str(e) for e in range(self.experts - self.slots))
        ours = self.both(f'ablate={self.layer}:{everyone}:reroute')
        self.expect(np.isnan(ours[self.last + 'router_margin']).all(), 'a margin where no other expert could be chosen')
        self.expect(self.run(f'ablate={self.layer}:{everyone},{self.experts - 1}:reroute', fails='left'), 'too few left')

    def check_route(self):
        given = [(self.busy + 1) % self.experts, self.busy][:self.slots]
        word = f'route={self.layer}:3,7-9:' + ','.join(map(str, given))
        ours = self.both(word)
        index = ours[self.last + 'expert_index']
        self.expect((index[[3, 7, 8, 9], :len(given)] == given).all(), f'{word}: {index[[3, 7, 8, 9]]}')
        score = ours.get(self.last + 'selection_score', ours[self.last + 'router_logits'])
        for t in (3, 7):
            left = [e for e in np.argsort(-score[t], kind='stable') if e not in given]
            self.expect(list(index[t]) == given + left[:self.slots - len(given)], f'{word}: {index[t]} of token {t}')
            if self.experts > self.slots:
                others = [e for e in range(self.experts) if e not in index[t]]
                margin = score[t][index[t]].min() - score[t][others].max()
                self.expect(ours[self.last + 'router_margin'][t] == margin, f'{word}: margin of token {t}')
        self.expect((np.sort(index, 1)[:, 1:] != np.sort(index, 1)[:, :-1]).all(), f'{word}: an expert twice')
        self.expect(self.run(f'route={self.layer}:{TOKENS}:0', fails='token 40: expected 0 to 39'), 'token past the end')
        self.expect(self.run(f'route={self.layer}:0:{self.experts}', fails='expert'), 'no such expert')

    def check_routes(self):
        own = np.stack([self.base[row + 'expert_index'] for row in self.rows], 1)
        file = self.folder / 'routes.npy'
        np.save(file, own.astype(np.uint8))
        self.expect(same(self.run(f'routes={file}'), self.base), 'routes of its own')
        np.save(file, own[1:].astype(np.int16))
        self.expect(same(self.run(f'routes={file}'), self.base), 'routes without the first token')
        shifted = (own + 1) % self.experts
        shifted[::3] = -1
        np.save(file, shifted.astype(np.int32))
        ours = self.both(f'routes={file}')
        for m, row in enumerate(self.rows):
            index = ours[row + 'expert_index']
            self.expect((index[1::3] == shifted[1::3, m]).all() and (index[2::3] == shifted[2::3, m]).all(),
                        f'routes: {row}')
        if self.experts > self.slots:
            self.outputs_differ(ours, 'routes')
        chosen = np.take_along_axis(ours[self.last + 'router_logits'], ours[self.last + 'expert_index'].astype(int), 1)
        kept = ours[self.last + 'kept'] != 0
        weight = np.exp(chosen - chosen.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        of_all = np.take_along_axis(np.exp(ours[self.last + 'router_logits']), ours[self.last + 'expert_index'].astype(int), 1)
        of_all /= np.exp(ours[self.last + 'router_logits']).sum(1, keepdims=True)
        sigmoid = 1 / (1 + np.exp(-chosen))  # scaled, whose sum the scale is
        found = ours[self.last + 'expert_weight']
        sigmoid *= found.sum(1, keepdims=True) / sigmoid.sum(1, keepdims=True)
        self.expect(any(np.allclose(found[kept], w[kept], atol=1e-5) for w in (weight, of_all, sigmoid)),
                    'routes: weights')
        self.both(f'routes={file}', 'capacity=0.5')
        for values, says in ((own[:, :-1] if len(self.rows) > 1 else own[:, :0], 'expected'),
                             (own[:, :, :1] if self.slots > 1 else np.repeat(own, 2, 2), 'expected'),
                             (own[:-2], 'expected 40 or 39'), (own.astype(np.float32), 'integer'),
                             (np.where(own == own[0, 0, 0], self.experts, own), f'expected -1 to {self.experts - 1}')):
            np.save(file, values)
            self.expect(self.run(f'routes={file}', fails=says), f'routes of shape {values.shape} {values.dtype}')

    def check_gate_keep(self):
        self.expect(same(self.run('gate-keep=1'), self.base), 'gate-keep=1 changes something')
        if '--device' in self.other.words:
            return self.expect(self.other('gate-keep=0.5', fails='does not act on a GPU'), 'gate-keep on a GPU')
        for share in (0.5, 0.9):
            ours = self.both(f'gate-keep={share}')
            full, a = self.base[self.first + 'gate_act'], ours[self.first + 'gate_act']
            kept = self.base[self.first + 'kept'] != 0
            self.expect(np.array_equal(a[kept], largest(full[kept], share)), f'gate-keep={share}: other units stay')
            stats = ours[self.first + 'gate_stats'][kept]
            self.expect(np.allclose(stats[:, 0], np.abs(a[kept]).mean(-1), rtol=1e-5, atol=1e-7), 'mean |a|')
            self.expect(np.array_equal(ours[self.first + 'kappa_hist'], self.base[self.first + 'kappa_hist']), 'κ')
            self.outputs_differ(ours, f'gate-keep={share}')
        self.both(f'gate-keep=0.25@{self.layer}:{self.busy}')


def main():
    program, other, backend, *models = sys.argv[1:]
    words = {'plain': ('--backend', 'plain'), 'cuda': ('--device', 'cuda')}[backend]
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for path in models:
            model = Model(Run(program, (), path, folder), Run(other, words, path, folder), folder)
            for check in (model.check_ablations, model.check_route, model.check_routes, model.check_gate_keep):
                check()
            faults += model.faults
            compared += model.compared
    print(json.dumps({'compared': compared, 'faults': len(faults)}))
    for fault in faults[:40]:
        print('FAILED', fault)
    return 1 if faults or not compared else 0


if __name__ == '__main__':
    sys.exit(main())
