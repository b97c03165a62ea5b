//! One network, fully resolved: what the planner hands to an engine. Everything that the numbers depend on is here.

use super::{
    Activation, ActivationKind, BiasLaw, Init, InitKind, Input, Loss, Norm, Residual, Target, WeightLaw,
    words::Architecture,
};

/// A network that has passed every check: an engine may trust each field.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    pub architecture: Architecture,
    /// Number of hidden layers L >= 1.
    pub depth: u32,
    pub width: u32,
    pub batch_size: u32,
    pub input_size: u32,
    /// Size of the readout; meaningless where the loss has none.
    pub output_size: u32,
    pub activation: Activation,
    pub init: Init,
    /// Biases exist (also when they start at 0). A bias directly before batch norm is left out all the same: see
    /// [`NetworkSpec::layer_has_bias`].
    pub bias: bool,
    pub norm: Norm,
    pub norm_eps: f64,
    /// Learnable scale 1 and shift 0 after the norm: no effect at initialisation.
    pub norm_affine: bool,
    pub final_norm: bool,
    pub residual: Residual,
    /// The factor a of the branch, resolved (`1/sqrt(depth)` is a number here).
    pub residual_scale: f64,
    pub residual_every: u32,
    pub loss: Loss,
    pub input: Input,
    /// c of `correlated_pairs(c)`; else 0.
    pub input_param: f64,
    pub target: Target,
    pub training: Training,
    /// 53-bit key of every random number of this network.
    pub seed: u64,
}

/// Training of a network. Only networks at initialisation (`steps == 0`) exist today.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Training {
    pub steps: u32,
}

/// What kind of row a layer index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    Input,
    Hidden,
    Readout,
}

impl LayerKind {
    pub fn name(self) -> &'static str {
        match self {
            LayerKind::Input => "input",
            LayerKind::Hidden => "hidden",
            LayerKind::Readout => "readout",
        }
    }
}

/// Whether batch norm directly follows the bias of a hidden layer and cancels it: such biases are left out.
pub fn bias_precedes_batch_norm(norm: Norm, residual: Residual) -> bool {
    norm == Norm::Batch && residual != Residual::PreAct
}

impl NetworkSpec {
    /// A plain network: every key but these sizes at the default of sweep files, seed 0.
    pub fn plain(depth: u32, width: u32, batch_size: u32) -> NetworkSpec {
        NetworkSpec {
            architecture: Architecture::Mlp,
            depth,
            width,
            batch_size,
            input_size: width,
            output_size: 10,
            activation: ActivationKind::Tanh.into(),
            init: Init { kind: InitKind::HeNormal, param: 0.0, gain: 1.0, sigma_w: 1.0, sigma_b: Some(0.0) },
            bias: true,
            norm: Norm::None,
            norm_eps: 1e-5,
            norm_affine: false,
            final_norm: false,
            residual: Residual::None,
            residual_scale: 1.0,
            residual_every: 1,
            loss: Loss::Mse,
            input: Input::Gaussian,
            input_param: 0.0,
            target: Target::Gaussian,
            training: Training::default(),
            seed: 0,
        }
    }

    /// Number of rows of one recorded step: input, hidden layers and, where the loss has one, the readout.
    pub fn rows(&self) -> u32 {
        self.depth + 1 + u32::from(self.loss.has_readout())
    }
    pub fn layer_kind(&self, layer: u32) -> LayerKind {
        match layer {
            0 => LayerKind::Input,
            l if l <= self.depth => LayerKind::Hidden,
            _ => LayerKind::Readout,
        }
    }
    /// Inputs of layer `layer >= 1` (the readout is `depth + 1`).
    pub fn fan_in(&self, layer: u32) -> u32 {
        if layer <= 1 { self.input_size } else { self.width }
    }
    /// Outputs of layer `layer >= 1`.
    pub fn fan_out(&self, layer: u32) -> u32 {
        if layer > self.depth { self.output_size } else { self.width }
    }
    /// The first layer has no skip because input and hidden size differ.
    pub fn has_stem(&self) -> bool {
        self.residual != Residual::None && self.input_size != self.width
    }
    /// The residual form that layer `layer` (1..=depth) really has, after stem and `residual_every`.
    pub fn layer_residual(&self, layer: u32) -> Residual {
        match self.residual {
            Residual::PostAct if !layer.is_multiple_of(self.residual_every) => Residual::None,
            // The skip into layer k comes from h_{l-k}: layer 0 is the input, whose size must be the width.
            Residual::PostAct if layer == self.residual_every && self.input_size != self.width => Residual::None,
            Residual::PreAct if layer == 1 && self.has_stem() => Residual::None,
            form => form,
        }
    }
    /// No layer has a skip: `residual_every` is larger than the depth, or the only skip would come from an input whose
    /// size is not the width.
    pub fn is_skipless(&self) -> bool {
        let last = self.depth.min(2 * self.residual_every);
        (1..=last).all(|layer| self.layer_residual(layer) == Residual::None)
    }
    /// Layer 1 of a `pre_act` network whose input size is not the width: h_1 = z_1.
    pub fn is_linear_stem(&self, layer: u32) -> bool {
        layer == 1 && self.residual == Residual::PreAct && self.has_stem()
    }
    /// A layer's bias exists unless it directly precedes batch norm, which would cancel it. In `pre_act` networks the
    /// norm comes before the weights, so their biases stay: see [`NetworkSpec::layer_has_bias_grad`].
    pub fn layer_has_bias(&self, layer: u32) -> bool {
        self.bias && !(layer <= self.depth && bias_precedes_batch_norm(self.norm, self.residual))
    }
    /// Whether a layer's bias has a gradient. Where batch norm stands before every reader of a `pre_act` stream, the
    /// readout's included, what a bias adds to all samples alike reaches nothing: the gradient is exactly 0, and what is
    /// computed for it rounding noise.
    pub fn layer_has_bias_grad(&self, layer: u32) -> bool {
        let unread = self.norm == Norm::Batch
            && self.residual == Residual::PreAct
            && self.final_norm
            && self.loss.has_readout()
            && layer <= self.depth;
        self.layer_has_bias(layer) && !unread
    }
    pub fn weight_law(&self, layer: u32) -> WeightLaw {
        self.init.weight_law(self.fan_in(layer), self.fan_out(layer))
    }
    /// The law of layer `layer`'s bias; [`BiasLaw::Zero`] also where there is none.
    pub fn bias_law(&self, layer: u32) -> BiasLaw {
        if self.layer_has_bias(layer) { self.init.bias_law(self.fan_in(layer)) } else { BiasLaw::Zero }
    }
    /// Floating point operations of one forward and backward pass: 6 B fan_in fan_out per weight matrix.
    pub fn flops(&self) -> f64 {
        let layers = self.depth + u32::from(self.loss.has_readout());
        let (b, n) = (f64::from(self.batch_size), f64::from(self.width));
        let inner = f64::from(self.depth - 1) * n * n;
        let outer = if layers > self.depth { n * f64::from(self.output_size) } else { 0.0 };
        6.0 * b * (f64::from(self.input_size) * n + inner + outer)
    }
    /// Number of weights and biases.
    pub fn params(&self) -> f64 {
        let layers = self.depth + u32::from(self.loss.has_readout());
        (1..=layers)
            .map(|l| {
                let bias = if self.layer_has_bias(l) { 1.0 } else { 0.0 };
                f64::from(self.fan_out(l)) * (f64::from(self.fan_in(l)) + bias)
            })
            .sum()
    }
}
