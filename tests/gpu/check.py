"""Everything that wants a GPU, one line a check: `make gpu-check`.

check.py BUILD_FOLDER    as tests/gpu/machine made it. 0: all passed, 1: one failed, 77: one or more were
                         skipped, because there is no device, and none failed

The goldens are those of $KAPPASCOPE_ORACLE/kappa, or the few of tests/golden/data when it is unset.
"""
import os, pathlib, shutil, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
SMALL = ['all', '1', '33']  # sizes of tokens for compute-sanitizer, which takes its time
TOOLS = ['memcheck', 'racecheck', 'initcheck', 'synccheck']


def steps(build):
    twins, python = build / 'kappascope_twins', sys.executable
    yield 'twins', [twins]
    golden = [python, '-B', ROOT / 'tests/golden/check_golden.py', build, '--forward', 'cuda']
    models = sorted((ROOT / 'tests/golden/data').iterdir())
    yield 'goldens', golden + (['--oracle', 'kappa'] if os.environ.get('KAPPASCOPE_ORACLE') else models)
    sanitizer = shutil.which('compute-sanitizer')
    for tool in TOOLS:
        command = [sanitizer, '--tool', tool, '--error-exitcode', '1', twins, *SMALL]
        yield tool, command if sanitizer else None
    yield 'rows', [build / 'kappascope_gpu_rows', build / 'gpu-rows.json']


def has_device(build):
    return subprocess.run([build / 'kappascope_twins', 'group', '1'], stdout=subprocess.DEVNULL).returncode != SKIPPED


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    device, results = has_device(build), {}
    for name, command in steps(build):
        print(f'--- {name}', flush=True)
        if not device:
            results[name] = SKIPPED
        elif command is None:
            print('compute-sanitizer is not on PATH')
            results[name] = 1
        else:
            results[name] = subprocess.run(command).returncode
        if results[name] == SKIPPED:
            print('skipped: no device')
    print('---')
    for name, code in results.items():
        print(f'{name:>10}: ' + {0: 'passed', SKIPPED: 'skipped: no device'}.get(code, f'FAILED ({code})'))
    codes = set(results.values())
    return 1 if codes - {0, SKIPPED} else SKIPPED if SKIPPED in codes else 0


if __name__ == '__main__':
    sys.exit(main())
