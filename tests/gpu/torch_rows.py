"""What Torch itself does on this GPU, to hold the G rows against: grouped products of the rows' two
shapes with even and with drawn groups, one dense product of as many operations, a large copy.

torch_rows.py    prints a line each, milliseconds as medians
"""
import statistics, sys
import torch

ROUNDS, WARM_UP = 11, 3
SHAPES = {'a': (1024, 4096, 64), 'b': (2048, 768, 128)}  # hidden, gates, experts
ROWS = (16, 32, 256)                                     # an expert


def milliseconds(work):
    times = []
    for round_ in range(WARM_UP + ROUNDS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        if round_ >= WARM_UP:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def ends_of(rows, experts, drawn):
    if not drawn:
        return torch.arange(1, experts + 1, device='cuda', dtype=torch.int32) * rows
    counts = torch.bincount(torch.randint(experts, (rows * experts,), device='cuda'), minlength=experts)
    return counts.cumsum(0).to(torch.int32)


def grouped(name, hidden, gates, experts):
    options = dict(device='cuda', dtype=torch.bfloat16)
    up = torch.randn(experts, hidden, gates, **options) / hidden ** 0.5
    down = torch.randn(experts, gates, hidden, **options) / gates ** 0.5
    for rows in ROWS:
        x = torch.randn(rows * experts, hidden, **options)
        h = torch.randn(rows * experts, gates, **options)
        for drawn in (False, True):
            ends = ends_of(rows, experts, drawn)
            for way, from_, weight in (('up', x, up), ('down', h, down)):
                time = milliseconds(lambda: torch._grouped_mm(from_, weight, ends))
                operations = 2 * rows * experts * hidden * gates
                groups = 'drawn' if drawn else 'even'
                print(f'{name} {way:4} {rows:3} rows an expert, {groups:5}: {time:8.4f} ms, '
                      f'{operations / time / 1e9:6.1f} TFLOP/s', flush=True)


def dense(name, hidden, gates, experts):
    options = dict(device='cuda', dtype=torch.bfloat16)
    rows = 256 * experts
    x, weight = torch.randn(rows, hidden, **options), torch.randn(hidden, 3 * gates, **options)
    time = milliseconds(lambda: torch.mm(x, weight))
    print(f'{name} dense {rows}×{hidden}×{3 * gates}: {time:8.4f} ms, '
          f'{6 * rows * hidden * gates / time / 1e9:6.1f} TFLOP/s', flush=True)


def main():
    if not torch.cuda.is_available():
        print('skipped: no device')
        return 77
    print(torch.cuda.get_device_name(), torch.__version__)
    torch.manual_seed(1)
    source = torch.ones(1 << 32, device='cuda', dtype=torch.uint8)
    target = torch.empty_like(source)
    print(f'copy: {2 * source.numel() / milliseconds(lambda: target.copy_(source)) / 1e6:.0f} GB/s')
    del source, target
    for name, shape in SHAPES.items():
        dense(name, *shape)
        grouped(name, *shape)
    return 0


if __name__ == '__main__':
    sys.exit(main())
