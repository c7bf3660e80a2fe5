"""The Python of the benchmark's peers, which has Torch: for tests that ask Torch or the reference implementation."""
import os
import subprocess

from harness import SOURCE

VENV = SOURCE / 'build' / 'deps' / 'bench-venv'  # `make bench` installs it


def start_words(*words):
    """(its command with these words, the environment that it needs)"""
    python = os.environ.get('KAPPASCOPE_PEER_PYTHON', VENV / 'bin' / 'python')
    own = VENV.glob('lib/python3*/site-packages/nvidia/*/lib')
    libraries = ':'.join([*map(str, own), os.environ.get('LD_LIBRARY_PATH', '')])
    return [str(word) for word in (python, *words)], os.environ | {'LD_LIBRARY_PATH': libraries}


def run_torch(*words):
    """Runs it, and gives what it prints."""
    command, environment = start_words(*words)
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode:
        raise RuntimeError(found.stderr)
    return found.stdout


def has_torch():
    try:
        return bool(run_torch('-c', 'import torch; print(1)'))
    except (OSError, RuntimeError):
        return False
