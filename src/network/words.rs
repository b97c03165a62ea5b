//! The small closed vocabularies of a sweep file: architecture, norm, residual form, loss, input and target, each a
//! table of spellings with one line of documentation.

/// One spelling of a word.
pub struct WordRow<T: 'static> {
    pub word: T,
    /// Canonical spelling.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub doc: &'static str,
}

macro_rules! words {
    ($(#[$meta:meta])* $type:ident: $($variant:ident = $name:literal $aliases:tt $doc:literal),+ $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $type { $($variant),+ }
        impl $type {
            pub const TABLE: &'static [WordRow<$type>] = &[
                $(WordRow { word: $type::$variant, name: $name, aliases: &$aliases, doc: $doc }),+
            ];
            /// The canonical spelling.
            pub fn name(self) -> &'static str {
                Self::TABLE[self as usize].name
            }
        }
    };
}

words!(/// The structure of the network. Recurrent cells are planned; today only `mlp` is built.
    Architecture:
    Mlp = "mlp" [] "multilayer perceptron");
words!(/// Normalisation between z and u (population variance, eps inside the root).
    Norm:
    None = "none" [] "no normalisation",
    Batch = "batch" ["batch_norm", "batchnorm"] "over the batch, per unit (Ioffe & Szegedy 2015)",
    Layer = "layer" ["layer_norm", "layernorm"] "over the units, per sample (Ba et al. 2016)",
    Rms = "rms" ["rms_norm", "rmsnorm"] "root mean square over the units, per sample (Zhang & Sennrich 2019)");
words!(/// Residual form; see the interface for where the skip runs.
    Residual:
    None = "none" [] "plain layers",
    PostAct = "post_act" [] "h_l = h_{l-k} + a phi(norm(z_l)) (He et al. 2015)",
    PreAct = "pre_act" [] "h_l = h_{l-1} + a (W phi(norm(h_{l-1})) + b) (He et al. 2016)");
words!(/// Where the backward pass starts.
    Loss:
    Mse = "mse" [] "1/(2B) sum (y - d)^2 over the readout",
    CrossEntropy = "cross_entropy" ["ce"] "mean softmax cross-entropy over the readout",
    Cotangent = "cotangent" [] "dLoss/dh_L drawn N(0,1) per element, independent per sample, not divided by B; no readout",
    CotangentShared = "cotangent_shared" [] "one N(0,1) draw of dLoss/dh_L for all samples; no readout");
words!(/// The kind of input.
    Input:
    Gaussian = "gaussian" ["normal"] "x ~ N(0,1), independent",
    Sphere = "sphere" [] "uniform on the sphere |x|^2 = input_size",
    CorrelatedPairs = "correlated_pairs" [] "samples 2k and 2k+1 have correlation c",
    Digits = "digits" [] "UCI digits, 1,797 images of 8x8 pixels in 10 classes, standardised per feature");
words!(/// What the loss compares with.
    Target:
    Gaussian = "gaussian" ["normal"] "d ~ N(0,1)",
    Classes = "classes" [] "labels: those of the data set, else uniform at random",
    Teacher = "teacher" [] "a random linear teacher T x with T ~ N(0, 1/input_size); its argmax for cross_entropy",
    Zeros = "zeros" [] "zero");

impl Loss {
    /// A cotangent starts the backward pass at h_L: there is no readout and no loss value.
    pub fn has_readout(self) -> bool {
        matches!(self, Loss::Mse | Loss::CrossEntropy)
    }
}
