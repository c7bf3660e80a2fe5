"""`kappascope report`: a page that is complete, cannot be broken out of, and says what the files say."""
import base64
import collections
import hashlib
import html.parser
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np

from harness import SOURCE, STAGING, Case, files_under, main

sys.path.append(str(SOURCE / 'tests' / 'figures'))
from runs import DEMO, make_run  # noqa: E402

VOID = {'meta', 'wbr', 'br', 'link', 'img', 'input', 'hr'}
HOSTILE = '</script><img src=x onerror=alert(1)>\'"]]>\x01\u202e'


class Page(html.parser.HTMLParser):
    """The elements of a page: balanced or not, ids, references, cells of tables by caption."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.faults = text, [], []
        self.ids, self.references, self.names = collections.Counter(), [], collections.Counter()
        self.tables, self.headings, self.words = {}, [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.names[tag] += 1
        if len(found) != len(attributes):
            self.faults.append(f'{tag}: an attribute twice')
        if 'id' in found:
            self.ids[found['id']] += 1
        self.references += [value for name, value in attributes if name in ('src', 'href', 'xlink:href', 'action')]
        self.references += ['#' + name for value in found.values() for name in re.findall(r'url\(#([^)]*)\)', value or '')]
        self.faults += [f'{tag}: {name}' for name in found if name.startswith('on')]
        if tag in ('h1', 'h2', 'h3', 'h4'):
            self.headings.append(int(tag[1]))
        if tag == 'table':
            self.rows = []
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th') and 'data-name' in found:
            self.rows[-1].append(found['data-name'])
        elif tag in ('td', 'th'):
            self.rows[-1].append(float(found['data-v']) if 'data-v' in found else None)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == 'caption':
            self.caption = data

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f'</{tag}> at {self.getpos()}')
        if tag == 'table':
            self.tables.setdefault(self.caption, self.rows)

    def column(self, caption, name):
        head, *rows = self.tables[caption]
        return [row[head.index(name)] for row in rows]


class ReportCase(Case):
    def report(self, *words, name='report.html', **options):
        out = self.folder / name
        self.run_program('report', *words, '-o', out, '-q', **options)
        self.assertFalse((self.folder / STAGING).exists())
        return Page(out.read_text(encoding='utf-8'))

    def check(self, page):
        self.assertEqual((page.faults, page.open), ([], []))
        self.assertEqual([name for name, times in page.ids.items() if times > 1], [])
        for reference in page.references:
            self.assertRegex(reference, r'^(#|data:image/png;base64,)')
            if reference.startswith('#'):
                self.assertIn(reference[1:], page.ids)
        self.assertNotRegex(page.text, r'https?://|@import|url\((?!#)')
        [script] = re.findall(r'<script>(.*?)</script>', page.text, re.S)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page.text)
        self.assertIn(f"script-src 'sha256-{digest}';", policy)
        self.assertTrue(policy.startswith("default-src 'none';"), policy)
        self.assertTrue(page.text.startswith('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'))
        self.assertEqual(page.names['title'], 1)
        self.assertEqual(page.headings[0], 1)
        self.assertEqual(page.headings.count(1), 1)
        for before, after in zip(page.headings, page.headings[1:]):
            self.assertLessEqual(after, before + 1)


class TraceTest(ReportCase):
    def test_of_a_trace(self):
        page = self.report(DEMO)
        self.check(page)
        trace = np.load(DEMO / 'trace.npz')
        meta = json.loads(str(trace['kappascope_meta']))
        words = ' '.join(page.words)
        for fact in (meta['command'], meta['config_sha256'], meta['torch_version'], 'kappa-swiglu', '3,600'):
            self.assertIn(fact, words)
        self.assertEqual(page.column('Load and capacity', 'layer'), list(trace['layer_index']))
        load = [np.bincount(row[row >= 0], minlength=8) for row in trace['expert_index']]
        np.testing.assert_allclose(page.column('Load and capacity', 'load_cv'), [n.std() / n.mean() for n in load])
        np.testing.assert_allclose(page.column('Experts', 'load'), np.concatenate([n / n.sum() for n in load]))
        self.assertEqual(page.names['svg'], page.names['figure'])
        self.assertGreater(page.names['svg'], 20)
        self.assertIn('nothing to show: the model has no soft routing', page.words)
        self.assertIn('compares traces; expected a second one', page.words)
        self.assertIn('metric-load_cv', page.ids)
        self.assertRegex(words, r'The first 200 of \d[\d,]* rows')
        self.assertLess(len(page.text), 3_000_000)
        units = {name: re.search(rf'data-name="{name}".*?<span class="unit">([^<]*)', page.text)[1]
                 for name in ('kappa_from', 'z_from', 'expected', 'effect_count', 'effect_positive')}
        self.assertEqual(units, {'kappa_from': 'κ, &gt; 0', 'z_from': 'as z, −8 … 8', 'expected': 'count, ≥ 0',
                                 'effect_count': 'count, ≥ 0', 'effect_positive': 'share, 0…1'})

    def test_choices(self):
        page = self.report(DEMO, '--figures', 'router-probability,kappa-tokens', '--layer', '3', '--title', 'A <title>')
        self.check(page)
        self.assertEqual(page.names['svg'], 2)
        self.assertIn('A <title>', page.words)
        self.assertIn('of-router-probability-layer3', page.ids)
        page = self.report(DEMO, '--figures', 'none', '--no-metadata')
        self.check(page)
        self.assertEqual(page.names['svg'], 0)
        self.assertNotIn('assets/d8-kappa', page.text)

    def test_the_same_bytes_again(self):
        first = self.report(DEMO)
        self.assertEqual(self.report(DEMO / 'trace.npz', name='again.htm').text, first.text)

    def test_hostile_words(self):
        def change(arrays):
            arrays['token_text'] = np.array([HOSTILE] * len(arrays['token_text']))
        run = make_run(self.folder / 'run', HOSTILE, change, command=HOSTILE, interventions=[HOSTILE], device=HOSTILE,
                       document={'source': HOSTILE, 'index': 0, 'sha256': HOSTILE})
        other = make_run(self.folder / 'other', HOSTILE + '2', change, document={'source': HOSTILE, 'sha256': HOSTILE})
        for words in ((run,), (run, other), (run, '--title', HOSTILE)):
            page = self.report(*words)
            self.check(page)
            self.assertEqual((page.names['img'], page.names['script']), (0, 1))
            self.assertNotIn('\x01', page.text)
            self.assertNotIn('\u202e', page.text)


class SeveralTest(ReportCase):
    def test_comparison(self):
        def change(arrays):
            arrays['nll'] = arrays['nll'] + np.float32(0.5)
        other = make_run(self.folder / 'other', 'other', change)
        page = self.report(DEMO, other)
        self.check(page)
        self.run_program('compare', DEMO, other, '-o', self.folder / 'compared', '-q', '--figures', 'none')
        found = json.loads((self.folder / 'compared' / 'compare.json').read_text())
        self.assertEqual(page.column('Runs', 'nll_mean'), [run['nll_mean'] for run in found['runs']])
        self.assertEqual(page.column('Differences of the whole run', 'difference')[0],
                         found['differences'][0]['nll']['mean'])
        self.assertIn('of-kappa-depth', page.ids)
        self.assertIn('Numbers behind it, other', page.tables)
        self.assertIn('of-routing-change', page.ids)
        self.assertNotIn('of-router-margin', page.ids)  # of one trace each
        maps = [name for name in page.ids if name.startswith('of-') and name.endswith('-difference')]
        self.assertEqual(len(maps), 3)
        page = self.report(DEMO, other, '--figures', 'kappa-tokens')  # of one trace: a figure each
        self.check(page)
        self.assertEqual([name for name in page.ids if name.startswith('of-')], ['of-kappa-tokens', 'of-kappa-tokens-2'])

    def test_sweep(self):
        sweep = self.folder / 'sweep'
        self.run_program('ablate', SOURCE / 'assets' / 'd4-kappa', '-p', 'The tide came in.', '--layers', '3', '-o', sweep,
                         '-q', '--figures', 'none')
        found = json.loads((sweep / 'ablation.json').read_text())
        page = self.report(sweep, '--figures', 'expert-importance')
        self.check(page)
        table = 'What the text loses without each expert'
        self.assertIn('metric-rank', page.ids)
        for name in ('delta_nll', 'expert', 'kept'):
            self.assertEqual(page.column(table, name), [expert[name] for expert in found['experts']])
        found['settings']['tensor_directory_sha256'] = '0'
        (sweep / 'ablation.json').write_text(json.dumps(found))
        self.assert_refused(3, 'report', sweep, '-o', self.folder / 'other.html', says='another model')
        (sweep / 'ablation.json').write_text('{')
        self.assert_refused(3, 'report', sweep, '-o', self.folder / 'other.html')
        (sweep / 'trace.npz').unlink()
        self.assert_refused(2, 'report', sweep, '-o', self.folder / 'other.html', says='--resume')


class FilesTest(ReportCase):
    def test_refusals(self):
        page = self.folder / 'page.html'
        self.assert_refused(2, 'report', DEMO, '-o', self.folder / 'page.npz', says='.html')
        self.assert_refused(5, 'report', self.folder / 'nothing', '-o', page)
        self.assert_refused(2, 'report', SOURCE / 'tests' / 'figures' / 'demo-training', '-o', page, says='kappascope plot')
        self.assert_refused(2, 'report', DEMO, '-o', page, '--figures', 'x')
        self.assert_refused(2, 'report', DEMO, '-o', page, '--figure-format', 'png')
        self.assertEqual(files_under(self.folder), [])
        page.write_text('<p>mine</p>')
        self.assert_refused(5, 'report', DEMO, '-o', page, says='--force')
        self.assertEqual(page.read_text(), '<p>mine</p>')
        self.run_program('report', DEMO, '-o', page, '-q', '--force', '--figures', 'none')
        out, _ = self.run_program('report', DEMO, '-o', page, '--figures', 'none')  # in the place of its own
        self.assertEqual(out, f'{page}\n')
        self.run_program('report', DEMO, '-o', 'here.html', '-q', '--figures', 'none', cwd=self.folder)
        self.assertEqual((self.folder / 'here.html').read_bytes(), page.read_bytes())


class InterruptTest(ReportCase):
    def test_nothing_half_written(self):
        out = self.folder / 'new' / 'report.html'
        process = self.start('report', DEMO, DEMO, DEMO, '-o', out, '--figures', 'all')
        self.wait_for(lambda: out.parent.exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, 130))  # it may have been done already
        self.assertEqual(files_under(self.folder), [] if process.returncode else ['new/report.html'])


class BrowserTest(ReportCase):
    def dom(self, page, *words):
        done = subprocess.run(
            ['chromium', '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={self.folder}/profile',
             '--enable-logging=stderr', *words, '--dump-dom', page.as_uri()], capture_output=True, text=True, timeout=120)
        self.assertEqual(re.findall(r'.*(?:Refused|violates|Uncaught).*', done.stderr), [])
        return done.stdout

    def test_the_script_runs(self):
        if not shutil.which('chromium'):
            self.skipTest('no chromium here')
        self.report(DEMO, '--figures', 'kappa-depth')
        dom = self.dom(self.folder / 'report.html')
        self.assertIn('<button type="button" aria-label="Sort by load_cv">', dom)


if __name__ == '__main__':
    main()
