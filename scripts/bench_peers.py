"""The peers of scripts/bench: a load in JAX and PyTorch, each in its strongest idiomatic form.

A worker per peer: `bench_peers.py PEER LOAD-AS-JSON`. It prepares and compiles, prints one JSON line about that, and then
answers every line on its standard input with one measured repeat. Backward passes are written by hand, which saves the
peers what automatic differentiation would store; networks of one shape are stacked; statistics take the cheap forms that
gradsweep takes. `basic` is what gradsweep's basic set holds (logarithms and roots of these cost nothing); `light` is mean,
std, l2 and abs_max of z, h, delta, dLoss/dh, W and dLoss/dW alone.
"""

import csv
import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

QUANTITIES = ["preact", "act", "weight", "preact_grad", "act_grad", "weight_grad", "bias_grad"]
BASIC = ["mean", "std", "l2", "abs_max", "zero_frac", "nonfinite"]
LIGHT = ["mean", "std", "l2", "abs_max"]
DERIVED = ["phi_grad_mean", "phi_grad_rms", "saturated_frac", "active_frac", "preact_cos", "act_cos", "grad_cos",
           "sample_log10_grad_std", "weight_dot_grad", "path_factor_abs_mean", "path_factor_rms", "path_factor_abs_max"]


def layer_statistics(light=False):
    """Functions that give a layer's statistics in the forward and in the backward pass, and those of paths."""
    import jax.numpy as jnp
    from jax import lax

    def statistics(x):
        # XLA fuses the reductions into one pass.
        mean, square = jnp.mean(x), jnp.mean(x * x)
        values = [mean, jnp.sqrt(jnp.maximum(square - mean * mean, 0.0)), jnp.sqrt(square * x.size), jnp.max(jnp.abs(x))]
        if not light:
            values += [jnp.mean(x == 0.0), jnp.sum(~jnp.isfinite(x)).astype(jnp.float32)]
        return jnp.stack(values)

    def cosine(x):
        """Mean cosine over pairs of rows, from the sum of the unit rows."""
        batch = x.shape[0]
        units = x * lax.rsqrt(jnp.sum(x * x, axis=1, keepdims=True))
        return (jnp.sum(jnp.sum(units, axis=0) ** 2) - batch) / (batch * (batch - 1))

    def of_forward(z, u, after, slope, w):
        """Moments; unless light, derived columns and what `of_paths` needs."""
        moments = jnp.stack([statistics(z), statistics(after), statistics(w)])
        if light:
            return (moments,)
        derived = [jnp.mean(slope), jnp.sqrt(jnp.mean(slope * slope)), jnp.mean(slope < 0.01), jnp.mean(u > 0.0),
                   cosine(z), cosine(after)]
        # The factors |W_{l+1}[i,j] phi'(u_l[b,j])| separate into sums and maxima per unit j.
        size = jnp.abs(w)
        of_slope = jnp.stack([jnp.mean(slope, axis=0), jnp.mean(slope * slope, axis=0), jnp.max(slope, axis=0)])
        of_weight = jnp.stack([jnp.mean(size, axis=0), jnp.mean(w * w, axis=0), jnp.max(size, axis=0)])
        return moments, jnp.stack(derived), of_slope, of_weight

    def of_backward(delta, g, w, weight_grad):
        moments = [statistics(delta), statistics(g), statistics(weight_grad)]
        if light:
            return (jnp.stack(moments),)
        moments.append(statistics(jnp.sum(delta, axis=0)))
        logs = 0.5 * jnp.log10(jnp.sum(delta * delta, axis=1))
        derived = [cosine(delta), jnp.std(logs), jnp.sum(w * weight_grad)]
        return jnp.stack(moments), jnp.stack(derived)

    def of_paths(of_slope, of_weight):
        product = of_slope * of_weight
        return jnp.stack([jnp.mean(product[:, 0], axis=1), jnp.sqrt(jnp.mean(product[:, 1], axis=1)),
                          jnp.max(product[:, 2], axis=1)], axis=1)

    return of_forward, of_backward, of_paths


def host_devices(load):
    """A device per core, each with its own networks: on CPUs alone, before JAX is imported."""
    if not load["gpu"]:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={load['threads']}"


def block_elements(load):
    """Small networks go in blocks of so many elements, vectorised inside: a step of the map has a price."""
    return 2**22 if load["gpu"] else 2**14


