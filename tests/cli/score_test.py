"""kappascope score: every number again from the losses of `run`, or by the reference implementation."""
import csv
import json
import os
import pathlib
import pickle
import random
import re
import shutil
import signal
import unittest

import numpy as np

from comparison_test import intervals, sign_p
from harness import SOURCE, Case, files_under, main
from peer_python import has_torch, run_torch

MODEL = SOURCE / 'assets' / 'd4-kappa'
TOKENIZER = SOURCE / 'assets' / 'tokenizer' / 'tokenizer.pkl'
BUNDLE = SOURCE / 'tests' / 'cli' / 'core'
STEP = int(next(MODEL.glob('model_*.pt')).stem.split('_')[1])
CONTEXT = json.loads((MODEL / f'meta_{STEP:06d}.json').read_text())['model_config']['sequence_len']
REFERENCE = os.environ.get('KAPPASCOPE_REFERENCE')
TORCH = bool(REFERENCE) and has_torch()
# Of core.yaml: label, file, shots, delimiter, per cent by chance.
TASKS = [('endings', 'reading/endings.jsonl', 0, ' ', 25), ('endings_shown', 'reading/endings.jsonl', 10, '\nAnswer: ', 25),
         ('who', 'words/who.jsonl', 3, ' ', 50), ('next', 'words/next.jsonl', 4, ' ', 0)]


def examples_of(file):
    lines = (BUNDLE / 'eval_data' / file).read_text().split('\n')
    data = [json.loads(line) | {'line': number} for number, line in enumerate(lines, 1) if line.strip()]
    random.Random(1337).shuffle(data)
    return data


def shown(item, delimiter, option):
    if 'choices' in item:
        return item['query'] + delimiter + item['choices'][option]
    if 'context_options' in item:
        return item['context_options'][option] + delimiter + item['continuation']
    return item['context'].strip() + delimiter + item['continuation']


def same(lists):
    return next((i for i, ids in enumerate(zip(*lists)) if len(set(ids)) > 1), min(map(len, lists)))


class Prompts:
    """What the model is fed, in Python's own words."""

    def __init__(self):
        self.encoding = pickle.loads(TOKENIZER.read_bytes())

    def encode(self, text):
        return [self.encoding.encode_single_token('<|bos|>'), *self.encoding.encode_ordinary(text)]

    def of(self, data, index, shots, delimiter):
        """Ids of each option, and where its answer begins."""
        others = [i for i in range(len(data)) if i != index]
        drawn = random.Random(1234 + index).sample(others, shots)
        before = ''.join(shown(data[i], delimiter, data[i].get('gold', 0)) + '\n\n' for i in drawn)
        item = data[index]
        options = len(item.get('choices', item.get('context_options', [0])))
        ids = [self.encode(before + shown(item, delimiter, i)) for i in range(options)]
        if 'choices' in item:
            begins = [same(ids)] * options
        elif 'context_options' in item:
            begins = [len(one) - same([one[::-1] for one in ids]) for one in ids]
        else:
            begins = [len(self.encode((before + item['context'].strip() + delimiter).strip()))]
        cut = [max(0, len(one) - CONTEXT) for one in ids]
        return [(one[n:], begin - n) for one, begin, n in zip(ids, begins, cut)]


