"""Runs a command on a display of its own: with_display.py COMMAND…, or --size=WxH COMMAND…"""
import os
import subprocess
import sys

words = sys.argv[1:]
size = '1600x1000'
if words and words[0].startswith('--size='):
    size = words.pop(0).split('=')[1]
ready, told = os.pipe()
server = subprocess.Popen(
    ['Xvfb', '-displayfd', str(told), '-screen', '0', f'{size}x24', '-nolisten', 'tcp', '-noreset'],
    pass_fds=[told], stderr=subprocess.DEVNULL)
os.close(told)
try:
    with os.fdopen(ready) as answer:
        number = answer.readline().strip()
    if not number:
        sys.exit('with_display.py: Xvfb did not start')
    environment = dict(os.environ, DISPLAY=f':{number}', LIBGL_ALWAYS_SOFTWARE='1')
    environment.pop('WAYLAND_DISPLAY', None)
    sys.exit(subprocess.run(words, env=environment).returncode)
finally:
    server.terminate()
    server.wait()
