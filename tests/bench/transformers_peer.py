"""The transformers package as a program of works (work.h): random models of the families, saved for
the other side, their prefill, and single tokens after a prompt.

{"make": FAMILY, "folder": F, "threads": N} → {}; with "device": "cuda" and "dtype" there and so
{"run": {"tokens": T, "experts": "eager" or "grouped_mm"}} → {"seconds": S, "nll": summed loss}
{"run": {"tokens": T, "steps": N, "experts": …}} → the same of N single tokens after T, seconds of one
{"run": {"moved": N}} → {"seconds": S} of a copy on the GPU that reads and writes N bytes in all
"""
import json
import sys
import time

import torch
import transformers

COMMON = dict(vocab_size=2048, hidden_size=512, num_hidden_layers=4, num_attention_heads=8,
              num_experts=64, num_experts_per_tok=8, max_position_embeddings=4096,
              initializer_range=0.05)
FAMILIES = {
    "qwen3_moe": dict(COMMON, num_key_value_heads=4, head_dim=64, moe_intermediate_size=512,
                      intermediate_size=512, norm_topk_prob=True),
    "olmoe": dict(COMMON, num_key_value_heads=8, intermediate_size=512),
    "deepseek_v3": dict(COMMON, n_routed_experts=64, num_key_value_heads=8, q_lora_rank=256, kv_lora_rank=128,
                        qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64, n_group=4, topk_group=2,
                        n_shared_experts=1, moe_intermediate_size=512, intermediate_size=1024,
                        first_k_dense_replace=1),
    "qwen3_next": dict(COMMON, num_key_value_heads=2, head_dim=64, linear_num_key_heads=4, linear_num_value_heads=8,
                       linear_key_head_dim=64, linear_value_head_dim=64, moe_intermediate_size=512,
                       shared_expert_intermediate_size=512, intermediate_size=512),
}
# Layers as OLMoE-1B-7B and Qwen3-30B-A3B have them, four of each.
LARGE = {
    "olmoe": dict(COMMON, vocab_size=50304, hidden_size=2048, num_attention_heads=16, num_key_value_heads=16,
                  intermediate_size=1024),
    "qwen3_moe": dict(COMMON, vocab_size=151936, hidden_size=2048, num_attention_heads=32, num_key_value_heads=4,
                      head_dim=128, num_experts=128, moe_intermediate_size=768, intermediate_size=6144,
                      norm_topk_prob=True),
}


def make(work, folder, threads, device="cpu", dtype="float32"):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    sizes = FAMILIES if device == "cpu" else LARGE
    config = transformers.AutoConfig.for_model(work, **sizes[work])
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    model.save_pretrained(folder)
    return model


def now():
    """Seconds; what was asked of a GPU is done by then."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def copy(moved):
    source = torch.zeros(moved // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    begin = now()
    for _ in range(10):
        target.copy_(source)
    return {"seconds": (now() - begin) / 10}


def made_up(model, tokens):
    return torch.tensor([[(t * 7919 + t // 3) % model.config.vocab_size for t in range(tokens)]],
                        device=model.device)


def decode(model, tokens, steps, experts):
    model.set_experts_implementation(experts)
    ids, nll = made_up(model, tokens + steps + 1), 0.0
    with torch.no_grad():
        past = model(ids[:, :tokens], use_cache=True, logits_to_keep=1).past_key_values
        begin = now()
        for t in range(tokens, tokens + steps):
            out = model(ids[:, t:t + 1], past_key_values=past, use_cache=True)
            past = out.past_key_values
            nll -= float(torch.log_softmax(out.logits[0, -1].double(), 0)[ids[0, t + 1]])
        seconds = (now() - begin) / steps
    return {"seconds": seconds, "nll": nll}


def prefill(model, tokens, experts):
    model.set_experts_implementation(experts)
    ids = made_up(model, tokens)
    with torch.no_grad():
        begin = now()
        logits = model(ids, use_cache=False).logits
        seconds = now() - begin
    logs = torch.log_softmax(logits[0, :-1].double(), 1)
    return {"seconds": seconds, "nll": float(-logs[range(tokens - 1), ids[0, 1:]].sum())}


def main():
    transformers.utils.logging.disable_progress_bar()
    model = None
    for line in sys.stdin:
        command = json.loads(line)
        answer = {}
        if "make" in command:
            model = make(command.pop("make"), **command)
        else:
            words = command["run"]
            answer = (copy(**words) if "moved" in words else
                      decode(model, **words) if "steps" in words else prefill(model, **words))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
