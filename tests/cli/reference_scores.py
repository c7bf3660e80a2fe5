"""What the reference implementation makes of the tasks of a bundle, for score_test.py; needs Torch, Jinja2,
PyYAML and tiktoken.

reference_scores.py REFERENCE FOLDER STEP TOKENIZER BUNDLE

Prints a list, of each task `label`, `accuracy`, `details` (of each example, as core_eval gives them) and `order`,
the lines of the examples in the file.
"""
import json
import pathlib
import pickle
import random
import sys

import yaml
from reference_model import load


class Tokenizer:
    """Of tiktoken, with the calls that core_eval makes."""

    def __init__(self, path):
        self.encoding = pickle.loads(path.read_bytes())

    def get_bos_token_id(self):
        return self.encoding.encode_single_token('<|bos|>')

    def __call__(self, texts, prepend, num_threads):
        return [[prepend, *self.encoding.encode_ordinary(text)] for text in texts]


def main():
    reference, folder, step, tokenizer, bundle = sys.argv[1:]
    model = load(reference, pathlib.Path(folder), int(step)).eval()
    model.max_seq_len = model.config.sequence_len  # longer prompts are cropped to it
    from nanochat import core_eval
    tokenizer = Tokenizer(pathlib.Path(tokenizer))
    bundle = pathlib.Path(bundle)
    found = []
    for task in yaml.safe_load((bundle / 'core.yaml').read_text())['icl_tasks']:
        lines = (bundle / 'eval_data' / task['dataset_uri']).read_text().split('\n')
        data = [json.loads(line) | {'line': number} for number, line in enumerate(lines, 1) if line.strip()]
        random.Random(1337).shuffle(data)
        meta = {'task_type': task['icl_task_type'], 'num_fewshot': task['num_fewshot'][0],
                'continuation_delimiter': task.get('continuation_delimiter', ' ')}
        details = [core_eval.evaluate_example_details(i, model, tokenizer, data, 'cpu', meta)
                   for i in range(len(data))]
        found.append({'label': task['label'], 'order': [item['line'] for item in data], 'details': details,
                      'accuracy': sum(one['is_correct'] for one in details) / len(data)})
    print(json.dumps(found))


main()