class Score(Case):
    def score(self, *words, model=MODEL, name='out', **options):
        """score.json, and the rows of score.csv by task."""
        out = self.folder / name
        self.run_program('score', model, *words, '-o', out, '-q', **options)
        self.assertEqual(files_under(out), ['score.csv', 'score.json'])
        with open(out / 'score.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        document = json.loads((out / 'score.json').read_text())
        return document, {task['task']: [row for row in rows if row['task'] == task['task']]
                          for task in document['tasks']}

    def losses_by_run(self, prompts, *words):
        """Of each of the prompts, [(ids, begin)]: mean loss of the answer, and whether it is the likeliest."""
        path, out = self.folder / 'ids.jsonl', self.folder / 'runs'
        path.write_text(''.join(json.dumps(ids) + '\n' for ids, _ in prompts))
        self.run_program('run', MODEL, '--ids', path, '-o', out, '-q', '--format', 'npz', *words)
        found = []
        for folder, (ids, begin) in zip(sorted(out.glob('[0-9]*')), prompts, strict=True):
            with np.load(folder / 'trace.npz') as trace:
                nll, likeliest = trace['nll'].astype(np.float64), trace['top_token_id'][:, 0]
            # nll[t] is of token t: what the token before it predicts.
            found.append((nll[begin:].mean(), list(likeliest[begin - 1:-1]) == ids[begin:]))
        shutil.rmtree(out)
        return found

    def check(self, task, document, rows, found):
        """`found`: of each example, of each option (mean loss, likeliest)."""
        label, file, shots, delimiter, chance = task
        data = examples_of(file)
        self.assertEqual([int(row['line']) for row in rows], [item['line'] for item in data])
        self.assertEqual([int(row['example']) for row in rows], list(range(len(data))))
        right = []
        for row, item, options in zip(rows, data, found, strict=True):
            for i, (loss, _) in enumerate(options):
                self.assertAlmostEqual(float(row[f'nll_{i}']), loss, delta=2e-5, msg=f'{label} {item}')
            if 'gold' in item:
                self.assertEqual(int(row['gold']), item['gold'])
                self.assertEqual(int(row['choice']), int(np.argmin([loss for loss, _ in options])))
                right.append(int(row['choice']) == item['gold'])
            else:
                self.assertEqual((row['gold'], row['choice']), ('', ''))
                right.append(options[0][1])
            self.assertEqual(row['right'] == 'true', right[-1], f'{label} {item}')
        of = next(one for one in document['tasks'] if one['task'] == label)
        self.assertEqual((of['shots'], of['delimiter'], of['random_baseline'], of['examples']),
                         (shots, delimiter, chance, len(data)))
        run = of['runs'][0]
        self.assertAlmostEqual(run['accuracy']['mean'], np.mean(right), places=12)
        self.assertAlmostEqual(run['centred_accuracy'], (np.mean(right) - chance / 100) / (1 - chance / 100), places=12)
        gold = [options[item.get('gold', 0)][0] for item, options in zip(data, found)]
        self.assertAlmostEqual(run['gold_nll'], np.mean(gold), delta=2e-5)
        return run['centred_accuracy']

    def test_losses_are_those_of_runs(self):
        document, rows = self.score('--tasks', BUNDLE, '--no-capacity')
        made, prompts, centred = Prompts(), [], []
        for _, file, shots, delimiter, _ in TASKS:
            data = examples_of(file)
            prompts.append([made.of(data, i, shots, delimiter) for i in range(len(data))])
        losses = iter(self.losses_by_run([one for task in prompts for example in task for one in example],
                                         '--no-capacity'))
        for task, examples in zip(TASKS, prompts):
            found = [[next(losses) for _ in example] for example in examples]
            centred.append(self.check(task, document, rows[task[0]], found))
        self.assertAlmostEqual(document['runs'][0]['centred_accuracy']['mean'], np.mean(centred), places=12)
        cropped = [any(len(ids) == CONTEXT for example in task for ids, _ in example) for task in prompts]
        self.assertIn(True, cropped)
        self.assertEqual([task['runs'][0]['cropped_examples'] > 0 for task in document['tasks']], cropped)

    def test_a_continuation_is_right_where_every_token_is_the_likeliest(self):
        """Continuations of two tokens that the model itself writes, and the same with another second token."""
        made, items = Prompts(), []
        for context in ('In the morning he went down', 'She said that he had', 'On the other side', 'It was one',
                        'They went out of', 'He was not able', 'There was nothing in', 'The boat went up and'):
            ids = made.encode(context)
            for _ in range(2):
                path, out = self.folder / 'ids.json', self.folder / 'run'
                path.write_text(json.dumps(ids))
                self.run_program('run', MODEL, '--ids', path, '-o', out, '-q', '--format', 'npz', '--figures', 'none',
                                 '--no-capacity')  # which counts over more than one example
                with np.load(out / 'trace.npz') as trace:
                    likely = trace['top_token_id'][-1]
                ids = [*ids, int(likely[0])]
                shutil.rmtree(out)
            for right, two in ((True, ids), (False, [*ids[:-1], int(likely[1])])):
                text = made.encoding.decode(two[1:])
                if text[len(context):].startswith(' ') and made.encode(text) == two:  # read as it was written
                    items.append((right, {'context': context, 'continuation': text[len(context) + 1:]}))
        self.assertEqual({right for right, _ in items}, {False, True})
        path = self.folder / 't.jsonl'
        path.write_text('\n'.join(json.dumps(item) for _, item in items))
        rows = self.score('--tasks', path, '--no-capacity')[1]['t']
        self.assertEqual([row['right'] == 'true' for row in sorted(rows, key=lambda row: int(row['line']))],
                         [right for right, _ in items])
        self.assertEqual({row['tokens_0'] for row in rows}, {'2'})

    def test_the_capacity_is_that_of_the_call(self):
        """One prompt an example: the call is that of run."""
        task = TASKS[3]
        file = BUNDLE / 'eval_data' / task[1]
        document, rows = self.score('--tasks', file, '--capacity', '0.6')
        made, data = Prompts(), examples_of(task[1])
        prompts = [made.of(data, i, task[2], task[3])[0] for i in range(len(data))]
        found = [[one] for one in self.losses_by_run(prompts, '--capacity', '0.6')]
        self.check(task, document, rows['next'], found)

    @unittest.skipIf(not TORCH, 'no KAPPASCOPE_REFERENCE, or no Python with Torch')
    def test_the_reference_answers_the_same(self):
        document, rows = self.score('--tasks', BUNDLE)
        found = run_torch(pathlib.Path(__file__).with_name('reference_scores.py'), REFERENCE, MODEL, STEP, TOKENIZER,
                          BUNDLE)
        for task, of in zip(json.loads(found.splitlines()[-1]), document['tasks'], strict=True):
            self.assertEqual(task['label'], of['task'])
            self.assertEqual(task['accuracy'], of['runs'][0]['accuracy']['mean'])
            for row, line, detail in zip(rows[of['task']], task['order'], task['details'], strict=True):
                self.assertEqual(int(row['line']), line)
                self.assertEqual(row['right'] == 'true', detail['is_correct'])
                if detail['choice_logps'] is None:
                    continue
                self.assertEqual(int(row['choice']), detail['pred_idx'])
                for i, value in enumerate(detail['choice_logps']):
                    self.assertAlmostEqual(float(row[f'nll_{i}']) * int(row[f'tokens_{i}']), -value, delta=2e-4)

    def test_differences_are_paired(self):
        document, rows = self.score('--tasks', BUNDLE, '--against', 'off', '--seed', 5)
        self.assertEqual([run['interventions'] for run in document['runs']], [[], ['kappa=off']])
        alone = self.score('--tasks', BUNDLE, '--kappa', 'off', name='alone')[0]
        resampled = []
        for t, task in enumerate(document['tasks']):
            self.assertEqual(task['runs'][1], alone['tasks'][t]['runs'][0] | {
                'accuracy': task['runs'][1]['accuracy']})  # another seed: other resamples
            of = rows[task['task']]
            right = np.array([[row['right' + side] == 'true' for side in ('', '_against')] for row in of], float)
            nll = np.array([[float(row[f'nll_{row["gold"] or 0}' + side]) for side in ('', '_against')] for row in of])
            self.assertGreater(np.abs(nll[:, 0] - nll[:, 1]).max(), 1e-3)
            for name, values in (('accuracy', right[:, 0] - right[:, 1]), ('gold_nll', nll[:, 0] - nll[:, 1])):
                found = task['difference'][name]
                self.assertAlmostEqual(found['mean'], values.mean(), places=12)
                low, high = intervals(values, np.ones(len(values)), document['resamples'], 5 + t)
                self.assertAlmostEqual(found['low'], low, places=10)
                self.assertAlmostEqual(found['high'], high, places=10)
                self.assertEqual(found['sign']['positive'], (values > 0).sum())
                self.assertEqual(found['sign']['zero'], (values == 0).sum())
                if np.any(values):
                    self.assertAlmostEqual(found['sign']['p'], sign_p(values), places=12)
            share = 1 - task['random_baseline'] / 100
            self.assertAlmostEqual(task['difference']['centred_accuracy'], (right[:, 0] - right[:, 1]).mean() / share,
                                   places=12)
            resampled.append((right[:, 0] - right[:, 1]).mean() / share)
        overall = document['difference']['centred_accuracy']
        self.assertAlmostEqual(overall['mean'], np.mean(resampled), places=12)
        self.assertLessEqual(overall['low'], overall['mean'])
        self.assertGreaterEqual(overall['high'], overall['mean'])

    def test_results_are_replaced_and_nothing_else_is(self):
        task = BUNDLE / 'eval_data' / 'words' / 'next.jsonl'
        before = self.score('--tasks', task)
        self.assertEqual(self.score('--tasks', task), before)
        compared, _ = self.score('--tasks', task, '--against', 'off')  # with other columns
        self.assertEqual(len(compared['runs']), 2)
        for name in ('score.json', 'score.csv'):
            path = self.folder / 'out' / name
            written = path.read_bytes()
            path.write_text('a letter\n')
            words = ['score', MODEL, '--tasks', task, '-o', self.folder / 'out']
            self.assertIn(name, self.run_program(*words, code=5)[1])
            self.assertEqual(path.read_text(), 'a letter\n')
            path.write_bytes(written)

    def test_two_models_side_by_side(self):
        other = SOURCE / 'assets' / 'd8-kappa'
        task = BUNDLE / 'eval_data' / 'words' / 'who.jsonl'
        document, rows = self.score('--tasks', task, '--against-model', other)
        alone, of = self.score('--tasks', task, model=other, name='alone')
        self.assertEqual([run['model'] for run in document['runs']], ['d4-kappa', 'd8-kappa'])
        self.assertEqual([row['nll_0_against'] for row in rows['who']], [row['nll_0'] for row in of['who']])

    def test_a_file_has_the_settings_of_its_bundle_or_those_given(self):
        path = BUNDLE / 'eval_data' / 'reading' / 'endings.jsonl'
        names = [task['task'] for task in self.score('--tasks', path)[0]['tasks']]
        self.assertEqual(names, ['endings', 'endings_shown'])
        own = self.folder / 'own.jsonl'
        shutil.copy(path, own)
        plain = self.score('--tasks', own, name='plain')[0]['tasks'][0]
        self.assertEqual((plain['task'], plain['task_type'], plain['shots'], plain['delimiter'], plain['random_baseline']),
                         ('own', 'multiple_choice', 0, ' ', 25))
        given, rows = self.score('--tasks', own, '--shots', 10, '--delimiter', r'\nAnswer: ', '--baseline', 10,
                                 '--max-examples', 11, name='given')
        task = given['tasks'][0]
        self.assertEqual((task['shots'], task['delimiter'], task['random_baseline'], task['examples']),
                         (10, '\nAnswer: ', 10, 11))
        self.assertEqual([int(row['line']) for row in rows['own']], [item['line'] for item in examples_of(TASKS[0][1])][:11])

    def test_what_is_printed(self):
        task = BUNDLE / 'eval_data' / 'words' / 'next.jsonl'
        words = ['score', MODEL, '--tasks', task, '--against', 'top-k=1']
        out, err = self.run_program(*words)
        self.assertIn(f'd4-kappa, step {STEP}\n', out)
        self.assertIn(f'less d4-kappa, step {STEP} (top-k=1)', out)
        self.assertIn('1 of 2: next, d4-kappa', err)
        self.assertIn('left', self.run_on_terminal(*words))
        document = json.loads(self.run_program(*words, '--json', '-q')[0])
        written = self.score(*words[2:])[0]
        del document['command'], written['command']
        self.assertEqual(document, written)

    def test_all_names_are_explained(self):
        self.score('--tasks', BUNDLE, '--against', 'off')
        known = set(self.run_program('metrics')[0].split('\n'))
        files = set(re.findall(r'`([^`]+)`', (SOURCE / 'docs' / 'files.md').read_text()))
        with open(self.folder / 'out' / 'score.csv', newline='', encoding='utf-8') as file:
            columns = {re.sub(r'_\d', '_0', name) for name in next(csv.reader(file))}
        self.assertEqual(columns - known, set())
        self.assertEqual(columns - files, set())

        def keys(value):
            if isinstance(value, list):
                return set().union(*map(keys, value)) if value else set()
            return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()
        found = keys(json.loads((self.folder / 'out' / 'score.json').read_text()))
        self.assertEqual(found - known, set())

    def test_refusals(self):
        def lines(*items, name='t.jsonl'):
            path = self.folder / name
            path.write_text('\n'.join(item if isinstance(item, str) else json.dumps(item) for item in items))
            return path
        good = {'query': 'a b', 'choices': ['c', 'd'], 'gold': 0}
        long = 'word and ' * CONTEXT
        for code, items, says in (
                (3, [good, '{"query"'], 't.jsonl:2: offset'),
                (3, [good, '{"a": 1, "a": 2}'], 't.jsonl:2: offset'),
                (3, ['', '[]'], 't.jsonl:2: expected a JSON object'),
                (3, [''], 't.jsonl: expected a JSON object a line'),
                (3, [good, {'query': 'a', 'choices': ['b', 'c']}], 't.jsonl:2: expected a key "gold"'),
                (3, [good | {'gold': 2}], 't.jsonl:1: "gold": expected 0 to 1, found 2'),
                (3, [good | {'gold': -1}], 't.jsonl:1: "gold"'),
                (3, [good | {'choices': []}], 't.jsonl:1: "choices"'),
                (3, [good | {'choices': ['a', 7]}], 't.jsonl:1: "choices": expected a text, found 7'),
                (4, [{'question': 'a'}], 't.jsonl:1: the keys are of no task'),
                (4, [good | {'choices': ['c', 'c']}], 't.jsonl:1: option 0'),
                (4, [good | {'choices': ['c']}], 'one option alone'),
                (4, [good | {'choices': [long, 'c']}], f'expected at most {CONTEXT} in all'),
                (4, [{'context_options': ['a', 'a'], 'continuation': 'b', 'gold': 0}], 't.jsonl:1: option 0')):
            with self.subTest(items=items):
                path = lines(*items)
                self.assert_refused(code, 'score', MODEL, '--tasks', path, '-o', self.folder / 'out', says=says)
        path = lines(good, good)
        base = ['score', MODEL, '-o', self.folder / 'out', '--tasks']
        empty = lines(good, good | {'choices': ['c', '']}, name='empty.jsonl')
        for code, words, says in (
                (2, ['score', '--tasks', path], 'MODEL is required'),
                (2, ['score', MODEL], '--tasks'),
                (2, [*base, path, path], "a second task of the name 't'"),
                (2, [*base, path, '--against', 'none'], '--against: both runs'),
                (2, [*base, path, '--route', '3:0:1'], '--routes, --route and --patch'),
                (2, [*base, path, '--baseline', '100'], '--baseline'),
                (2, [*base, path, '--shots', '-1'], '--shots'),
                (4, [*base, path, '--shots', '2'], 'expected at least 3 examples, found 2'),
                (4, [*base, path, '--ablate', '9:0'], 'layer 9'),
                (4, [*base, empty, '--delimiter', ''], 'empty.jsonl:2: option 1 has no token of its own'),
                (5, [*base, self.folder / 'none.jsonl'], 'none.jsonl'),
                (5, [*base, BUNDLE / 'eval_data'], 'core.yaml'),
                (3, [*base, lines('icl_tasks:', '- label: a', name='core.yaml')], 'core.yaml:2: a task without')):
            with self.subTest(words=words):
                self.assert_refused(code, *words, says=says)

    def test_an_option_that_the_others_begin_with(self):
        path = self.folder / 't.jsonl'
        path.write_text('\n'.join(json.dumps({'query': 'They saw the', 'choices': choices, 'gold': 1})
                                  for choices in (['boat', 'boat house'], ['boat', 'sea'])))
        document, rows = self.score('--tasks', path)
        run = document['tasks'][0]['runs'][0]
        self.assertEqual(run['unknown_examples'], 1)
        unknown, known = sorted(rows['t'], key=lambda row: row['line'])
        self.assertEqual([unknown[name] for name in ('choice', 'right', 'nll_0', 'tokens_0')], ['', '', '', '0'])
        self.assertEqual(run['accuracy']['mean'], known['right'] == 'true')
        self.assertIn('1 of 2 examples have an option', self.run_program('score', MODEL, '--tasks', path)[1])

    def test_a_kind_of_task_that_is_not_known(self):
        bundle = self.folder / 'bundle'
        shutil.copytree(BUNDLE, bundle)
        table = bundle / 'core.yaml'
        table.write_text(table.read_text().replace('icl_task_type: schema', 'icl_task_type: question_answering'))
        self.assert_refused(4, 'score', MODEL, '--tasks', bundle, says=['core.yaml:15', 'question_answering'])
        self.score('--tasks', bundle / 'eval_data' / 'words' / 'next.jsonl')

    def test_a_bundle_without_a_baseline(self):
        bundle = self.folder / 'bundle'
        shutil.copytree(BUNDLE, bundle)
        table = bundle / 'eval_meta_data.csv'
        table.write_text(table.read_text().replace('\nnext,', '\nother,'))
        self.assert_refused(3, 'score', MODEL, '--tasks', bundle, says=['eval_meta_data.csv', "task 'next'", '--baseline'])
        table.unlink()
        document, _ = self.score('--tasks', bundle)
        self.assertEqual([task['random_baseline'] for task in document['tasks']], [25, 25, 50, 0])

    def test_an_interrupt_leaves_nothing(self):
        path, out = self.folder / 't.jsonl', self.folder / 'made' / 'out'
        item = {'context': 'The tide came in and went out again. ' * 12, 'continuation': 'The tide'}
        path.write_text((json.dumps(item) + '\n') * 2000)
        process = self.start('score', MODEL, '--tasks', path, '-o', out)
        self.wait_for(lambda: out.exists())
        process.send_signal(signal.SIGINT)
        shown, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, shown), (130, b''), err)
        self.assertEqual(err.count(b'\n'), 1, err)
        self.assertFalse((self.folder / 'made').exists())


if __name__ == '__main__':
    main()
