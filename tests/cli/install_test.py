"""What `make install` puts into a folder: it runs from wherever that folder is, and says the same as the tree."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
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
        self.check_libraries(home / 'lib' / 'kappascope')
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

    def check_libraries(self, home):
        """What they load is beside them or of the system: on another machine nothing else is there."""
        programs = [home / 'kappascope', *home.glob('*.so'), *home.glob('*/*.so*')]
        for path in programs:
            if path.name == 'libkappascope_cuda.so':
                continue
            said = subprocess.run(['ldd', path], capture_output=True, text=True, check=True, env={'PATH': '/usr/bin:/bin'}).stdout
            self.assertNotIn('not found', said, path)
            for found in re.findall(r'=> (/\S.*) \(0x', said):
                inside = home in pathlib.Path(found).resolve().parents
                self.assertTrue(inside or re.match(r'(/usr)?/lib(64)?/', found), f'{path.name} loads {found}')

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

    def test_the_shell_completes(self):
        share = self.folder / 'share'
        subprocess.run([sys.executable, '-B', SOURCE / 'cmake/from_help.py', PROGRAM, share], check=True)
        for line, expected in (('plot|--figures|kappa-d', 'kappa-depth kappa-distribution'), ('plot|--figures|loss,kappa-di', 'loss,kappa-distribution'),
                               ('ru', 'run'), ('info|models/d', 'models/d8-kappa'), ('run|models/d8-kappa|--layers|', '2 3 4 5 6 7'),
                               ('run|models/d8-kappa|--layers|2-', '2-2 2-3 2-4 2-5 2-6 2-7'), ('run|models/d8-kappa|--kappa-mul|2|@|3,', '3,2 3,3 3,4 3,5 3,6 3,7'),
                               ('run|models/d8-kappa|--ablate|', '2 3 4 5 6 7'), ('plot|out/trace.npz|--layer|', '3 4'), ('plot|ou', 'out')):
            self.assertEqual(self.completed(share, 'bash', line), expected.split(), line)
        for line, expected in (('plot|--figures|kappa-d', 'kappa-depth kappa-distribution'), ('run|models/d8-kappa|--kappa-mul|2@3,', '2@3,2 2@3,3 2@3,4 2@3,5 2@3,6 2@3,7'),
                               ('run|models/d8-kappa|--layers|', '2 3 4 5 6 7'), ('info|models/d', 'models/d8-kappa')):
            if shutil.which('fish'):
                self.assertLessEqual({*expected.split()}, {*self.completed(share, 'fish', line)}, line)
        for line, expected in (('ru', 'run'), ('plot|--figures|loss,kappa-di', 'loss,kappa-distribution'), ('info|models/d', 'models/d8-kappa')):
            if shutil.which('zsh'):
                self.assertEqual(self.line_of_zsh(share, line), ' '.join(['kappascope', *line.split('|')[:-1], expected]))

    def line_of_zsh(self, share, line):
        """The line of a new zsh after its first TAB."""
        home, environment = self.completing()
        (home / '.zshrc').write_text(f'fpath=({share}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D; PS1=\n'
                                     'shown() { zle expand-or-complete; print -rn -- "<$BUFFER>"; }; zle -N shown; bindkey "^I" shown; print ready\n')
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(home)
            os.execvpe('zsh', ['zsh', '-d', '-i'], {**environment, 'ZDOTDIR': str(home), 'TERM': 'dumb'})
        try:
            self.read_until(terminal, r'ready')
            os.write(terminal, f'kappascope {line.replace("|", " ")}\t'.encode())
            said = self.read_until(terminal, r'<kappascope [^>]*>')
            return re.search(r'<(kappascope [^>]*)>', said)[1]
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(terminal)

    def read_until(self, terminal, wanted):
        said = ''
        while not re.search(wanted, said):
            self.assertTrue(select.select([terminal], [], [], 60)[0], said)
            said += os.read(terminal, 1 << 16).decode()
        return said

    def completing(self):
        """A folder with a model and a run, and the variables of a shell that completes there."""
        home = self.folder / 'completing'
        if not home.exists():
            (home / 'models').mkdir(parents=True)
            (home / 'models/d8-kappa').symlink_to(SOURCE / 'assets/d8-kappa')
            (home / 'out').mkdir()
            (home / 'out/trace.npz').touch()
            (home / 'out/summary.json').write_text(json.dumps({'dense_layers': [{'layer': 0}], 'layers': [{'layer': 3}, {'layer': 4}]}, indent=2))
        return home, {**os.environ, 'PATH': f'{BUILD}:{os.environ["PATH"]}', 'HOME': str(home), 'HF_HUB_CACHE': str(home)}

    def completed(self, share, shell, line):
        """What the shell offers for a line of words, parted by |."""
        home, environment = self.completing()
        words = ['kappascope', *line.split('|')]
        script = (f'source "{share}/bash-completion/completions/kappascope"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_kappascope; printf "%s\\n" "${COMPREPLY[@]}" | sort -u')
        command = ['bash', '-c', script, 'bash', *words]
        if shell == 'fish':
            command = ['fish', '--no-config', '-c', f'source {share}/fish/vendor_completions.d/kappascope.fish; '
                       f"complete -C '{' '.join(words)}'"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=home, env=environment).stdout
        return [offered.split('\t')[0].rstrip('/') for offered in said.splitlines()]  # fish adds what it is


if __name__ == '__main__':
    main()
