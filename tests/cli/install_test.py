"""What `make install` puts into a folder: it runs from wherever that folder is, and says the same as the tree."""
import os
import re
import subprocess
import sys

from harness import BUILD, PROGRAM, SOURCE, Case, main

sys.path.insert(0, str(SOURCE / 'cmake'))
import from_help


class Install(Case):
    def run_installed(self, home, *words, code=0):
        done = subprocess.run([home / 'bin' / 'kappascope', *map(str, words)], capture_output=True, text=True, cwd='/',
                              env={'PATH': '/usr/bin:/bin', 'HOME': str(self.folder)})
        self.assertEqual(done.returncode, code, f'{words}: {done.stderr}')
        return done.stdout

    def test_it_runs_where_it_was_moved_to(self):
        first, home = self.folder / 'first', self.folder / 'moved here'
        subprocess.run(['cmake', '--install', BUILD, '--prefix', first], check=True, capture_output=True)
        first.rename(home)
        self.assertEqual(os.readlink(home / 'bin' / 'kappascope'), '../lib/kappascope/kappascope')
        self.assertIn('selftest', self.run_installed(home, '--help'))
        self.assertIn('all hold', self.run_installed(home, 'selftest'))
        out = self.folder / 'out'
        model = home / 'share' / 'kappascope' / 'd8-kappa'
        self.run_installed(home, 'run', model, '-p', 'A text', '-o', out, '--figures', 'loss', '--figure-format', 'pdf', '-q')
        self.assertTrue((out / 'figures' / 'loss.pdf').stat().st_size > 1000)
        self.check_paths(home)
        self.check_texts(home / 'share')

    def check_paths(self, home):
        """No file of it names this tree, but for the engine of CUDA, whose libraries are not installed."""
        for path in (home / 'lib' / 'kappascope').iterdir():
            if path.name == 'kappascope' or (path.suffix == '.so' and path.name != 'libkappascope_cuda.so'):
                said = subprocess.run(['readelf', '-d', path], capture_output=True, text=True, check=True).stdout
                for runpath in re.findall(r'(?:RUNPATH|RPATH).*\[(.*)\]', said):
                    self.assertRegex(runpath, r'^\$ORIGIN/(torch|arrow)$', path)
        for link in (path for path in home.rglob('*') if path.is_symlink()):
            self.assertFalse(os.path.isabs(os.readlink(link)), link)
            self.assertTrue(link.exists(), link)

    def check_texts(self, share):
        """A page for every verb, and every option of --help among what the shell completes."""
        whole = from_help.said(PROGRAM, '--help')
        verbs = from_help.verbs_of(whole)
        self.assertLessEqual({'run', 'generate', 'patch', 'plot', 'stats', 'train', 'selftest'}, set(verbs))
        bash = (share / 'bash-completion' / 'completions' / 'kappascope').read_text()
        for verb in verbs:
            page = (share / 'man' / 'man1' / f'kappascope-{verb}.1').read_text()
            for names, _ in from_help.options_of(from_help.said(PROGRAM, verb, '--help')):
                for name in names:
                    self.assertIn(from_help.escaped(name), page)
                    self.assertRegex(bash, rf'{verb}\) words=.*{name}\b')
        completed = subprocess.run(
            ['bash', '-c', f'source "{share}/bash-completion/completions/kappascope"; '
             'COMP_WORDS=(kappascope plot --figures kappa-d); COMP_CWORD=3; _kappascope; echo "${COMPREPLY[@]}"'],
            capture_output=True, text=True, check=True, cwd=self.folder).stdout
        self.assertEqual(completed.split(), ['kappa-depth', 'kappa-distribution'])


if __name__ == '__main__':
    main()
