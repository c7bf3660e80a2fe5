"""docs/first-hour.md: every command runs as it stands there, and prints what the page shows of it."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
NUMBER = re.compile(r'\d+(?:\.\d+)?')


def commands_of(text):
    """[(command, lines shown under it)] of the indented blocks; what builds the program is not among them."""
    found = []
    for line in text.splitlines():
        shown = line.startswith('    ') and line[4:]
        if shown and shown.removeprefix('$ ').startswith('kappascope '):
            found.append((shown.removeprefix('$ '), []))
            printed = found[-1][1] if shown.startswith('$ ') else None
        elif shown and found and printed is not None:
            printed.append(shown)
        else:
            printed = None
    return found


def same_but_for_rounding(shown, printed):
    """Equal texts whose numbers agree to two units of the last digit shown."""
    if NUMBER.split(shown) != NUMBER.split(printed):
        return False
    return all(abs(float(a) - float(b)) <= 2 * 10 ** -len(a.partition('.')[2]) + 1e-9
               for a, b in zip(NUMBER.findall(shown), NUMBER.findall(printed)))


class FirstHour(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        os.symlink(SOURCE / 'assets', pathlib.Path(cls.scratch.name) / 'assets')
        cls.commands = commands_of((SOURCE / 'docs' / 'first-hour.md').read_text())

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_line(self, words):
        environment = {**os.environ, 'PATH': f'{PROGRAMS}:{os.environ["PATH"]}', 'HOME': self.scratch.name}
        environment.pop('DISPLAY', None)
        environment.pop('WAYLAND_DISPLAY', None)
        return subprocess.run(words, cwd=self.scratch.name, env=environment, capture_output=True, text=True)

    def test_commands(self):
        verbs = {command.split()[1] for command, _ in self.commands}
        self.assertLessEqual({'info', 'run', 'metrics', 'compare', 'plot', 'report', 'stats'}, verbs)
        for command, shown in self.commands:
            words = shlex.split(command)
            opens = words[1].startswith('assets/')
            if opens and not (shutil.which('Xvfb') and 'window: built in' in self.run_line(['kappascope', '--version']).stdout):
                continue
            if opens:  # the window, as long as a picture of it takes
                words = [sys.executable, '-B', SOURCE / 'tests/gui/with_display.py', *words,
                         '--screenshot', 'window.png', '--view', 'kappa-tokens']
            with self.subTest(command):
                result = self.run_line(words)
                self.assertEqual(result.returncode, 0, result.stderr)
                if not opens:
                    self.assertTrue(result.stdout.strip() or '-o' in words)
                printed = result.stdout.splitlines()
                for number, line in enumerate(shown):
                    self.assertTrue(number < len(printed) and same_but_for_rounding(line, printed[number].rstrip()),
                                    f'the page shows\n{line}\nprinted is\n{result.stdout}')
        made = {path.name for path in pathlib.Path(self.scratch.name).iterdir()}
        self.assertLessEqual({'out', 'off', 'two', 'paper', 'figures', 'report.html', 'corpus'}, made)

    def test_links(self):
        page = (SOURCE / 'docs' / 'first-hour.md').read_text()
        for target in re.findall(r'\]\(([^)#:]+)', page):
            self.assertTrue((SOURCE / 'docs' / target).exists(), target)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
