"""The decoder against NumPy, against GPT-2 itself, and against causality."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import softmax

from iclax._errors import SettingError
from iclax.models import GPT, _gpt_layers as gpt_layers
from iclax.predictors import prefixes
from iclax.prompts import Prompt


def random_prompt(seed, n, d, batch=()):
    rng = np.random.default_rng(seed)
    shapes = ((n, d), (n,), (d,), (), ())
    return Prompt(*(jnp.asarray(rng.normal(size=(*batch, *s))) for s in shapes))


def random_gpt(seed, d, max_points, **options):
    """Like `GPT.init` without its compilations, and with weights that matter more."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(
        lambda key: GPT.init(d, max_points, key=key, **options), jr.key(0)
    )
    return jax.tree.map(lambda s: jnp.asarray(0.3 * rng.normal(size=s.shape)), shapes)


SMALL = dict(layers=2, heads=2, width=8)


def in_numpy(model, tokens):
    """The same decoder, one layer, head and position at a time."""
    model = jax.tree.map(np.asarray, model)

    def norm(s, weights):
        centered = s - s.mean(1, keepdims=True)
        deviation = np.sqrt((centered**2).mean(1, keepdims=True) + 1e-5)
        return centered / deviation * weights[0] + weights[1]

    stream = tokens @ model.read_in
    if model.read_in_bias is not None:
        stream = stream + model.read_in_bias
    stream = stream + model.positions[: len(tokens)]
    b, width = model.blocks, stream.shape[1]
    for layer in range(len(b.project)):
        mixed = norm(stream, b.norm_1[layer]) @ b.attend[layer] + b.attend_bias[layer]
        found, size = np.zeros_like(stream), width // model.heads
        for h in range(model.heads):
            own = slice(h * size, (h + 1) * size)
            q, k, v = (mixed[:, i * width :][:, own] for i in range(3))
            for t in range(len(stream)):
                scores = k[: t + 1] @ q[t] / size**0.5
                weights = (
                    softmax(scores)
                    if model.attention == "softmax"
                    else np.maximum(scores, 0) / (t + 1)
                )
                found[t, own] = weights @ v[: t + 1]
        stream = stream + found @ b.project[layer] + b.project_bias[layer]
        if b.expand is not None:
            hidden = norm(stream, b.norm_2[layer]) @ b.expand[layer]
            hidden = hidden + b.expand_bias[layer]
            cubic = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
            hidden = 0.5 * hidden * (1 + np.tanh(cubic))
            stream = stream + hidden @ b.contract[layer] + b.contract_bias[layer]
    out = norm(stream, model.norm) @ model.read_out
    return (out if model.read_out_bias is None else out + model.read_out_bias)[:, 0]


@pytest.mark.parametrize(
    "options",
    [
        dict(encoding="interleaved"),
        dict(encoding="padded", bias=False, mlp=0),
        dict(encoding="joint", attention="relu"),
    ],
    ids=str,
)
def test_equals_numpy(options):
    model, prompt = random_gpt(0, 3, 6, **SMALL, **options), random_prompt(1, 4, 3)
    expected = in_numpy(model, written_out(prompt, options["encoding"]))
    assert np.allclose(eqx.filter_jit(model)(prompt), expected[-1], rtol=1e-9)
    if options["encoding"] != "joint":
        found = eqx.filter_jit(model.prefixes)(prompt)
        assert np.allclose(found, expected[::2], rtol=1e-9)


def written_out(prompt, encoding):
    x, y, q = (np.asarray(a) for a in prompt[:3])
    if encoding == "joint":
        return np.vstack([np.c_[x, y], np.append(q, 0.0)])
    rows = []
    for point, label in zip(x, y, strict=True):
        pad = [0.0] if encoding == "padded" else []
        rows.append([*pad, *point])
        rows.append([label, *np.zeros(len(rows[0]) - 1)])
    return np.array([*rows, [*([0.0] if encoding == "padded" else []), *q]])


def test_each_prediction_sees_only_what_is_before_it():
    """In one pass equal to asking with the first i examples alone."""
    model, prompt = random_gpt(0, 3, 6, **SMALL), random_prompt(1, 4, 3)
    found = eqx.filter_jit(prefixes)(model, prompt)
    for i in (0, 2):
        at = prompt.xs[i]
        short = prompt._replace(xs=prompt.xs[:i], ys=prompt.ys[:i], query=at)
        assert np.allclose(eqx.filter_jit(model)(short), found[i], rtol=1e-9)


