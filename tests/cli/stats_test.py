"""kappascope stats: equal to the traces of its documents, never lost, the same on any number of ranks."""
import csv
import json
import signal
import time

import numpy as np

from corpus_contexts import ContextChecks
from corpus_numbers import ROUNDING, NumberChecks
from harness import MODEL, PROGRAM, Case, free_port, main
from peer_python import has_torch, run_torch
from stats_corpus import CorpusMaker


class Stats(CorpusMaker, ContextChecks, NumberChecks, Case):
    def arrays(self, out):
        with np.load(out / 'stats.npz', allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def traces(self, documents):
        traces = []
        for i, text in enumerate(documents):
            (self.folder / f'{i:03}.txt').write_text(text)
        files = [word for i in range(len(documents)) for word in ('-f', self.folder / f'{i:03}.txt')]
        self.run_program('run', MODEL, *files, '--no-capacity', '--figures', 'none', '--format', 'npz',
                         '-o', self.folder / 'traces')
        for path in sorted((self.folder / 'traces').glob('*/trace.npz')):
            with np.load(path, allow_pickle=False) as file:
                traces.append({name: file[name] for name in file.files})
        self.assertEqual(len(traces), len(documents))
        return traces

    def test_a_corpus_is_the_traces_of_its_documents_added_up(self):
        documents = self.documents(30)
        out, _ = self.stats(self.corpus(documents), 'out', '--no-capacity', '--domain-field', 'kind')
        ours, traces = self.arrays(out), self.traces(documents)
        rows, experts = ours['assigned'].shape
        self.assertEqual(ours['documents'], len(documents))
        self.assertEqual(ours['tokens'], sum(len(trace['token_id']) for trace in traces))
        self.assertEqual(ours['bytes'], sum(len(text.encode()) for text in documents))
        nll = np.concatenate([trace['nll'] for trace in traces]).astype(float)
        self.assertEqual(ours['nll_count'], np.isfinite(nll).sum())
        np.testing.assert_allclose(ours['nll_sum'], np.nansum(nll), **ROUNDING)
        summary = json.loads((out / 'stats.json').read_text())
        np.testing.assert_allclose(summary['bits_per_byte'],
                                   np.nansum(nll) / np.log(2) / ours['bytes_counted'], **ROUNDING)
        self.assertLess(summary['nll_interval']['low'], np.nanmean(nll))
        self.assertGreater(summary['nll_interval']['high'], np.nanmean(nll))
        for row in range(rows):
            self.check_row(row, experts, ours, traces)
        self.check_kappa(out, ours, traces)
        self.check_pairs(ours, traces)
        self.check_domains(ours, traces)
        self.check_contexts(ours, traces)

    def check_row(self, row, experts, ours, traces):
        chosen = [trace['expert_index'][row] for trace in traces]
        every = np.concatenate([c.ravel() for c in chosen])
        np.testing.assert_array_equal(ours['assigned'][row], np.bincount(every, minlength=experts))
        first = np.concatenate([c[:, 0] for c in chosen])
        np.testing.assert_array_equal(ours['first_choice'][row], np.bincount(first, minlength=experts))
        together = np.zeros((experts, experts), int)
        for c in chosen:
            for token in c:
                together[np.ix_(token, token)] += 1
        np.testing.assert_array_equal(ours['coactivation'][row], together)
        weight = np.concatenate([trace['expert_weight'][row].ravel() for trace in traces]).astype(float)
        norm = np.concatenate([trace['expert_output_norm'][row].ravel() for trace in traces]).astype(float)
        np.testing.assert_allclose(ours['gate_mass_sum'][row], np.bincount(every, weight, experts), **ROUNDING)
        np.testing.assert_allclose(ours['saliency_sum'][row], np.bincount(every, weight * norm, experts), **ROUNDING)
        for name in [name[:-4] for name in ours if name.endswith('_sum') and name[:-4] in traces[0]]:
            if ours[f'{name}_sum'].shape != (len(ours['assigned']),):
                continue
            values = np.concatenate([trace[name][row].ravel() for trace in traces]).astype(float)
            values = values[np.isfinite(values)]
            self.assertEqual(ours[f'{name}_count'][row], values.size, name)
            np.testing.assert_allclose(ours[f'{name}_sum'][row] / values.size, values.mean(), err_msg=name,
                                       **ROUNDING)
            np.testing.assert_allclose(ours[f'{name}_sum_square'][row] / values.size, (values ** 2).mean(),
                                       err_msg=name, rtol=4e-4, atol=4e-4)
            np.testing.assert_allclose(ours[f'{name}_quantiles'][row],
                                       np.quantile(values, [.05, .25, .5, .75, .95]), err_msg=name, **ROUNDING)
        # A value at the edge of a bin may fall on either side.
        for name in ('kappa_hist', 'gate_pre_hist'):
            counted = sum(trace[name][row] for trace in traces)
            self.assertEqual(ours[name][row].sum(), counted.sum())
            self.assertLess(np.abs(ours[name][row] - counted).sum(), 1e-4 * counted.sum(), name)
        count = sum(trace['effect_count'][row] for trace in traces)
        np.testing.assert_array_equal(ours['effect_count'][row], count)
        sums = sum(np.nan_to_num(trace['effect_mean'][row]) * trace['effect_count'][row] for trace in traces)
        np.testing.assert_allclose(ours['effect_mean'][row], sums / count, rtol=1e-4, atol=1e-6)

    def check_pairs(self, ours, traces):
        experts = ours['assigned'].shape[1]
        for row in range(1, len(ours['transition'])):
            counted = np.zeros((experts, experts), int)
            for trace in traces:
                np.add.at(counted, (trace['expert_index'][row - 1][:, 0], trace['expert_index'][row][:, 0]), 1)
            np.testing.assert_array_equal(ours['transition'][row], counted)
        self.assertEqual(ours['transition'][0].sum(), 0)
        for row in range(len(ours['neighbours'])):
            shares = [len(set(a) & set(b)) / len(a) for trace in traces
                      for a, b in zip(trace['expert_index'][row][:-1], trace['expert_index'][row][1:])]
            self.assertEqual(ours['neighbours'][row], len(shares))
            np.testing.assert_allclose(ours['neighbour_share_sum'][row], sum(shares))

    def check_domains(self, ours, traces):
        self.assertEqual(list(ours['domain_names']), ['kind0', 'kind1', 'kind2'])
        experts = ours['assigned'].shape[1]
        for domain in range(3):
            for row in range(len(ours['assigned'])):
                chosen = np.concatenate([trace['expert_index'][row].ravel() for trace in traces[domain::3]])
                np.testing.assert_array_equal(ours['domain_assigned'][row, :, domain],
                                              np.bincount(chosen, minlength=experts))
        tokens = {}
        for trace in traces:
            for token, chosen in zip(trace['token_id'], trace['expert_index'][0]):
                for expert in chosen:
                    tokens[int(expert), int(token)] = tokens.get((int(expert), int(token)), 0) + 1
        for expert in range(experts):
            most = sorted(((n, -t) for (e, t), n in tokens.items() if e == expert), reverse=True)[:16]
            self.assertEqual(list(ours['top_token_count'][0, expert][:len(most)]), [n for n, _ in most])
            self.assertEqual(list(ours['top_token_id'][0, expert][:len(most)]), [-t for _, t in most])

    def test_documents_longer_than_a_call(self):
        text = ''.join(self.documents(12))
        corpus = self.corpus([text])
        cut, _ = self.stats(corpus, 'cut', '--call-tokens', 64)
        window, _ = self.stats(corpus, 'window', '--call-tokens', 64, '--window')
        cut, window = self.arrays(cut), self.arrays(window)
        for ours in (cut, window):
            self.assertEqual(ours['nll_count'], ours['tokens'] - 1)  # all but the first
            self.assertEqual(ours['documents'], 1)
            self.check_contexts_of_one(text, ours)
        self.assertEqual(cut['tokens'], window['tokens'])
        self.assertEqual(cut['calls'], -(-cut['tokens'] // 64))
        (self.folder / 'long.txt').write_text(text)
        self.run_program('run', MODEL, '-f', self.folder / 'long.txt', '--window', '--threads', 1, '--figures', 'none',
                         '-o', self.folder / 'run')
        trace = json.loads((self.folder / 'run' / 'summary.json').read_text())
        out, _ = self.stats(corpus, 'as-run', '--window')
        ours = json.loads((out / 'stats.json').read_text())
        self.assertEqual((ours['tokens'], ours['nll_tokens']), (trace['tokens'], trace['nll_tokens']))
        for name in ('nll_mean', 'bits_per_byte'):
            np.testing.assert_allclose(ours[name], trace[name], rtol=1e-12)
        for one, other in zip(ours['layers'], trace['layers']):
            for name in ('load', 'gate_mass', 'drop_rate', 'confidence', 'margin', 'gate_kz_rms', 'hot_set', 'saliency'):
                np.testing.assert_allclose(one[name], other[name], rtol=1e-9, err_msg=name)

    def test_a_result_is_made_anew_in_its_folder(self):
        corpus = self.corpus(self.documents(5))
        first = (self.stats(corpus, 'out')[0] / 'stats.csv').read_bytes()
        out, _ = self.stats(self.corpus(self.documents(4)), 'out')
        self.assertNotEqual((out / 'stats.csv').read_bytes(), first)
        self.run_program('merge', out, '-o', out)

    def test_a_corpus_without_a_document_is_opened_all_the_same(self):
        out, (text, _) = self.stats(self.corpus([]), 'out')
        self.assertIn('0 documents', text)
        self.run_program('plot', out, '-o', self.folder / 'pictures')
        self.run_program('report', out, '-o', self.folder / 'page.html')

    def test_limits_and_samples(self):
        corpus = self.corpus(self.documents(100, longest=150))
        tokens, _ = self.stats(corpus, 'tokens', '--tokens', 1000)
        self.assertEqual(self.arrays(tokens)['tokens'], 1000)
        few, _ = self.stats(corpus, 'few', '--documents', 7)
        self.assertEqual(self.arrays(few)['documents'], 7)
        a, _ = self.stats(corpus, 'a', '--sample', '3:0.2')
        b, _ = self.stats(corpus, 'b', '--sample', '3:0.2')
        self.assertEqual((a / 'stats.csv').read_bytes(), (b / 'stats.csv').read_bytes())
        self.assertTrue(5 <= self.arrays(a)['documents'] <= 45)

    def test_a_document_that_fails_is_counted_named_and_skipped(self):
        corpus = self.corpus(self.documents(5))
        with corpus.open('ab') as file:
            file.write(b'{"text": 3}\n{"text": "good"}\n{"te')
        out, (_, err) = self.stats(corpus, 'out', code=8)
        ours = self.arrays(out)
        self.assertEqual((ours['documents'], ours['failed_documents']), (6, 2))
        failures = json.loads((out / 'stats.json').read_text())['corpus']['failures']
        self.assertIn('corpus.jsonl:6', failures[0])
        self.assertIn('corpus.jsonl:8', failures[1])
        self.assertIn(failures[1], err)

    def test_what_cannot_be_read_or_is_of_another_run_is_refused(self):
        corpus = self.corpus(self.documents(3))
        out = self.folder / 'out'
        self.assert_refused(5, 'stats', MODEL, '--corpus', self.folder / 'none.jsonl', '-o', out, says='none.jsonl')
        self.assert_refused(2, 'stats', MODEL, '--corpus', corpus, '-o', out, '--sample', '1:2', says='--sample')
        self.assert_refused(2, 'stats', MODEL, '--corpus', corpus, '-o', out, '--call-tokens', 100000,
                            says='sequence_len')
        out.mkdir()
        (out / 'stats.state').write_bytes(b'something else')
        for words, code, says in (([], 5, '--resume'), (['--resume'], 3, 'stats.state')):
            _, err = self.run_program('stats', MODEL, '--corpus', corpus, '-o', out, *words, code=code)
            self.assertIn(says, err)
        (out / 'stats.state').write_bytes(b'kappascope.stats-state/2\nmore')
        _, err = self.run_program('stats', MODEL, '--corpus', corpus, '-o', out, '--resume', code=4)
        self.assertIn('another version', err)
        self.run_program('stats', MODEL, '--corpus', corpus, '-o', out, '--force')
        self.assertFalse((out / 'stats.state').exists())
        arrays = self.arrays(out)
        arrays['totals'][1] -= 1  # its low half is the version
        np.savez(out / 'stats.npz', **arrays)
        _, err = self.run_program('plot', out, '-o', self.folder / 'pictures', code=4)
        self.assertIn('another version', err)

    def test_ranks_share_a_corpus_and_give_what_one_gives(self):
        corpus = self.corpus(self.documents(200, longest=150))
        one = self.arrays(self.stats(corpus, 'one')[0])
        for size in (2, 4):
            out = self.folder / f'ranks{size}'
            words = ('stats', MODEL, '--corpus', corpus, '-o', out, '--threads', 1)
            if size == 2 and has_torch():
                run_torch('-m', 'torch.distributed.run', '--no-python', '--nproc-per-node', size, '--master-port',
                          free_port(), PROGRAM, *words)
            else:
                self.run_ranks(size, *words)
            ours = self.arrays(out)
            error = json.loads(str(ours['kappascope_meta']))['quantile_error']
            self.assertEqual(one.keys(), ours.keys())
            for name in one.keys() - {'kappascope_meta', 'totals'}:
                if one[name].dtype.kind in 'iU':
                    np.testing.assert_array_equal(one[name], ours[name], name)
                elif not name.endswith('_quantiles') or error == 0:
                    np.testing.assert_allclose(ours[name], one[name], rtol=1e-12, atol=0, err_msg=name)

    def test_parts_merge_to_the_whole(self):
        documents = self.documents(128, longest=150)
        whole = self.arrays(self.stats(self.corpus(documents), 'whole')[0])
        parts = [self.stats(self.corpus(documents[at:at + 64], f'{at}.jsonl'), f'part{at}')[0] for at in (0, 64)]
        out = self.folder / 'merged'
        self.run_program('merge', *parts, '-o', out)
        ours = self.arrays(out)
        for name in whole.keys() - {'kappascope_meta', 'totals'}:
            if name.startswith(('bootstrap', 'context')):
                continue  # documents have other names
            if whole[name].dtype.kind in 'iU':
                np.testing.assert_array_equal(whole[name], ours[name], name)
            elif not name.endswith('_quantiles'):
                np.testing.assert_allclose(ours[name], whole[name], rtol=1e-12, atol=0, err_msg=name)
        self.check_merged_contexts(ours, [self.arrays(part) for part in parts])
        self.assertEqual(len(json.loads((out / 'stats.json').read_text())['corpus']['files']), 2)
        other = self.stats(self.corpus(documents[:3]), 'other', '--kappa', 'off')[0]
        _, err = self.run_program('merge', parts[0], other, '-o', self.folder / 'no', code=4)
        self.assertIn('interventions', err)

    def test_fields_inside_objects_and_documents_without_a_domain(self):
        corpus = self.folder / 'nested.jsonl'
        corpus.write_text(''.join(json.dumps({'doc': {'text': text}, 'metadata': {'source': f's{i % 2}'}}) + '\n'
                                  for i, text in enumerate(self.documents(6))))
        words = ('--text-field', 'doc.text', '--domain-field')
        out, (_, err) = self.stats(corpus, 'out', *words, 'metadata.source')
        ours = self.arrays(out)
        self.assertEqual((ours['documents'], list(ours['domain_names'])), (6, ['s0', 's1']))
        self.assertEqual(err, '')
        out, (_, err) = self.stats(corpus, 'none', *words, 'metadata.sauce')
        self.assertNotIn('domain_names', self.arrays(out))
        self.assertEqual(err.count('metadata.sauce'), 1)
        self.assertEqual(len(err.splitlines()), 1)

    def test_an_interrupted_run_says_how_it_goes_on(self):
        out = self.folder / 'out'
        process = self.start('stats', MODEL, '--corpus', self.corpus(self.documents(2000)), '-o', out, '--threads', 1)
        self.wait_for(lambda: (out / 'stats.state').exists())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn('--resume goes on', err if isinstance(err, str) else err.decode())

    def test_a_rank_that_dies_ends_the_run_and_it_goes_on(self):
        corpus = self.corpus(self.documents(300))
        out = self.folder / 'out'
        words = ('stats', MODEL, '--corpus', corpus, '-o', out, '--threads', 1)
        processes = self.start_ranks(2, *words)
        self.wait_for(lambda: any(out.glob('*.state')))
        time.sleep(0.3)
        processes[1].kill()
        codes, said = self.finish(processes)
        self.assertEqual(codes[0], 5, said)
        self.assertIn('rank 1', said[0])
        self.run_ranks(2, *words, '--resume')
        self.assertEqual(self.arrays(out)['documents'], 300)

    def test_a_result_is_drawn_and_what_needs_tokens_says_so(self):
        out, _ = self.stats(self.corpus(self.documents(20)), 'out', '--domain-field', 'kind')
        pictures = self.folder / 'pictures'
        self.run_program('plot', out, '-o', pictures, '--figure-format', 'svg,csv')
        names = {path.stem for path in pictures.rglob('*.svg')}
        self.assertLessEqual({'expert-load', 'expert-coactivation', 'expert-domains', 'expert-tokens', 'kappa-depth',
                              'kappa-experts', 'kappa-parameters', 'effect', 'gate-saturation', 'expert-budget', 'silu-kappa'},
                             names)
        self.assertNotIn('loss', names)
        self.check_drawn(self.arrays(out), pictures)
        _, err = self.run_program('plot', out, '-o', pictures, '--figures', 'loss', code=2)
        self.assertIn('which keeps sums over tokens', err)
        page = self.folder / 'page.html'
        self.run_program('report', out, '-o', page)
        self.assertIn('20 documents', page.read_text())
        for path in pictures.rglob('*.svg'):
            self.assertIn('20 documents', path.read_text())
            self.assertNotIn('nan', path.read_text().lower().replace('nano', ''))

    def check_drawn(self, ours, pictures):
        def rows_of(name):
            with open(pictures / f'{name}.csv', newline='') as file:
                return list(csv.DictReader(file))

        domains = rows_of('expert-domains')
        layer = int(domains[0]['layer'])
        counted = ours['domain_assigned'][list(ours['layer_index']).index(layer)].T.astype(float)  # [D,E]
        chance = np.outer(counted.sum(1), counted.sum(0)) / counted.sum()
        self.assertEqual([int(row['assignments']) for row in domains], counted.ravel().tolist())
        for column, expected in (('assignments_expected', chance), ('domain_over_corpus', counted / chance),
                                 ('share_of_expert', counted / counted.sum(0)),
                                 ('share_of_corpus', np.repeat(counted.sum(1) / counted.sum(), counted.shape[1]))):
            np.testing.assert_allclose([float(row[column]) for row in domains], expected.ravel(), rtol=1e-12)
        tokens = rows_of('expert-tokens')
        row = list(ours['layer_index']).index(int(tokens[0]['layer']))
        kept = ours['top_token_id'][row] >= 0
        for column, name in (('token_id', 'top_token_id'), ('assignments', 'top_token_count')):
            self.assertEqual([int(token[column]) for token in tokens], ours[name][row][kept].tolist())
        shares = (ours['top_token_count'][row] / ours['assigned'][row][:, None])[kept]
        np.testing.assert_allclose([float(token['share_of_expert']) for token in tokens], shares, rtol=1e-12)


main()
