"""The machine code of every kernel: no stack, no spill, and registers that leave room for as many blocks as wanted.

registers_test.py NVCC BUILD ARCHITECTURE...     0: all hold, 1: one does not

For an architecture that the build has compiled kernels/*.cu for, what the compiler said then is read; for the others
they are compiled here, for ARCHITECTURE+ only those with code of their own for it.
"""
import concurrent.futures, os, pathlib, re, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ['-std=c++17', '-O3', '-DNDEBUG', '-I', ROOT, '-Xptxas', '-v', '-fatbin']
REGISTERS = 65536  # of a multiprocessor
THREADS = {'86': 1536}  # that a multiprocessor holds; elsewhere 2048
PTX = {'86': '80'}  # of which an architecture's machine code is made, where no source tells the two apart

# (kernel, threads of a block, blocks that a multiprocessor is to hold at once, why). What moves data wants many, to
# have many loads on their way; what computes has as many as its __launch_bounds__ ask for.
FAMILIES = [
    (r'swiglu_kernel<BFloat16, 8, \(KappaCase\)[23], true>', 256, 2, 'all statistics, rare forms of κ'),
    (r'swiglu_kernel<BFloat16, 8, \(KappaCase\)[23], false>', 256, 3, 'rare forms of κ'),
    (r'swiglu_kernel<float, 4, .*, true>', 256, 2, 'all statistics of four float32 units at once'),
    (r'swiglu_kernel<float, 4, .*, false>', 256, 3, 'bound by memory, a pack of float32 ahead'),
    (r'swiglu_kernel<.*, true>', 256, 3, 'all statistics'),
    (r'swiglu_kernel<.*, false>', 256, 4, 'bound by memory'),
    (r'gradient_kernel<.*>', 256, 3, 'bound by memory, a pack of a row ahead'),
    (r'sum_kernel<.*>', 256, 4, 'sums in float64'),
    (r'order_kernel', 256, 4, 'no more fit beside its shared memory'),
    (r'few_product_kernel|few_rows_kernel', 256, 2, 'weights on their way and the sums of four rows'),
    (r'few_route_kernel', 256, 3, 'a block a token'),
    (r'combine_norms_kernel', 256, 3, 'squares of eight rows in float64'),
    (r'few_combine_kernel|combine_kernel|dispatch_kernel', 256, 4, 'bound by memory'),
    (r'choose_kernel', 256, 4, 'the logits of a token in registers'),
    (r'soft_route_kernel', 256, 4, 'exponentials in float64'),
    (r'given_kernel', 256, 4, 'one lane chooses'),
    (r'group_kernel', 256, 4, 'waits for memory; a block in four'),
    (r'count_kernel|scan_kernel|place_kernel', 256, 8, 'wait for memory'),
    (r'effect_kernel|next_token_kernel', 256, 4, 'sums in float64'),
    (r'product_kernel<', 384, 1, 'sums of 128 columns by 144 rows in two groups of four warps'),
]

USED = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)a?'\n.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
                  r'(\d+) bytes spill loads\n.*?Used (\d+) registers', re.DOTALL)


def readable(symbol):
    name = subprocess.run(['c++filt', symbol], capture_output=True, text=True, check=True).stdout.strip()
    name = re.sub(r'kappascope::|\(anonymous namespace\)::|^void ', '', name)
    return name[:name.rindex('(')] if name.endswith(')') else name


