"""A case of tests with the program in a window: started, given keys, at rest, ended.

Called with the build folder on a display of its own (with_display.py)."""
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'cli'))
import harness  # noqa: E402
from real_window import settle  # noqa: E402


def xdo(*words, display=None):
    environment = dict(os.environ, DISPLAY=display) if display else None
    return subprocess.run(['xdotool', *map(str, words)], env=environment, check=False,
                          capture_output=True, text=True).stdout.split()


class Picture(ctypes.Structure):
    """The first fields of Xlib's XImage."""
    _fields_ = [(name, ctypes.c_int) for name in ('width', 'height', 'xoffset', 'format')]
    _fields_ += [('data', ctypes.c_void_p)]
    _fields_ += [(name, ctypes.c_int) for name in ('byte_order', 'bitmap_unit', 'bitmap_bit_order', 'bitmap_pad',
                                                   'depth', 'bytes_per_line')]


def picture_of(window):
    """What is on the screen there, as bytes."""
    xlib = ctypes.CDLL('libX11.so.6')
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    xlib.XGetImage.restype = ctypes.POINTER(Picture)
    display = ctypes.c_void_p(xlib.XOpenDisplay(None))
    width, height = map(int, re.findall(r'Geometry: (\d+)x(\d+)', subprocess.run(
        ['xdotool', 'getwindowgeometry', window], capture_output=True, text=True).stdout)[0])
    every_plane, z_pixmap = ctypes.c_ulong(0xFFFFFFFF), 2
    image = xlib.XGetImage(display, ctypes.c_ulong(int(window)), 0, 0, width, height, every_plane, z_pixmap)
    bytes_read = ctypes.string_at(image.contents.data, image.contents.bytes_per_line * height)
    xlib.XCloseDisplay(display)
    return bytes_read


def docking(ini):
    """What of Dear ImGui's description says where panels are, without what a size decides."""
    windows = {}
    for name, body in re.findall(r'^\[Window\]\[(.*?)\]\n(.*?)\n\n', ini, re.M | re.S):
        dock = re.search(r'^DockId=(.*)$', body, re.M)
        windows[name] = dock.group(1) if dock else None
    nodes = re.findall(r'^ *(Dock(?:Space|Node)) +ID=(\w+)(?: .*?Parent=(\w+))?.*?(?:Split=(.))?',
                       ini, re.M)
    return windows, nodes


def sizes(layout):
    """Width and height of each docked panel that is shown."""
    found = {}
    for name, body in re.findall(r'^\[Window\]\[(.*?)\]\n(.*?)\n\n', layout['ini'], re.M | re.S):
        size = re.search(r'^Size=(\d+),(\d+)$', body, re.M)
        if name in layout['shown'] and size and 'DockId=' in body:
            found[name] = (int(size.group(1)), int(size.group(2)))
    return found


class WindowCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder / 'home'
        self.home.mkdir()
        self.settings_file = self.home / '.config' / 'kappascope' / 'settings.json'
        self.last_session = self.home / '.local' / 'state' / 'kappascope' / 'last-session.json'

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith('XDG_')}
        return kept | {'HOME': str(self.home)} | {k: str(v) for k, v in more.items()}

    def open(self, *words, display=None, **more):
        """A window that has come to rest."""
        more |= {'DISPLAY': display} if display else {}
        process = self.start(*words, env=self.environment(**more))
        process.window = None
        self.wait_for(lambda: process.poll() is not None or self.find(process, display))
        self.assertIsNone(process.poll(), process.stderr.read() if process.poll() else '')
        self.rest(process)
        return process

    def find(self, process, display):
        for window in xdo('search', '--onlyvisible', '--name', '^kappascope$', display=display):
            if xdo('getwindowpid', window, display=display) == [str(process.pid)]:
                process.window = window
        return process.window

    def rest(self, process):
        settle(process)

    def end_by_signal(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        self.assertEqual(process.returncode, 130)
        return self.settings()

    def settings(self):
        return json.loads(self.settings_file.read_text())

    def focus(self, process):
        xdo('windowfocus', '--sync', process.window)

    def keys(self, process, *chords):
        self.focus(process)
        for chord in chords:
            xdo('key', chord)
            time.sleep(0.3)

    def type(self, process, text):
        self.focus(process)
        xdo('type', '--delay', 40, text)
        time.sleep(0.3)

    def palette(self, process, text):
        self.keys(process, 'ctrl+shift+p')
        self.rest(process)
        self.type(process, text)
        self.rest(process)
        self.keys(process, 'Return')
        self.rest(process)

    def open_by_keys(self, process, path):
        self.keys(process, 'ctrl+o')
        self.type(process, path)
        self.keys(process, 'Return')
        self.rest(process)
