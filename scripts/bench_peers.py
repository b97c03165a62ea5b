"""The peers of scripts/bench: the reference load in JAX and PyTorch, each in its strongest idiomatic form.

A worker per peer: `bench_peers.py PEER LOAD-AS-JSON`. It prepares and compiles, prints one JSON line about that, and then
answers every line on its standard input with one measured repeat. Backward passes are written by hand, which saves the
peers what automatic differentiation would store; networks of one shape are stacked. Statistics per layer and network:
mean, std, l2 and abs_max of z, h, delta, dLoss/dh, W and dLoss/dW.
"""

import csv
import json
import os
import resource
import sys
import time

QUANTITIES = ["preact", "act", "preact_grad", "act_grad", "weight", "weight_grad"]
STATISTICS = ["mean", "std", "l2", "abs_max"]


def jax_peer(name, load):
    if name == "jax_sharded_map":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={load['threads']}"
    import jax
    import jax.numpy as jnp
    from jax import lax

    if name == "jax_sharded_map" and jax.devices()[0].platform != "cpu":
        raise SystemExit("one device per core exists on CPUs alone")
    jax.config.update("jax_default_matmul_precision", "float32")
    networks, depth, width, batch = (load[k] for k in ["networks", "depth", "width", "batch_size"])

    def statistics(x):
        # One pass: XLA fuses the three reductions.
        mean, square = jnp.mean(x), jnp.mean(x * x)
        std = jnp.sqrt(jnp.maximum(square - mean * mean, 0.0))
        return jnp.stack([mean, std, jnp.sqrt(square * x.size), jnp.max(jnp.abs(x))])

    def network(weights, x, cotangent):
        """weights [depth, width, width], x and cotangent [batch, width] -> [depth, quantities, statistics]."""

        def forward(h, w):
            z = h @ w.T
            after = jnp.tanh(z)
            return after, (h, after, jnp.stack([statistics(z), statistics(after), statistics(w)]))

        def backward(g, layer):
            w, before, after = layer
            delta = g * (1.0 - after * after)
            weight_grad = delta.T @ before
            rows = jnp.stack([statistics(delta), statistics(g), statistics(weight_grad)])
            return delta @ w, rows

        _, (before, after, first) = lax.scan(forward, x, weights)
        _, second = lax.scan(backward, cotangent, (weights, before, after), reverse=True)
        return jnp.concatenate([first[:, :2], second[:, :2], first[:, 2:], second[:, 2:]], axis=1)

    def draw(key):
        a, b, c = jax.random.split(key, 3)
        weights = jax.random.normal(a, (networks, depth, width, width), jnp.float32) / width**0.5
        x = jax.random.normal(b, (networks, batch, width), jnp.float32)
        return weights, x, jax.random.normal(c, (networks, batch, width), jnp.float32)

    everything = {
        "jax_vmap": jax.vmap(network),
        "jax_vmap_csv": jax.vmap(network),
        "jax_map": lambda *stacked: lax.map(lambda one: network(*one), stacked),
        "jax_loop": network,
        "jax_sharded_map": lambda *stacked: lax.map(lambda one: network(*one), stacked),
    }[name]
    arguments = jax.jit(draw)(jax.random.key(1))
    if name == "jax_sharded_map":
        from jax.sharding import NamedSharding, PartitionSpec

        mesh = jax.make_mesh((load["threads"],), ("core",))
        spec = PartitionSpec("core")
        # Each core runs its own networks; check_vma off because a scan carry starts as a constant.
        everything = jax.shard_map(everything, mesh=mesh, in_specs=(spec,) * 3, out_specs=spec, check_vma=False)
        arguments = jax.device_put(arguments, NamedSharding(mesh, spec))
    if name == "jax_loop":
        arguments = [tuple(a[i] for a in arguments) for i in range(networks)]
    if name == "jax_vmap_csv":
        both = everything
        everything, arguments = (lambda key: both(*draw(key))), (jax.random.key(1),)
    jax.block_until_ready(arguments)
    one = arguments[0] if name == "jax_loop" else arguments
    started = time.perf_counter()
    compiled = jax.jit(everything).lower(*one).compile()
    compile_seconds = time.perf_counter() - started

    def run():
        if name == "jax_loop":
            results = [compiled(*each) for each in arguments]
            return jax.device_get(results)
        result = jax.device_get(compiled(*arguments))
        if name == "jax_vmap_csv":
            write_csv(result, load["folder"])
        return result

    device = jax.devices()[0]
    about = f"jax {jax.__version__}, {device.platform} {getattr(device, 'device_kind', '')}".strip()
    return run, compile_seconds, about