def about_jax():
    import jax

    device = jax.devices()[0]
    return f"jax {jax.__version__}, {device.platform} {getattr(device, 'device_kind', '')}".strip()


def jax_peer(name, load):
    sharded = not load["gpu"] and (name.startswith("jax_sharded") or name == "jax_whole")
    if sharded:
        host_devices(load)
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    jax.config.update("jax_default_matmul_precision", "float32")
    networks, depth, width, batch = (load[k] for k in ["networks", "depth", "width", "batch_size"])

    of_forward, of_backward, of_paths = layer_statistics(name.endswith("_light"))

    def network(weights, x, cotangent):
        """weights [depth, width, width], x and cotangent [batch, width] -> moments and derived columns by layer."""

        def forward(h, w):
            z = h @ w.T
            after = jnp.tanh(z)
            return after, (h, after, of_forward(z, z, after, 1.0 - after * after, w))

        def backward(g, layer):
            w, before, after = layer
            delta = g * (1.0 - after * after)
            weight_grad = delta.T @ before
            return delta @ w, of_backward(delta, g, w, weight_grad)

        _, (before, after, first) = lax.scan(forward, x, weights)
        _, second = lax.scan(backward, cotangent, (weights, before, after), reverse=True)
        moments = jnp.concatenate([first[0], second[0]], axis=1)
        if len(first) == 1:
            return moments, jnp.zeros((depth, 1))
        # The last layer has no next one.
        paths = of_paths(first[2], jnp.roll(first[3], -1, axis=0)).at[-1].set(jnp.nan)
        return moments, jnp.concatenate([first[1], second[1], paths], axis=1)

    def draw_one(key):
        a, b, c = jax.random.split(key, 3)
        weights = jax.random.normal(a, (depth, width, width), jnp.float32) / width**0.5
        x = jax.random.normal(b, (batch, width), jnp.float32)
        return weights, x, jax.random.normal(c, (batch, width), jnp.float32)

    block = min(block_elements(load) // (width * batch), networks // (load["threads"] if sharded else 1))
    block = block if block > 1 else None
    mapped = lambda *stacked: lax.map(lambda one: network(*one), stacked, batch_size=block)
    everything = {
        "jax_vmap": jax.vmap(network),
        "jax_map": mapped,
        "jax_sharded_map": mapped,
        "jax_sharded_vmap": jax.vmap(network),
        "jax_sharded_map_light": mapped,
        "jax_loop": network,
        "jax_whole": lambda keys: lax.map(lambda key: network(*draw_one(key)), keys, batch_size=block),
    }[name]
    keys = jax.random.split(jax.random.key(1), networks)
    arguments = (keys,) if name == "jax_whole" else jax.jit(jax.vmap(draw_one))(keys)
    if sharded:
        from jax.sharding import NamedSharding, PartitionSpec

        mesh, spec = jax.make_mesh((len(jax.devices()),), ("core",)), PartitionSpec("core")
        # check_vma off: the carry of a scan starts as a constant.
        everything = jax.shard_map(everything, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
        arguments = jax.device_put(arguments, NamedSharding(mesh, spec))
    if name == "jax_loop":
        arguments = [tuple(a[i] for a in arguments) for i in range(networks)]
    jax.block_until_ready(arguments)
    started = time.perf_counter()
    compiled = jax.jit(everything).lower(*(arguments[0] if name == "jax_loop" else arguments)).compile()
    compile_seconds = time.perf_counter() - started

    def run():
        if name == "jax_loop":
            # The calls are queued and fetched together.
            each = jax.device_get([compiled(*one) for one in arguments])
            return tuple(map(np.stack, zip(*each)))
        moments, derived = jax.device_get(compiled(*arguments))
        if name == "jax_whole":
            write_csv(moments, derived, load["folder"])
        return moments, derived

    return run, compile_seconds, about_jax(), plain_ratios


def packed_peer(_, load):
    """The mixed load. Networks of one width, norm and residual form stand one after another in lanes, a scan goes over all
    layers of a lane and starts afresh where a network starts: nothing is padded but the ends of the lanes. A program per
    width, norm and residual form. Weights are ready in memory, and for less of it shared by the norms and residual forms;
    networks of a lane share their input and cotangent.
    """
    host_devices(load)
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax
    from jax.sharding import NamedSharding, PartitionSpec

    jax.config.update("jax_default_matmul_precision", "float32")
    depths, widths, replicates, batch, cores = (load[k] for k in ["depths", "widths", "replicates", "batch_size", "threads"])
    of_forward, of_backward, of_paths = layer_statistics()

    # Longest first, each in the lane with the most room.
    count = cores * max(1, replicates * sum(depths) // (2 * max(depths) * cores))
    lengths, places = [0] * count, {}
    for depth, replicate in sorted(((d, r) for d in depths for r in range(replicates)), reverse=True):
        lane = lengths.index(min(lengths))
        places[depth, replicate] = lane, lengths[lane]
        lengths[lane] += depth
    starts, ends = np.zeros((2, count, max(lengths)), bool)
    for (depth, _), (lane, start) in places.items():
        starts[lane, start], ends[lane, start + depth - 1] = True, True

    def program(width, norm, residual):
        axis = 0 if norm == "batch" else 1

        def normalise(v):
            if norm == "none":
                return v, jnp.ones(())
            if norm != "rms":
                v = v - jnp.mean(v, axis, keepdims=True)
            scale = lax.rsqrt(jnp.mean(v * v, axis, keepdims=True) + 1e-5)
            return v * scale, scale

        def before_norm(g, u, scale):
            if norm == "none":
                return g
            inner = g - u * jnp.mean(g * u, axis, keepdims=True)
            return scale * (inner if norm == "rms" else inner - jnp.mean(g, axis, keepdims=True))

        def lane(weights, x, cotangent, starts, ends):
            """weights [layers, width, width], x and cotangent [batch, width], starts and ends [layers]."""
            if norm == "none" and residual != "none":
                # Gradients grow by up to 30 decades, their squares beyond float32.
                cotangent = cotangent * 2.0**-46

            def forward(h, layer):
                w, start = layer
                before = h = jnp.where(start, x, h)
                if residual == "pre_act":
                    u, scale = normalise(h)
                    before = jnp.maximum(u, 0.0)
                z = before @ w.T
                if residual == "pre_act":
                    after = h + z
                else:
                    u, scale = normalise(z)
                    after = jnp.maximum(u, 0.0) + (h if residual == "post_act" else 0.0)
                return after, (before, u, scale, of_forward(z, u, after, (u > 0.0).astype(jnp.float32), w))

            def backward(g, layer):
                w, end, before, u, scale = layer
                g = jnp.where(end, cotangent, g)
                delta = g if residual == "pre_act" else before_norm(jnp.where(u > 0.0, g, 0.0), u, scale)
                into = delta @ w
                if residual == "pre_act":
                    into = before_norm(jnp.where(u > 0.0, into, 0.0), u, scale)
                if residual != "none":
                    into += g
                return into, of_backward(delta, g, w, delta.T @ before)

            _, (*stored, first) = lax.scan(forward, x, (weights, starts))
            _, second = lax.scan(backward, cotangent, (weights, ends, *stored), reverse=True)
            of_slope, of_weight = first[2:]
            if residual == "pre_act":
                paths = of_paths(of_slope, of_weight)
            else:
                paths = jnp.where(ends[:, None], jnp.nan, of_paths(of_slope, jnp.roll(of_weight, -1, axis=0)))
            return jnp.concatenate([first[0], second[0]], axis=1), jnp.concatenate([first[1], second[1], paths], axis=1)

        block = min(block_elements(load) // (width * batch), count // cores)
        lanes = lambda *stacked: lax.map(lambda one: lane(*one), stacked, batch_size=block if block > 1 else None)
        return jax.jit(jax.shard_map(lanes, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))

    mesh, spec = jax.make_mesh((len(jax.devices()),), ("core",)), PartitionSpec("core")
    sharding = NamedSharding(mesh, spec)
    where = tuple(jax.device_put(a, sharding) for a in (starts, ends))

    def draw(width):
        a, b, c = jax.random.split(jax.random.key(width), 3)
        shapes = [(count, max(lengths), width, width), (count, batch, width), (count, batch, width)]
        scales = [(2.0 / width) ** 0.5, 1.0, 1.0]
        drawn = [jax.random.normal(key, shape, jnp.float32) * scale for key, shape, scale in zip((a, b, c), shapes, scales)]
        return *jax.device_put(drawn, sharding), *where

    kinds = [(width, norm, residual) for width in widths for norm in load["norms"] for residual in load["residuals"]]
    arguments = {width: draw(width) for width in widths}
    jax.block_until_ready(arguments)
    started = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        programs = list(pool.map(lambda kind: program(*kind).lower(*arguments[kind[0]]).compile(), kinds))
    compile_seconds = time.perf_counter() - started

    def run():
        # The calls are queued and fetched together.
        results = jax.device_get([call(*arguments[width]) for call, (width, *_) in zip(programs, kinds)])
        return tuple(zip(*results))

    def ratios(moments):
        groups = {}
        for depth in depths:
            for (_, norm, residual), lanes in zip(kinds, moments):
                own = [lanes[lane, start : start + depth] for lane, start in (places[depth, r] for r in range(replicates))]
                groups.setdefault(f"{norm} {residual}", []).extend(total_log10_ratios(np.stack(own)))
        return groups

    return run, compile_seconds, about_jax(), ratios


def matmul_rate(load):
    """Best rate of C = A B in float32 over several tries, by JAX and, on CPUs, by NumPy: flops per second, size, library."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    jax.config.update("jax_default_matmul_precision", "float32")
    size = 8192 if load["gpu"] else 1024
    a = jax.random.normal(jax.random.key(1), (size, size), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    forms = {f"jax {jax.__version__}": lambda: multiply(a, a).block_until_ready()}
    if not load["gpu"]:
        host = np.asarray(a)
        forms[f"numpy {np.__version__}"] = lambda: host @ host
    rates = {}
    for form, run in forms.items():
        run()
        seconds = []
        for _ in range(30):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        rates[form] = 2.0 * size**3 / min(seconds)
    best = max(rates, key=rates.get)
    return rates[best], size, best


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
        return torch.cat([torch.stack(first, dim=1), torch.stack(second[::-1], dim=1)], dim=2)

    call = torch.compile(everything) if name == "torch_compile" else everything
    with torch.no_grad():
        started = time.perf_counter()
        call(weights, x, cotangent).cpu()
        compile_seconds = time.perf_counter() - started if name == "torch_compile" else 0.0

    def run():
        with torch.no_grad():
            return call(weights, x, cotangent).cpu().numpy(), None

    return run, compile_seconds, f"torch {torch.__version__}, {device}", plain_ratios


def write_csv(moments, derived, folder):
    """The statistics as a table on disk, as gradsweep leaves them."""
    with open(os.path.join(folder, "peer.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "layer"] + [f"{q}_{s}" for q in QUANTITIES for s in BASIC] + DERIVED)
        for network, (layers, more) in enumerate(zip(moments.reshape(*moments.shape[:2], -1).tolist(), derived.tolist())):
            writer.writerows([network, layer, *a, *b] for layer, (a, b) in enumerate(zip(layers, more), start=1))
        file.flush()
        os.fsync(file.fileno())


def total_log10_ratios(moments):
    """log10(|delta_1|^2 / |delta_L|^2) per network, to compare contenders."""
    import numpy as np

    norms = np.asarray(moments)[:, :, QUANTITIES.index("preact_grad"), LIGHT.index("l2")].astype(np.float64)
    with np.errstate(all="ignore"):
        return (2.0 * np.log10(norms[:, 0] / norms[:, -1])).tolist()


def plain_ratios(moments):
    return {"none none": total_log10_ratios(moments)}


def say(**values):
    print(json.dumps(values), flush=True)


def main():
    name, load = sys.argv[1], json.loads(sys.argv[2])
    if name == "matmul":
        rate, size, about = matmul_rate(load)
        say(compile_seconds=0.0, about=about, ratios={}, flops_per_second=rate, size=size)
        return
    try:
        make = packed_peer if name == "jax_packed" else jax_peer if name.startswith("jax") else torch_peer
        run, compile_seconds, about, ratios = make(name, load)
    except ImportError as error:
        say(error=str(error))
        return
    say(compile_seconds=compile_seconds, about=about, ratios=ratios(run()[0]))
    for _ in sys.stdin:
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        run()
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        say(seconds=seconds, cpu_seconds=cpu_seconds, peak_bytes=after.ru_maxrss * 1024)


main()
