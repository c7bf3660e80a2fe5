"""The program in a window on a real X server, with real keys and clicks (xdotool).

On a display of its own: with_display.py python3 TEST.py PROGRAM SOURCE."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time


def xdotool(*words):
    return subprocess.run(['xdotool', *map(str, words)], check=True, capture_output=True,
                          text=True).stdout.strip()


def wait_for(what, condition, seconds=60):
    """Polls `condition` until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f'not after {seconds} s: {what}'
        time.sleep(0.1)


def cpu(process):
    words = pathlib.Path(f'/proc/{process.pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')


def waits_for_cpu(process):
    """A thread that would go on if a busy machine let it."""
    for stat in pathlib.Path(f'/proc/{process.pid}/task').glob('*/stat'):
        try:
            if stat.read_text().rsplit(')', 1)[1].split()[0] in 'RD':
                return True
        except FileNotFoundError:
            pass
    return False


def settle(process):
    """Until it does next to nothing for 0.8 s and wants to do nothing: opened, run, drawn. Or until
    it has ended."""
    quiet = 0
    for _ in range(900):
        if process.poll() is not None:
            return
        before, waiting = cpu(process), 0
        for _ in range(5):
            time.sleep(0.04)
            waiting += waits_for_cpu(process)
        quiet = quiet + 1 if waiting < 2 and cpu(process) - before < 0.07 else 0
        if quiet >= 4:
            return
    raise AssertionError('the window never came to rest')


class Window:
    """kappascope WORDS… with a home folder of its own; as a context it ends by itself."""

    def __init__(self, program, *words, home=None, size=(1600, 1000)):
        self.home = pathlib.Path(home or tempfile.mkdtemp(prefix='kappascope-keys-'))
        self.keep = home is not None
        settings = self.home / '.config/kappascope/settings.json'
        environment = {k: v for k, v in os.environ.items() if not k.startswith('XDG_')}
        environment['HOME'] = str(self.home)
        if not settings.exists():
            settings.parent.mkdir(parents=True)
            settings.write_text(json.dumps({'schema': 'kappascope.settings/1', 'width': size[0],
                                            'height': size[1]}))
        self.process = subprocess.Popen([program, *map(str, words)], env=environment)
        wait_for('a window', self.find)
        xdotool('windowfocus', '--sync', self.find())
        self.settle()

    def find(self):
        found = subprocess.run(['xdotool', 'search', '--onlyvisible', '--pid',
                                str(self.process.pid)], capture_output=True, text=True)
        assert self.process.poll() is None, f'ended with {self.process.returncode}'
        return found.stdout.split()[0] if found.stdout.split() else ''

    def settle(self):
        settle(self.process)

    def key(self, *keys):
        """One after the other: 'a', 'ctrl+Return', each pressed and released at once."""
        for key in keys:
            xdotool('key', key)
            time.sleep(0.15)

    def key_in_one_frame(self, modifier, key):
        """A chord whose key and releases arrive together, the modifier before them."""
        xdotool('keydown', modifier)
        time.sleep(0.3)
        self.process.send_signal(signal.SIGSTOP)
        for word, name in (('keydown', key), ('keyup', modifier), ('keyup', key)):
            xdotool(word, name)
        self.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)

    def type(self, text):
        xdotool('type', '--delay', '60', text)
        time.sleep(0.3)

    def click(self, x, y, times=1):
        xdotool('mousemove', x, y)
        time.sleep(0.3)
        xdotool('click', '--repeat', times, '--delay', '80', 1)
        time.sleep(0.5)

    def traces(self):
        return sorted(self.home.glob('.cache/kappascope/**/trace.npz'))

    def quit(self):
        """Ends as the user's session does; what the window kept of it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        sessions = list(self.home.glob('.local/state/kappascope/*.json'))
        sessions.sort(key=lambda file: file.stat().st_mtime)
        return json.loads(sessions[-1].read_text()) if sessions else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self.keep:
            shutil.rmtree(self.home, ignore_errors=True)