def budget(name, architecture):
    """(the most registers, why); None: not stated."""
    for pattern, threads, blocks, why in FAMILIES:
        if re.match(pattern, name):
            blocks = min(blocks, THREADS.get(architecture, 2048) // threads)
            return REGISTERS // threads // blocks // 8 * 8, f'{blocks} blocks: {why}'
    return None


def faults_of(log, name_of=readable, architectures=None):
    """The kernels of a compiler's output, for these architectures: (how many, what is wrong with them)."""
    kernels = [found for found in USED.findall(log) if architectures is None or found[1] in architectures]
    faults = []
    for symbol, architecture, *numbers in kernels:
        kernel, (stack, stores, loads, registers) = name_of(symbol), map(int, numbers)
        name, allowed = f'{architecture}, {kernel}', budget(kernel, architecture)
        if stack or stores or loads:
            faults.append(f'{name}: {stack} bytes of stack, {stores} and {loads} of spills')
        if allowed is None:
            faults.append(f'{name}: no budget is stated for it')
        elif registers > allowed[0]:
            faults.append(f'{name}: {registers} registers; at most {allowed[0]}, for {allowed[1]}')
    return len(kernels), faults


def check_itself():
    line = ("ptxas info    : Compiling entry function '{}' for 'sm_90'\nptxas info    : Function properties for x\n"
            '    {} bytes stack frame, {} bytes spill stores, 0 bytes spill loads\nptxas info    : Used {} registers, …\n')
    for values, wrong in ((('scan_kernel', 0, 0, 32), 0), (('scan_kernel', 8, 4, 32), 1), (('scan_kernel', 0, 0, 33), 1),
                          (('unknown_kernel', 0, 0, 8), 1)):
        assert [len(part) if isinstance(part, list) else part for part in faults_of(line.format(*values), str)] == [1, wrong]


def has_own_code(path):
    """Whether a source, or a header that it includes, tells architectures apart."""
    text = path.read_text()
    return bool(re.search('__CUDA_ARCH__ >=|ifdef KAPPASCOPE_WGMMA', text)) or any(
        map(has_own_code, (ROOT / name for name in re.findall(r'#include "(kernels/[^"]+)"', text))))


def flags_of(source, architectures):
    if source.stem == 'wgmma_product':
        return ['-gencode', 'arch=compute_90a,code=sm_90a', '-DKAPPASCOPE_WGMMA']
    codes = {}
    for architecture in architectures:
        codes.setdefault(PTX.get(architecture, architecture), []).append(f'sm_{architecture}')
    return [word for ptx, code in codes.items() for word in ('-gencode', f'arch=compute_{ptx},code=[{",".join(code)}]')]


def check_one(nvcc, build, source, architectures, folder):
    kept = kept_of(build, source)
    built = {architecture for architecture in architectures if f"for 'sm_{architecture}" in kept}
    count, faults = faults_of(kept, architectures=built)
    others = [architecture for architecture in architectures if architecture not in built
              and (architectures[architecture] or has_own_code(source))]
    if others and (source.stem != 'wgmma_product' or '90' in others):
        command = [nvcc, *FLAGS, *flags_of(source, others), '-o', folder / source.stem, source]
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode:
            return 0, [f'{source.name}: nvcc fails\n{done.stdout}']
        more, wrong = faults_of(done.stdout)
        count, faults = count + more, faults + wrong
    return count, [f'{source.name}, {fault}' for fault in faults]


def kept_of(build, source):
    """What the build kept of its compiler's output (cmake/with_registers.sh); empty where there is none."""
    kept = build.glob(f'CMakeFiles/kappascope_kernels_cuda*.dir/kernels/{source.name}.o.registers')
    return ''.join(path.read_text() for path in kept)


def main():
    check_itself()
    nvcc, build = sys.argv[1], pathlib.Path(sys.argv[2])
    known = subprocess.run([nvcc, '--list-gpu-code'], capture_output=True, text=True, check=True).stdout.split()
    # Whether every source is to be compiled for it.
    architectures = {word.rstrip('+'): not word.endswith('+') for word in sys.argv[3:] if f"sm_{word.rstrip('+')}" in known}
    sources = [path for path in (ROOT / 'kernels').glob('*.cu') if '__global__' in path.read_text()]
    sources.sort(key=lambda path: -path.stat().st_size)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = [pool.submit(check_one, nvcc, build, source, architectures, pathlib.Path(folder)) for source in sources]
        results = [one.result() for one in checked]
    faults = [fault for _, found in results for fault in found]
    print(f'{sum(count for count, _ in results)} kernels for {", ".join(architectures)}, {len(faults)} faults')
    for fault in faults:
        print('FAILED', fault)
    return 1 if faults or not results else 0


if __name__ == '__main__':
    sys.exit(main())
