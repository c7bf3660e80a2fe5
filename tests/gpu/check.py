"""Everything that wants a GPU, one line a check: `make gpu-check`.

check.py BUILD_FOLDER [STEP…]    as tests/gpu/machine made it; without steps, all but those of EXTRA.
                                 0: all passed, 1: one failed, 77: one or more were skipped, because there
                                 is no device, and none failed

Numbers come first, then what takes its time. What a step prints is also in LOGS/STEP.log, where LOGS is
$KAPPASCOPE_GPU_LOGS, or the folder logs of the build. A step that outlasts its limit has failed; what it
printed until then is kept.
The goldens are those of $KAPPASCOPE_ORACLE/kappa and kappa-2026-11 as far as they are there, or the few of
tests/golden/data when it is unset.
"""
import os, pathlib, shutil, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
SMALL = ['all', '1', '33']  # sizes of tokens for compute-sanitizer, which takes its time
TOOLS = ['memcheck', 'racecheck', 'initcheck', 'synccheck']
FACTS = ('name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu,'
         'clocks_throttle_reasons.active')
EXTRA = ('torch', 'profile', 'memcheck_golden')
SECTIONS = ('SpeedOfLight', 'LaunchStats', 'Occupancy', 'WarpStateStats')


def golden_models():
    oracle = os.environ.get('KAPPASCOPE_ORACLE')
    if not oracle:
        return sorted((ROOT / 'tests/golden/data').iterdir())
    groups = [group for group in ('kappa', 'kappa-2026-11') if (pathlib.Path(oracle) / group).is_dir()]
    return ['--oracle', *groups]


def steps(build, logs):
    """name → (command or None where its program is missing, seconds it may take)."""
    twins, rows = build / 'kappascope_twins', build / 'kappascope_gpu_rows'
    sanitizer, profiler = shutil.which('compute-sanitizer'), shutil.which('ncu')
    python = [sys.executable, '-B']
    trainer = build / 'kappascope_train_steps'
    families = sorted((ROOT / 'tests/golden/hf').iterdir())
    all_steps = {
        'facts': (['nvidia-smi', f'--query-gpu={FACTS}', '--format=csv'], 20),
        'twins': ([twins], 60),
        'goldens': ([*python, ROOT / 'tests/golden/check_golden.py', build, '--forward', 'cuda',
                     *golden_models()], 240),
        'families': ([*python, ROOT / 'tests/golden/check_golden.py', build, '--forward', 'cuda', *families], 120),
        # Twice: the same bits.
        'training': ([*python, ROOT / 'tests/gpu/compare_training.py', trainer, 'cuda', trainer, 'cuda',
                      ROOT / 'tests/golden/data/top-logits-p05'], 120),
        'few': ([*python, ROOT / 'tests/golden/check_golden.py', build, '--forward', 'cuda', '--first', '12', '--stream',
                 *families], 120),
        'rows': ([rows, logs / 'rows.json'], 120),
        'torch': ([*python, ROOT / 'tests/gpu/torch_rows.py'], 120),
        'profile': ([profiler, '--clock-control', 'none', *(word for name in SECTIONS for word in ('--section', name)),
                     '-k', 'regex:kappascope', '--csv', '--page', 'details', rows, logs / 'profiled.json', '1']
                    if profiler else None, 200),
    }
    # The engine as a whole, on a text of 40 ids.
    (logs / 'ids.txt').write_text('\n'.join(str(37 * t % 2000) for t in range(40)))
    golden = [sanitizer, '--tool', 'memcheck', '--error-exitcode', '1', build / 'kappascope_dump_forward',
              ROOT / 'tests/golden/data/drops-auxfree', logs / 'ids.txt', logs / 'forward.npz', '--device', 'cuda']
    all_steps['memcheck_golden'] = (golden if sanitizer else None, 150)
    for tool in TOOLS:
        command = [sanitizer, '--tool', tool, '--error-exitcode', '1', twins, *SMALL]
        all_steps[tool] = (command if sanitizer else None, 150)
    return all_steps


def run(command, seconds, log):
    """The exit code; 124 when it took too long. Its output is printed as it comes, and kept in the log."""
    with open(log, 'w') as kept:
        process = subprocess.Popen(['timeout', str(seconds), *map(str, command)], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors='replace')
        for line in process.stdout:
            kept.write(line)
            sys.stdout.write(line)
            sys.stdout.flush()
        return process.wait()


def has_device(build):
    return subprocess.run([build / 'kappascope_twins', 'group', '1'], stdout=subprocess.DEVNULL).returncode != SKIPPED


def verdict(code):
    return {0: 'passed', SKIPPED: 'skipped: no device', 124: 'FAILED: took too long'}.get(code, f'FAILED ({code})')


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    logs = pathlib.Path(os.environ.get('KAPPASCOPE_GPU_LOGS') or build / 'logs')
    logs.mkdir(parents=True, exist_ok=True)
    all_steps, device, results = steps(build, logs), has_device(build), {}
    for name in sys.argv[2:] or [name for name in all_steps if name not in EXTRA]:
        command, seconds = all_steps[name]
        begin = time.monotonic()
        print(f'--- {name}', flush=True)
        if not device:
            results[name] = SKIPPED
        elif command is None:
            print('its program is not on PATH')
            results[name] = 1
        else:
            results[name] = run(command, seconds, logs / f'{name}.log')
        print(f'{name} {verdict(results[name])}, {time.monotonic() - begin:.1f} s', flush=True)
    print('---')
    for name, code in results.items():
        print(f'{name:>10}: {verdict(code)}')
    codes = set(results.values())
    return 1 if codes - {0, SKIPPED} else SKIPPED if SKIPPED in codes else 0


if __name__ == '__main__':
    sys.exit(main())
