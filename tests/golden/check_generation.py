"""What models generate, greedily, against the transformers package: 32 tokens after the first tokens of their
goldens, the same as far as no near tie of logits decides.

check_generation.py BUILD_FOLDER MODEL_FOLDER...        77 where the peers' Python has no transformers 5
check_generation.py --peer                              reads lines {folder, ids}, prints {ids, gaps}
"""
import json, pathlib, subprocess, sys
import numpy as np

TOKENS, PROMPT, NEAR_TIE = 32, 16, 1e-3
NEEDED = 'import transformers, torch; transformers.PreTrainedModel.set_experts_implementation'  # 5 or newer


def answer_as_peer():
    import torch, transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for line in sys.stdin:
        one = json.loads(line)
        if json.loads((pathlib.Path(one['folder']) / 'config.json').read_text()).get('quantization_config'):
            print(json.dumps({'ids': None}), flush=True)  # it needs packages of its own for these
            continue
        model = transformers.AutoModelForCausalLM.from_pretrained(one['folder'], dtype=torch.float32,
                                                                  attn_implementation='eager').eval()
        ids = torch.tensor([one['ids']])
        model.generation_config.eos_token_id = None
        with torch.no_grad():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS,
                                 pad_token_id=0, output_logits=True, return_dict_in_generate=True)
        best = [logits[0].topk(2).values for logits in out.logits]
        print(json.dumps({'ids': out.sequences[0].tolist(), 'gaps': [float(two[0] - two[1]) for two in best]}), flush=True)


def peer():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'cli'))
    from peer_python import start_words
    command, environment = start_words('-B', __file__, '--peer')
    try:
        test = subprocess.run([*command[:1], '-c', NEEDED], env=environment, capture_output=True)
    except OSError:
        return None
    if test.returncode:
        return None
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def prompt_of(folder):
    golden = sorted((folder / 'golden').glob('*.npz'))[0]
    return [int(id) for id in np.load(golden)['token_ids'].ravel()[:PROMPT]]


def ours(program, folder, ids):
    found = subprocess.run([program, 'generate', folder, '--ids', '-', '--tokens', str(TOKENS), '--ignore-end', '--json', '-q',
                            '--device', 'cpu'], input=json.dumps(ids), capture_output=True, text=True)
    return json.loads(found.stdout)['token_ids'] if found.returncode == 0 else found.stderr


def main():
    program, folders = pathlib.Path(sys.argv[1]) / 'kappascope', [pathlib.Path(word) for word in sys.argv[2:]]
    other = peer()
    if other is None:
        print("skipped: no transformers 5 in the peers' Python (KAPPASCOPE_PEER_PYTHON)")
        return 77
    failed = False
    for folder in folders:
        ids = prompt_of(folder)
        print(json.dumps({'folder': str(folder), 'ids': ids}), file=other.stdin, flush=True)
        found, expected = ours(program, folder, ids), json.loads(other.stdout.readline())
        if expected['ids'] is None:
            print('skipped', folder.name, 'quantised')
            continue
        same = next((t for t, (a, b) in enumerate(zip(found, expected['ids'])) if a != b), len(expected['ids']))
        all_same = same == len(found) == len(expected['ids'])
        gap = None if all_same or same < len(ids) else expected['gaps'][same - len(ids)]
        good = all_same or (gap is not None and gap < NEAR_TIE)
        failed = failed or not good
        print('ok    ' if good else 'WRONG ', folder.name, f'{same - len(ids)} tokens', '' if all_same else f'gap {gap}: {found}')
    other.stdin.close()
    return int(failed)


if __name__ == '__main__':
    sys.exit(answer_as_peer() if sys.argv[1:] == ['--peer'] else main())