def torch_peer(name, load):
    import torch

    device = "cuda" if load["gpu"] and torch.cuda.is_available() else "cpu"
    torch.set_num_threads(load["threads"])
    torch.backends.cuda.matmul.allow_tf32 = False
    networks, depth, width, batch = (load[k] for k in ["networks", "depth", "width", "batch_size"])
    generator = torch.Generator(device=device).manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=generator, device=device)
    weights = normal(depth, networks, width, width) / width**0.5
    x, cotangent = normal(networks, batch, width), normal(networks, batch, width)

    def statistics(t):
        t = t.flatten(1)
        std, mean = torch.std_mean(t, dim=1, correction=0)
        return torch.stack([mean, std, torch.linalg.vector_norm(t, dim=1), t.abs().amax(dim=1)], dim=1)

    def everything(weights, x, cotangent):
        h, g, layers, first, second = x, cotangent, [], [], []
        for w in weights:
            z = torch.bmm(h, w.transpose(1, 2))
            after = torch.tanh(z)
            first.append(torch.stack([statistics(z), statistics(after), statistics(w)], dim=1))
            layers.append((w, h, after))
            h = after
        for w, before, after in reversed(layers):
            delta = g * (1.0 - after * after)
            weight_grad = torch.bmm(delta.transpose(1, 2), before)
            second.append(torch.stack([statistics(delta), statistics(g), statistics(weight_grad)], dim=1))
            g = torch.bmm(delta, w)
        first, second = torch.stack(first, dim=1), torch.stack(second[::-1], dim=1)
        return torch.cat([first[:, :, :2], second[:, :, :2], first[:, :, 2:], second[:, :, 2:]], dim=2)

    call = torch.compile(everything) if name == "torch_compile" else everything
    with torch.no_grad():
        started = time.perf_counter()
        call(weights, x, cotangent).cpu()
        compile_seconds = time.perf_counter() - started if name == "torch_compile" else 0.0

    def run():
        with torch.no_grad():
            return call(weights, x, cotangent).cpu().numpy()

    return run, compile_seconds, f"torch {torch.__version__}, {device}"


def write_csv(result, folder):
    """The statistics as a table on disk, as gradsweep leaves them."""
    with open(os.path.join(folder, "peer.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "layer"] + [f"{q}_{s}" for q in QUANTITIES for s in STATISTICS])
        for network, layers in enumerate(result.tolist()):
            for layer, quantities in enumerate(layers, start=1):
                writer.writerow([network, layer] + [v for quantity in quantities for v in quantity])
        file.flush()
        os.fsync(file.fileno())


def total_log10_ratios(result):
    """log10(|delta_1|^2 / |delta_L|^2) per network, to compare contenders."""
    import numpy as np

    norms = np.asarray(result)[:, :, QUANTITIES.index("preact_grad"), STATISTICS.index("l2")].astype(np.float64)
    return (2.0 * np.log10(norms[:, 0] / norms[:, -1])).tolist()


def say(**values):
    print(json.dumps(values), flush=True)


def main():
    name, load = sys.argv[1], json.loads(sys.argv[2])
    try:
        make = jax_peer if name.startswith("jax") else torch_peer
        run, compile_seconds, about = make(name, load)
    except ImportError as error:
        say(error=str(error))
        return
    ratios = total_log10_ratios(run())
    say(compile_seconds=compile_seconds, about=about, ratios=ratios)
    for _ in sys.stdin:
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
        say(seconds=seconds, peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


main()
