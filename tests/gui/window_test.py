"""The window as its users meet it: real processes, a real settings file, real keys.

Called with the build folder on a display of its own (with_display.py)."""
import fcntl
import json
import os
import pathlib
import re
import socket
import subprocess

from window_case import WindowCase, docking, picture_of, sizes, xdo  # finds harness, too
import harness
from harness import MODEL, SOURCE

TRACE = SOURCE / 'tests' / 'figures' / 'demo' / 'trace.npz'


class Layouts(WindowCase):
    maxDiff = None
    def assert_same_layout(self, first, second):
        self.assertEqual(docking(first['ini']), docking(second['ini']))
        for key in ('shown', 'front'):
            self.assertEqual(first[key], second[key], key)
        # Dear ImGui writes shares as whole pixels: one more or less where they were odd.
        before, after = sizes(first), sizes(second)
        self.assertEqual(before.keys(), after.keys())
        for name, size in before.items():
            for one, other in zip(size, after[name]):
                self.assertAlmostEqual(one, other, delta=1, msg=name)

    def test_each_start_has_the_layout_of_the_last_end(self):
        layouts = []
        for _ in range(3):
            layouts.append(self.end_by_signal(self.open(TRACE))['last'])
        windows, nodes = docking(layouts[0]['ini'])
        self.assertGreaterEqual(len(nodes), 8)
        for name in layouts[0]['shown']:
            self.assertTrue(windows[name], name)
        self.assert_same_layout(layouts[0], layouts[1])
        self.assert_same_layout(layouts[0], layouts[2])

    def test_a_named_layout_and_one_of_a_session_return_as_they_were(self):
        process = self.open(TRACE)
        self.palette(process, 'Router')  # the first that is called so shows or hides a figure
        self.keys(process, 'ctrl+2')     # the layout Router
        self.rest(process)
        router = self.end_by_signal(process)['last']
        settings = self.settings()
        settings['layouts'] = {'zz mine': router}
        del settings['last']
        self.settings_file.write_text(json.dumps(settings))
        session = self.last_session.read_text()
        self.last_session.unlink()

        process = self.open(TRACE)  # a first start
        self.palette(process, 'zz mine')
        self.assert_same_layout(router, self.end_by_signal(process)['last'])

        settings['layouts'] = {}
        self.settings_file.write_text(json.dumps(settings))
        file = self.last_session.parent / 'study.json'
        file.write_text(session)
        process = self.open(file)
        self.assert_same_layout(router, self.end_by_signal(process)['last'])

    def test_a_layout_with_nothing_docked_is_that_of_a_first_start(self):
        self.settings_file.parent.mkdir(parents=True)
        broken = {'schema': 'kappascope.settings/1',
                  'last': {'ini': '[Window][text]\nPos=3,4\nSize=60,60\n\n', 'shown': ['text']}}
        self.settings_file.write_text(json.dumps(broken))
        last = self.end_by_signal(self.open(TRACE))['last']
        self.assertGreater(len(last['shown']), 8)

    def test_a_change_of_size_is_shared(self):
        self.end_by_signal(self.open(TRACE))
        settings = self.settings()
        del settings['last']['built_in']  # the user's own from here on
        self.settings_file.write_text(json.dumps(settings))
        shares = {}
        for width, height in ((1600, 1000), (1024, 640), (2400, 1500), (1600, 1000)):
            process = self.open(TRACE)
            xdo('windowsize', '--sync', process.window, width, height)
            self.rest(process)
            found = sizes(self.end_by_signal(process)['last'])
            for name, (w, h) in found.items():
                share = (w / width, h / height)
                before = shares.setdefault(name, share)
                self.assertAlmostEqual(share[0], before[0], delta=0.02, msg=f'{name} at {width}')
                self.assertAlmostEqual(share[1], before[1], delta=0.06, msg=f'{name} at {height}')

    def test_at_rest_all_is_drawn(self):
        xdo('mousemove', 2559, 1599)  # over nothing
        for look in (True, False):
            self.settings_file.parent.mkdir(parents=True, exist_ok=True)
            self.settings_file.write_text(json.dumps({'schema': 'kappascope.settings/1', 'dark': look,
                                                      'width': 1024, 'height': 640}))
            process = self.open(MODEL, '-p', 'Once upon a time')
            rested = picture_of(process.window)
            for modifier in ('keydown', 'keyup'):  # a few frames more
                self.focus(process)
                xdo(modifier, 'shift')
            self.rest(process)
            self.assertTrue(rested == picture_of(process.window), 'there was something left to draw')
            self.end_by_signal(process)

    def test_the_built_in_layout_follows_the_size(self):
        process = self.open(TRACE)
        xdo('windowsize', '--sync', process.window, 1024, 640)
        self.rest(process)
        small = sizes(self.end_by_signal(process)['last'])
        self.assertGreaterEqual(min(w for w, _ in small.values()), 360)
        self.assertGreaterEqual(small['kappa-tokens'][1], 560)
        process = self.open(TRACE)
        xdo('windowsize', '--sync', process.window, 1600, 1000)
        self.rest(process)
        large = sizes(self.end_by_signal(process)['last'])
        self.assertLess(large['kappa-tokens'][1], 560)


