"""The loads of scripts/bench: what every contender computes, with the reference load first.

A load is one shape at initialisation, tanh, a random cotangent, basic statistics. Counts are chosen so that the loads of a
device take about as many floating-point operations, 26 GFLOP on a CPU and 1.6 TFLOP on a GPU; `tiny`, and the reference load
on a GPU, take less.
"""

from dataclasses import asdict, dataclass

SWEEP = """\
schema_version = 1
name = "{name}"
seed = 1
replicates = {networks}

[[sweep]]
name = "load"
depth = {depth}
width = {width}
batch_size = {batch_size}
activation = "tanh"
init = "lecun_normal"
loss = "cotangent"
"""

MANY_SWEEP = """\
schema_version = 1
name = "many"
seed = 1
replicates = {replicates}

[[sweep]]
name = "many"
depth = {{ linspace = [4, 64], num = 25 }}
width = 64
batch_size = 64
activation = ["tanh", "relu", "gelu", "sigmoid"]
init = ["he_normal", "xavier_normal", "lecun_normal", "pytorch_default", "orthogonal"]
loss = "cotangent"
"""

# The axes of the sweep below.
MIXED = {
    "depths": [round(2 * 64 ** (i / 9)) for i in range(10)],
    "widths": [round(8 * 32 ** (i / 9)) for i in range(10)],
    "norms": ["none", "batch", "layer", "rms"],
    "residuals": ["none", "post_act", "pre_act"],
    "batch_size": 64,
}
MIXED_SWEEP = """\
schema_version = 1
name = "mixed"
seed = 1
replicates = {replicates}

[[sweep]]
name = "mixed"
depth = {depths}
width = {widths}
batch_size = {batch_size}
activation = "relu"
init = "he_normal"
norm = {norms}
residual = {residuals}
loss = "cotangent"
"""

PHASE_SWEEP = """\
schema_version = 1
name = "phase"
seed = 1
replicates = 16

[[sweep]]
name = "phase"
depth = 64
width = 64
batch_size = 128
activation = "tanh"
init = "mean_field"
sigma_w = {{ linspace = [0.5, 3.5], num = {grid} }}
sigma_b = {{ linspace = [0.0, 1.0], num = {grid} }}
loss = "cotangent"
"""


@dataclass(frozen=True)
class Load:
    """One shape. `whole` False: without the peer that writes its table in Python, which would take minutes."""

    name: str
    networks: int
    depth: int
    width: int
    batch_size: int
    whole: bool = True

    def sweep(self):
        return SWEEP.format(**asdict(self))

    def flops(self):
        """Floating-point operations of the matrix products: forward, gradient of the input, gradient of the weights."""
        return 6.0 * self.networks * self.depth * self.batch_size * self.width**2

    def text(self):
        return f"{self.networks:,} networks, depth {self.depth}, width {self.width}, batch size {self.batch_size}"


REFERENCE = Load("reference", 64, 32, 128, 128)
CPU = [
    REFERENCE,
    Load("width-64", 256, 32, 64, 128),
    Load("width-256", 16, 32, 256, 128),
    Load("width-256-batch-256", 8, 32, 256, 256),
    Load("width-512", 4, 32, 512, 128),
    Load("width-512-batch-256", 4, 16, 512, 256),
    Load("batch-32", 256, 32, 128, 32),
    Load("width-32", 1024, 32, 32, 128),
    Load("tiny", 100_000, 4, 16, 32, whole=False),
]
GPU = [
    Load("reference", 64, 32, 128, 128),
    Load("width-1024", 64, 32, 1024, 128, whole=False),
    Load("width-512", 256, 32, 512, 128, whole=False),
    Load("width-256", 1024, 32, 256, 128, whole=False),
    Load("width-128", 4096, 32, 128, 128, whole=False),
    Load("width-64", 16_384, 32, 64, 128, whole=False),
    Load("width-32", 65_536, 32, 32, 128, whole=False),
    Load("tiny", 100_000, 4, 16, 32, whole=False),
]

# One size grows, the others stay: (size, its values). The exponent is the slope of log time against log size.
GROWTH = {
    "networks": [16, 32, 64, 128],
    "depth": [16, 32, 64, 128],
    "batch_size": [64, 128, 256, 512],
    "width": [128, 256, 512],
}
