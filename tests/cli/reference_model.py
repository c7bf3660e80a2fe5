"""The reference implementation's numbers of a checkpoint, for train_test.py; needs Torch and transformers.

reference_model.py REFERENCE FOLDER STEP IDS BOUND     IDS: a file with a JSON list of ids, one more than a row

Prints logits of the last position in evaluation, and the losses and the norm of their derivatives in
training, of the row with that bound U.
"""
import json
import pathlib
import sys

import torch


def load(reference, folder, step):
    sys.path.insert(0, reference)
    from nanochat.configuration_nanomoe_gpt import GPTConfig
    from nanochat.gpt import GPT
    meta = json.loads((folder / f'meta_{step:06d}.json').read_text())
    model = GPT(GPTConfig(**meta['model_config']))
    model.init_weights()
    state = torch.load(folder / f'model_{step:06d}.pt', weights_only=True)
    model.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    return model


def main():
    reference, folder, step, ids, bound = sys.argv[1:]
    model = load(reference, pathlib.Path(folder), int(step))
    ids = torch.tensor([json.loads(pathlib.Path(ids).read_text())])
    model.eval()
    with torch.no_grad():
        logits = model(ids[:, :-1])
    model.train()
    model.set_kappa_slope_max_scales(moe_kappa_slope_max_scale=float(bound))
    loss, losses = model(ids[:, :-1], ids[:, 1:])
    balance = 1e-3 * (2 - min(1, int(step) / 500))
    kappa_l2 = losses['kappa_bias_l2_loss'] + losses['kappa_scale_l2_loss']
    total = loss + balance * losses['aux_loss'] + 0.01 * kappa_l2
    total.backward()
    square = sum(float(value.grad.double().square().sum()) for value in model.parameters()
                 if value.grad is not None)
    print(json.dumps({'logits': logits[0, -1].tolist(), 'loss': float(losses['ntp_loss']),
                      'balance': float(losses['aux_loss']), 'router_z': float(losses['router_z_loss']),
                      'kappa_l2': float(kappa_l2), 'gradient': square ** 0.5}))


if __name__ == '__main__':
    main()
