"""plot --tokens: a part of a figure along tokens. tokens_test.py PROGRAM SOURCE"""
import csv
import pathlib
import subprocess
import sys
import tempfile

program, source = sys.argv[1], pathlib.Path(sys.argv[2])
trace = source / 'tests/figures/demo/trace.npz'


def plot(folder, *words):
    return subprocess.run([program, 'plot', trace, '-q', '-o', folder, *words], capture_output=True,
                          text=True)


def rows(file):
    with open(file, newline='') as table:
        return list(csv.DictReader(table))


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    figures = ['--figures', 'kappa-tokens,loss,router-probability,kappa-depth',
               '--figure-format', 'csv,svg']
    assert plot(folder / 'all', *figures).returncode == 0
    done = plot(folder / 'part', *figures, '--tokens', '12-20')
    assert done.returncode == 0, done.stderr
    names = sorted(file.name for file in (folder / 'part').glob('*.csv'))
    assert names == ['kappa-depth.csv', 'kappa-tokens-tokens12-20.csv', 'loss-tokens12-20.csv',
                     'router-probability-tokens12-20.csv'], names
    for figure in ['kappa-tokens', 'loss', 'router-probability']:
        whole = [row for row in rows(folder / 'all' / f'{figure}.csv')
                 if 12 <= int(row['token']) <= 20]
        part = rows(folder / 'part' / f'{figure}-tokens12-20.csv')
        assert whole and part == whole, figure
        assert (folder / 'part' / f'{figure}-tokens12-20.svg').stat().st_size > 1000
    for wrong in ['20-12', 'x', '500-600', '-3']:
        done = plot(folder / 'wrong', *figures, f'--tokens={wrong}')
        assert done.returncode == 2 and done.stderr.count('\n') == 1, (wrong, done.stderr)
print('passed')