def test_slopes_of_layers_are_those_of_autodiff():
    """Also where fewer tokens ask than are seen, as in the last block."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape))
    seen = jnp.tril(jnp.ones((5, 5), bool))[::2]
    q, k, v = normal(2, 3, 8), normal(2, 5, 8), normal(2, 5, 8)
    attend = lambda layers: lambda *own: layers.attend(*own, seen, 2, "softmax")
    for layer, args in (
        (lambda layers: layers.dense, (normal(6, 4), normal(4, 3), normal(3))),
        (lambda layers: layers.norm, (normal(6, 4), normal(2, 4))),
        (attend, (q, k, v)),
    ):
        expected, back = jax.vjp(layer(gpt_layers.PLAIN), *args)
        found, quick_back = jax.vjp(layer(gpt_layers.quick()), *args)
        slope = normal(*expected.shape)
        pairs = zip((found, *quick_back(slope)), (expected, *back(slope)), strict=True)
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_batch_is_its_prompts(layers):
    """Forward and backward, for one seed and for two."""
    model = random_gpt(0, 3, 6, layers=layers, heads=2, width=8)
    batch = random_prompt(1, 4, 3, (2,))
    one = lambda i: jax.tree.map(lambda leaf: leaf[i], batch)
    loss = lambda m, p: jnp.sum(m.prefixes(p) ** 2)
    total = lambda m: jnp.sum(m.batch_prefixes(batch) ** 2)
    by_vmap = jax.jit(jax.vmap(model))(batch)
    assert np.allclose(eqx.filter_jit(model.batch)(batch), by_vmap, rtol=1e-9)
    found = eqx.filter_jit(eqx.filter_grad(total))(model)
    gradient = eqx.filter_jit(eqx.filter_grad(loss))
    expected = jax.tree.map(
        jnp.add, *(jax.tree.map(jnp.asarray, gradient(model, one(i))) for i in range(2))
    )
    seeds = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), model)
    together = eqx.filter_jit(eqx.filter_vmap(eqx.filter_grad(total)))(seeds)
    for a, b, c in zip(*map(jax.tree.leaves, (found, expected, together)), strict=True):
        assert np.allclose(a, b, rtol=1e-8, atol=1e-10)
        assert np.allclose(a, c[0], rtol=1e-8, atol=1e-10)


def test_sizes_of_the_literature(getkey):
    """12 blocks of 12 w² + 13 w, positions, norm, read-in and read-out."""
    shapes = jax.eval_shape(
        lambda k: GPT.init(20, 101, size="standard", key=k), getkey()
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 12 * (12 * 256**2 + 13 * 256) + 202 * 256 + 512 + 21 * 256 + 257


def test_initial_spread(getkey):
    model = GPT.init(20, 11, size="tiny", key=getkey())
    b = model.blocks
    for weights, spread in (
        (b.attend, 0.02),
        (b.contract, 0.02 / 6**0.5),
        (model.read_in, 60**-0.5),
    ):
        assert abs(np.std(weights) / spread - 1) < 5 / weights.size**0.5
    assert np.all(np.asarray(b.norm_1[:, 0]) == 1) and not np.any(b.attend_bias)


def test_refusals(getkey):
    for bad in (dict(size="huge"), dict(encoding="other"), dict(heads=3, width=64)):
        with pytest.raises(SettingError, match="model"):
            GPT.init(2, 3, key=getkey(), **bad)
    model = random_gpt(0, 3, 3, **SMALL, encoding="joint")
    with pytest.raises(SettingError, match="joint"):
        model.prefixes(random_prompt(0, 2, 3))
    with pytest.raises(SettingError, match="at most 3 tokens"):
        model(random_prompt(0, 3, 3))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_agrees_with_hugging_face(size):
    """GPT-2 of the transformers library on the same weights, to 1e-5."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model, prompt = random_gpt(3, 5, 8, size=size), random_prompt(2, 7, 5)
    model = jax.tree.map(lambda leaf: 0.3 * leaf, model)
    layers, width = model.blocks.project.shape[:2]
    config = transformers.GPT2Config(
        n_positions=len(model.positions),
        n_embd=width,
        n_layer=layers,
        n_head=model.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        vocab_size=1,
    )
    reference = transformers.GPT2Model(config).double().eval()
    reference.load_state_dict(hugging_face_weights(model, torch), strict=False)
    tokens = written_out(prompt, "interleaved") @ np.asarray(model.read_in)
    stream = torch.tensor(tokens + np.asarray(model.read_in_bias))
    with torch.no_grad():
        out = reference(inputs_embeds=stream[None]).last_hidden_state[0].numpy()
    expected = out @ np.asarray(model.read_out)[:, 0] + np.asarray(model.read_out_bias)
    found = eqx.filter_jit(model.prefixes)(prompt)
    assert np.std(expected) > 1e-2
    assert np.max(np.abs(found - expected[::2])) < 1e-5


def hugging_face_weights(model, torch):
    """Our weights under GPT-2's names."""
    b = model.blocks
    named = {
        "wpe.weight": model.positions,
        "ln_f.weight": model.norm[0],
        "ln_f.bias": model.norm[1],
    }
    for layer in range(len(b.project)):
        own = {
            "ln_1.weight": b.norm_1[layer, 0],
            "ln_1.bias": b.norm_1[layer, 1],
            "attn.c_attn.weight": b.attend[layer],
            "attn.c_attn.bias": b.attend_bias[layer],
            "attn.c_proj.weight": b.project[layer],
            "attn.c_proj.bias": b.project_bias[layer],
            "ln_2.weight": b.norm_2[layer, 0],
            "ln_2.bias": b.norm_2[layer, 1],
            "mlp.c_fc.weight": b.expand[layer],
            "mlp.c_fc.bias": b.expand_bias[layer],
            "mlp.c_proj.weight": b.contract[layer],
            "mlp.c_proj.bias": b.contract_bias[layer],
        }
        named |= {f"h.{layer}.{name}": value for name, value in own.items()}
    return {name: torch.tensor(np.array(value)) for name, value in named.items()}
