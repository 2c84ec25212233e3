"""What a user would write in eager PyTorch, data generation included."""

from collections.abc import Callable
from typing import Any

import torch


def _stepper(parameters: Any, loss: Callable[[], Any], optimizer: Any, steps: int):
    def run() -> float:
        for _ in range(steps):
            value = loss()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            last = value.item()
        return last

    return run


def one_layer(d: int, n: int, batch: int, steps: int) -> Callable[[], float]:
    """One-layer linear attention on the whole token matrix, AdamW."""
    e = d + 1
    key, query, value, project = (
        torch.nn.Parameter(0.1 * torch.randn(e, e)) for _ in range(4)
    )
    weights = [key, query, value, project]
    mask = torch.ones(n + 1)
    mask[-1] = 0

    def loss():
        x, w = torch.randn(batch, n + 1, d), torch.randn(batch, d, 1)
        y = x @ w
        target = y[:, -1, 0]
        hidden = y.clone()
        hidden[:, -1] = 0
        z = torch.cat([x, hidden], -1)
        scores = ((z @ query.T) @ (z @ key.T).transpose(1, 2)) * mask
        out = z + (scores @ (z @ value.T)) @ project.T / n
        return ((out[:, -1, -1] - target) ** 2).mean()

    return _stepper(weights, loss, torch.optim.AdamW(weights, lr=1e-3), steps)


def stack(d: int, n: int, batch: int, layers: int, steps: int) -> Callable[[], float]:
    """Merged linear attention, `layers` deep, on the whole token matrix; fixed data."""
    e = d + 1
    weights = [
        torch.nn.Parameter(0.1 * torch.randn(layers, e, e)),
        torch.nn.Parameter(0.1 * torch.randn(layers, e, e)),
    ]
    x, w = torch.randn(batch, n + 1, d), torch.randn(batch, d, 1)
    y = x @ w
    target = y[:, -1, 0].clone()
    y[:, -1] = 0
    tokens = torch.cat([x, y], -1)
    mask = torch.ones(n + 1, 1)
    mask[-1] = 0

    def loss():
        z = tokens
        for q, p in zip(*weights, strict=True):
            scores = (z @ q) @ z.transpose(1, 2)
            z = z + (scores @ (mask * (z @ p))) / n
        return ((z[:, -1, -1] + target) ** 2).mean()

    return _stepper(weights, loss, torch.optim.AdamW(weights, lr=1e-3), steps)


def fixed_prompts(
    data: Any, heads: int, steps: int
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Merged linear attention of `heads` heads on fixed prompts, full batch: directly,
    and as the equivalent two-layer linear net on cubic features."""
    xs, ys, query, target = (torch.tensor(a) for a in data)
    n, d = xs.shape[1:]
    asked = torch.cat([query, torch.zeros(len(query), 1)], 1)[:, None]
    tokens = torch.cat([torch.cat([xs, ys[:, :, None]], 2), asked], 1)
    e = d + 1
    value = torch.nn.Parameter(0.1 * torch.randn(heads, e, e))
    key_query = torch.nn.Parameter(0.1 * torch.randn(heads, e, e))

    def direct():
        out = tokens
        for v, k in zip(value, key_query, strict=True):
            scores = tokens @ k @ tokens.transpose(1, 2)
            out = out + scores @ (tokens @ v.T) / n
        return ((out[:, -1, -1] - target) ** 2).mean()

    gram = tokens.transpose(1, 2) @ tokens / n
    rows, columns = torch.triu_indices(e, e)
    features = (gram[:, rows, columns][:, :, None] * query[:, None]).flatten(1)
    first = torch.nn.Parameter(0.1 * torch.randn(features.shape[1], heads))
    second = torch.nn.Parameter(0.1 * torch.randn(heads, 1))

    def net():
        return (((features @ first @ second)[:, 0] - target) ** 2).mean()

    pairs = (([value, key_query], direct), ([first, second], net))
    return tuple(
        _stepper(w, loss, torch.optim.SGD(w, lr=1e-3), steps) for w, loss in pairs
    )


def gpt(
    layers: int, heads: int, width: int, d: int, points: int, batch: int, steps: int
) -> Callable[[], float]:
    """Hugging Face's GPT-2 on interleaved tokens, loss at all points, Adam."""
    import transformers

    config = transformers.GPT2Config(
        n_positions=2 * points,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    body = transformers.GPT2Model(config)
    read_in, read_out = torch.nn.Linear(d, width), torch.nn.Linear(width, 1)
    weights = [p for part in (body, read_in, read_out) for p in part.parameters()]

    def loss():
        x, w = torch.randn(batch, points, d), torch.randn(batch, d, 1)
        y = (x @ w)[:, :, 0]
        labels = torch.zeros_like(x)
        labels[:, :, 0] = y
        z = torch.stack([x, labels], 2).reshape(batch, 2 * points, d)
        out = read_out(body(inputs_embeds=read_in(z)).last_hidden_state)
        return ((out[:, ::2, 0] - y) ** 2).mean()

    return _stepper(weights, loss, torch.optim.Adam(weights, lr=1e-4), steps)