class Screens(WindowCase):
    def test_a_window_fits_on_its_screen(self):
        """The usual size, and one that was kept on a larger screen; the display is one of 1024 x 640."""
        for kept in (None, {'width': 2500, 'height': 1500}):
            if kept:
                self.settings_file.write_text(json.dumps(self.settings() | kept))
            process = self.open(TRACE)
            _, said = subprocess.run(['xdotool', 'getwindowgeometry', process.window], capture_output=True,
                                     text=True).stdout.split('Geometry: ')
            self.assertEqual(said.strip(), '1024x640')
            self.end_by_signal(process)


class Leaving(WindowCase):
    def run_typed(self, process, text):
        xdo('mousemove', '--window', process.window, 200, 75, 'click', 1)
        self.type(process, text)
        self.palette(process, 'Run the text')

    def test_quit_asks_before_a_run_is_lost(self):
        process = self.open(MODEL)
        self.run_typed(process, 'hello there')
        self.keys(process, 'ctrl+q')
        self.rest(process)
        self.assertIsNone(process.poll())
        self.keys(process, 'Escape', 'ctrl+w')  # the run, too
        self.rest(process)
        self.keys(process, 'Escape')
        self.rest(process)
        self.keys(process, 'ctrl+q')
        self.rest(process)
        self.assertIsNone(process.poll())
        self.keys(process, 'Return')  # Save…
        self.type(process, self.folder / 'kept')
        self.keys(process, 'Return')
        process.wait(60)
        self.assertEqual(process.returncode, 0)
        self.assertTrue((self.folder / 'kept' / 'trace.npz').exists())
        session = json.loads(self.last_session.read_text())
        self.assertEqual(session['next_run']['text'], 'hello there')
        self.assertEqual(len(session['traces']), 1)

    def test_a_run_of_the_command_line_comes_again_with_it(self):
        process = self.open(MODEL, '-p', 'hello there')
        self.keys(process, 'ctrl+q')
        process.wait(60)
        self.assertEqual(process.returncode, 0)

    def test_a_lost_display_loses_no_text(self):
        ready, told = os.pipe()
        server = subprocess.Popen(['Xvfb', '-displayfd', str(told), '-screen', '0', '1280x800x24',
                                   '-nolisten', 'tcp', '-noreset'], pass_fds=[told], stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        os.close(told)
        with os.fdopen(ready) as answer:
            display = ':' + answer.readline().strip()
        process = self.open(MODEL, '-p', 'a text that is not lost', display=display)
        server.kill()
        process.wait(60)
        self.assertEqual(process.returncode, 7, process.stderr.read())
        session = json.loads(self.last_session.read_text())
        self.assertEqual(session['next_run']['text'], 'a text that is not lost')
        self.assertEqual(len(session['traces']), 1)
        cache = self.home / '.cache' / 'kappascope'
        self.assertEqual([p for p in cache.iterdir() if p.is_dir()], [])

    def test_a_killed_window_loses_no_text(self):
        process = self.open(MODEL, '-p', 'typed before the crash')
        folder = self.last_session.parent
        self.wait_for(lambda: any(len(json.loads(file.read_text())['traces']) == 1
                                  for file in folder.glob('window-*/session.json')))
        process.kill()
        process.wait()
        process = self.open()
        self.palette(process, 'Restore last session')
        self.end_by_signal(process)
        session = json.loads(self.last_session.read_text())
        self.assertEqual(session['next_run']['text'], 'typed before the crash')
        self.assertEqual(len(session['traces']), 1)
        self.assertEqual(list(folder.glob('window-*/session.json')), [])

    def test_a_session_keeps_what_is_compared(self):
        self.end_by_signal(self.open(TRACE, SOURCE / 'assets' / 'd4-kappa', '-p', 'hello'))
        session = json.loads(self.last_session.read_text())
        self.assertEqual([trace['compared'] for trace in session['traces']], [False, False])
        session['traces'][0]['compared'] = True
        file = self.last_session.parent / 'study.json'
        file.write_text(json.dumps(session))
        self.end_by_signal(self.open(file))
        again = json.loads(self.last_session.read_text())
        self.assertEqual([trace['compared'] for trace in again['traces']], [True, False])
        self.assertIn('run', again['traces'][1])

    def test_a_session_finds_a_model_of_the_hub_cache(self):
        repository = self.folder / 'cache' / 'hub' / 'models--lab--tiny'
        (repository / 'snapshots').mkdir(parents=True)
        (repository / 'refs').mkdir()
        (repository / 'refs' / 'main').write_text('0123abcd')
        (repository / 'snapshots' / '0123abcd').symlink_to(SOURCE / 'tests' / 'golden' / 'hf' / 'mixtral-window')
        cache = {'HF_HOME': self.folder / 'cache'}
        recent = self.end_by_signal(self.open('lab/tiny', **cache))['recent']
        self.assertEqual([pathlib.Path(path).exists() for path in recent], [True])
        first = json.loads(self.last_session.read_text())['models']
        self.assertEqual([model['step'] for model in first], [None])
        file = self.last_session.parent / 'study.json'
        self.last_session.rename(file)
        self.end_by_signal(self.open(file, **cache))
        self.assertEqual(json.loads(self.last_session.read_text())['models'], first)


class Folders(WindowCase):
    def test_two_windows_keep_both_of_their_recent_files(self):
        first, second = self.open(), self.open()
        self.open_by_keys(first, TRACE)
        self.open_by_keys(second, MODEL)
        self.end_by_signal(second)
        recent = self.end_by_signal(first)['recent']
        self.assertEqual(sorted(recent), sorted([str(TRACE), str(MODEL)]))

    def test_traces_of_other_windows_stay(self):
        cache = self.home / '.cache' / 'kappascope'
        boot = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text()[:8]
        host = re.sub(r'[^A-Za-z0-9.-]', '_', socket.gethostname())[:64]
        held = cache / f'runs-another-container-{boot}-aaaaaa'
        elsewhere = cache / 'runs-another-machine-00c0ffee-bbbbbb'
        dead = [cache / f'runs-{host}-{boot}-cccccc', cache / f'runs-{host}-00c0ffee-dddddd',
                cache / f'runs-another-container-{boot}-eeeeee']
        for folder in (held, elsewhere, *dead):
            folder.mkdir(parents=True)
            (folder / 'trace.npz').write_bytes(b'x')
        lock = os.open(held, os.O_RDONLY)
        self.addCleanup(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = self.open(MODEL, '-p', 'hello')
        own = [p for p in cache.iterdir() if p.is_dir() and p not in (held, elsewhere)]
        self.assertEqual(len(own), 1)
        self.assertTrue(own[0].name.startswith(f'runs-{host}-{boot}-'))
        second = self.open(TRACE)
        self.assertTrue(list(own[0].rglob('trace.npz')))
        self.end_by_signal(second)
        self.end_by_signal(process)
        self.assertEqual({p for p in cache.iterdir() if p.is_dir()}, {held, elsewhere})

    def test_a_home_that_cannot_be_written_is_one_warning(self):
        temporary = self.folder / 'tmp'
        temporary.mkdir()
        for home in ('/proc/nothing', ''):
            picture = self.folder / 'picture.png'
            _, err = self.run_program('--screenshot', picture, '--size', '800x600', '-p', 'hi', MODEL,
                                      env=self.environment(HOME=home, TMPDIR=temporary))
            self.assertEqual(err.count('\n'), 1, err)
            self.assertIn('warning: ', err)
            self.assertIn('settings', err)
            picture.unlink()
            own = temporary / f'kappascope-{os.geteuid()}'
            self.assertEqual(own.stat().st_mode & 0o777, 0o700)
            self.assertEqual([p for p in own.iterdir() if p.is_dir()], [])
        process = self.open(TRACE, HOME='/proc/nothing', TMPDIR=temporary)
        self.keys(process, 'ctrl+q')
        process.wait(60)
        self.assertEqual(process.returncode, 0)

    def test_a_folder_of_another_user_is_not_used(self):
        temporary = self.folder / 'tmp'
        (temporary / f'kappascope-{os.geteuid()}').mkdir(parents=True)
        (temporary / f'kappascope-{os.geteuid()}').chmod(0o777)
        self.run_program('--screenshot', self.folder / 'picture.png', '--size', '800x600', '-p', 'hi',
                         MODEL, env=self.environment(HOME='/proc/nothing', TMPDIR=temporary))
        self.assertEqual(len(list(temporary.iterdir())), 2)

    def test_settings_that_cannot_be_read_are_put_aside(self):
        self.settings_file.parent.mkdir(parents=True)
        self.settings_file.write_text('{"mended": "by hand"')
        self.end_by_signal(self.open(TRACE))
        self.assertEqual(self.settings_file.with_name('settings.json.broken').read_text(),
                         '{"mended": "by hand"')


class Files(WindowCase):
    def test_a_trace_written_anew_while_it_is_open_leaves_the_window(self):
        run = self.folder / 'run'
        self.run_program('run', MODEL, '-f', harness.TEXTS / 'prose.txt', '-o', run, '-q', '--figures',
                         'none', '--record', 'gates')
        trace = run / 'trace.npz'
        process = self.open(run)
        start = trace.read_bytes()[:1000]
        with open(trace, 'r+b') as file:
            file.write(start)
            file.truncate()
        for x in range(500, 900, 80):
            xdo('mousemove', '--window', process.window, x, 300, 'click', 1)
            self.rest(process)
        self.keys(process, 'ctrl+3')
        self.rest(process)
        self.end_by_signal(process)

    def test_a_model_emptied_while_it_is_open_is_an_error_of_the_run(self):
        model = self.copy_model()
        process = self.open(model)
        for weights in model.glob('model_*.pt'):
            os.truncate(weights, 0)
        xdo('mousemove', '--window', process.window, 200, 75, 'click', 1)
        self.type(process, 'hello')
        self.palette(process, 'Run the text')
        self.end_by_signal(process)


if __name__ == '__main__':
    harness.main()
