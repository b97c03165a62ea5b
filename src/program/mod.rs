//! A network's structure as data. A program is a list of sections; a section repeats its blocks over a range of
//! layers; a block is a short list of operations on slots that are relative to the current layer. Ragged depth is the
//! end of a range, so one program serves every depth of a bucket; recurrent cells will add a repeat over time.
//!
//! Running backwards: visit sections, iterations and ops in reverse; an op's backward *adds* into its inputs'
//! gradients, the first writer sets.

use crate::network::{Architecture, Loss, NetworkSpec, Norm, Residual};

/// Everything that decides a network's structure and shapes, and nothing else: networks with equal keys run in one
/// batch, whatever their depth, activation, scales and seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramKey {
    pub architecture: Architecture,
    pub width: u32,
    pub batch_size: u32,
    pub input_size: u32,
    /// 0 where the loss has no readout.
    pub output_size: u32,
    pub norm: Norm,
    pub final_norm: bool,
    pub residual: Residual,
    /// 1 unless the residual form is `post_act`.
    pub residual_every: u32,
    pub bias: bool,
    pub loss: Loss,
}

/// A tensor of `[batch, size]` that an op reads or writes, relative to the current layer l.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// h_{l-back}; `Act { back: 0 }` is the layer's own output, h_0 the input.
    Act { back: u32 },
    /// z_l.
    Preact,
    /// u_l, the argument of phi, where it differs from z_l (there is a norm) or comes before it (`pre_act`).
    PhiArg,
    /// phi(u_l), where it is not itself the layer's output.
    Phi,
    /// norm(h_L), the readout's input under `final_norm`.
    FinalAct,
}

/// One operation of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// dst = W_l src + b_l (without b_l where `NetworkSpec::layer_has_bias` is false).
    Linear { src: Slot, dst: Slot },
    /// dst = norm(src), of the key's kind.
    Norm { src: Slot, dst: Slot },
    /// dst = phi(src); src is u_l.
    Activation { src: Slot, dst: Slot },
    /// dst = skip + a * branch.
    Add { skip: Slot, branch: Slot, dst: Slot },
    /// dst = src: the `pre_act` stem's h_1 = z_1.
    Copy { src: Slot, dst: Slot },
}

impl Op {
    /// The slots that it reads.
    pub fn sources(self) -> impl Iterator<Item = Slot> {
        let (first, second) = match self {
            Op::Linear { src, .. } | Op::Norm { src, .. } | Op::Activation { src, .. } | Op::Copy { src, .. } => {
                (src, None)
            }
            Op::Add { skip, branch, .. } => (skip, Some(branch)),
        };
        std::iter::once(first).chain(second)
    }
}

/// Operations of one layer, in forward order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub ops: Vec<Op>,
}

/// Which layers a section covers. Iteration i of a section runs `blocks[i % blocks.len()]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Layers first..=last of every network, cut at its depth.
    Layers { first: u32, last: u32 },
    /// Layers first..=depth.
    LayersToDepth { first: u32 },
    /// Once, after layer `depth`, with l = depth + 1 (so `Act { back: 1 }` is h_L).
    Readout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub blocks: Vec<Block>,
    pub repeat: Repeat,
}

/// The structure of all networks of one [`ProgramKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub key: ProgramKey,
    pub sections: Vec<Section>,
}

impl ProgramKey {
    pub fn of(spec: &NetworkSpec) -> Self {
        ProgramKey {
            architecture: spec.architecture,
            width: spec.width,
            batch_size: spec.batch_size,
            input_size: spec.input_size,
            output_size: if spec.loss.has_readout() { spec.output_size } else { 0 },
            norm: spec.norm,
            final_norm: spec.final_norm,
            residual: spec.residual,
            residual_every: if spec.residual == Residual::PostAct { spec.residual_every } else { 1 },
            bias: spec.bias,
            loss: spec.loss,
        }
    }
}

impl Program {
    pub fn new(key: ProgramKey) -> Self {
        let mut sections = match key.architecture {
            Architecture::Mlp => mlp(&key),
        };
        let has_readout = key.loss.has_readout();
        let mut ops = Vec::new();
        let mut source = Slot::Act { back: 1 };
        if key.final_norm && has_readout {
            ops.push(Op::Norm { src: source, dst: Slot::FinalAct });
            source = Slot::FinalAct;
        }
        if has_readout {
            ops.push(Op::Linear { src: source, dst: Slot::Preact });
        }
        if !ops.is_empty() {
            sections.push(Section { blocks: vec![Block { ops }], repeat: Repeat::Readout });
        }
        Program { key, sections }
    }

    /// The block of hidden layer `layer` (1..=depth) and, at `depth + 1`, of the readout. `None` where a network has
    /// neither readout nor final norm and `layer` is `depth + 1`.
    pub fn block(&self, layer: u32, depth: u32) -> Option<&Block> {
        self.sections.iter().find_map(|section| {
            let first = match section.repeat {
                Repeat::Layers { first, last } if (first..=last.min(depth)).contains(&layer) => first,
                Repeat::LayersToDepth { first } if (first..=depth).contains(&layer) => first,
                Repeat::Readout if layer == depth + 1 => layer,
                _ => return None,
            };
            Some(&section.blocks[(layer - first) as usize % section.blocks.len()])
        })
    }
}

fn mlp(key: &ProgramKey) -> Vec<Section> {
    let source = Slot::Act { back: 1 };
    let output = Slot::Act { back: 0 };
    // u = norm(z), or u = z itself.
    let argument = if key.norm == Norm::None { Slot::Preact } else { Slot::PhiArg };
    let head = || {
        let mut ops = vec![Op::Linear { src: source, dst: Slot::Preact }];
        if key.norm != Norm::None {
            ops.push(Op::Norm { src: Slot::Preact, dst: Slot::PhiArg });
        }
        ops
    };
    let plain = || {
        let mut ops = head();
        ops.push(Op::Activation { src: argument, dst: output });
        Block { ops }
    };
    let post_act = |back| {
        let mut ops = head();
        ops.push(Op::Activation { src: argument, dst: Slot::Phi });
        ops.push(Op::Add { skip: Slot::Act { back }, branch: Slot::Phi, dst: output });
        Block { ops }
    };
    let pre_act = || {
        let mut ops = Vec::new();
        let argument = if key.norm == Norm::None {
            source
        } else {
            ops.push(Op::Norm { src: source, dst: Slot::PhiArg });
            Slot::PhiArg
        };
        ops.extend([
            Op::Activation { src: argument, dst: Slot::Phi },
            Op::Linear { src: Slot::Phi, dst: Slot::Preact },
            Op::Add { skip: source, branch: Slot::Preact, dst: output },
        ]);
        Block { ops }
    };
    let stem = key.input_size != key.width;
    match key.residual {
        Residual::None => vec![Section { blocks: vec![plain()], repeat: Repeat::LayersToDepth { first: 1 } }],
        Residual::PostAct => {
            let k = key.residual_every;
            let mut cycle: Vec<Block> = (1..k).map(|_| plain()).collect();
            cycle.push(post_act(k));
            if stem {
                // The first skip would start at the input, whose size differs.
                let head = Section { blocks: vec![plain()], repeat: Repeat::Layers { first: 1, last: k } };
                vec![head, Section { blocks: cycle, repeat: Repeat::LayersToDepth { first: k + 1 } }]
            } else {
                vec![Section { blocks: cycle, repeat: Repeat::LayersToDepth { first: 1 } }]
            }
        }
        Residual::PreAct => {
            let first = if stem { 2 } else { 1 };
            let body = Section { blocks: vec![pre_act()], repeat: Repeat::LayersToDepth { first } };
            if !stem {
                return vec![body];
            }
            let ops = vec![Op::Linear { src: source, dst: Slot::Preact }, Op::Copy { src: Slot::Preact, dst: output }];
            vec![Section { blocks: vec![Block { ops }], repeat: Repeat::Layers { first: 1, last: 1 } }, body]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ProgramKey {
        ProgramKey {
            architecture: Architecture::Mlp,
            width: 8,
            batch_size: 4,
            input_size: 8,
            output_size: 3,
            norm: Norm::None,
            final_norm: false,
            residual: Residual::None,
            residual_every: 1,
            bias: true,
            loss: Loss::Mse,
        }
    }

    fn has_skip(program: &Program, layer: u32, depth: u32) -> bool {
        program.block(layer, depth).unwrap().ops.iter().any(|op| matches!(op, Op::Add { .. }))
    }

    #[test]
    fn skips_run_where_the_interface_says() {
        let every = Program::new(ProgramKey { residual: Residual::PostAct, residual_every: 3, ..key() });
        let skips: Vec<u32> = (1..=10).filter(|&l| has_skip(&every, l, 10)).collect();
        assert_eq!(skips, [3, 6, 9]);
        let stem = Program::new(ProgramKey { residual: Residual::PostAct, residual_every: 3, input_size: 5, ..key() });
        let skips: Vec<u32> = (1..=10).filter(|&l| has_skip(&stem, l, 10)).collect();
        assert_eq!(skips, [6, 9]);
        let pre = Program::new(ProgramKey { residual: Residual::PreAct, input_size: 5, ..key() });
        assert!(!has_skip(&pre, 1, 4) && has_skip(&pre, 2, 4));
    }

    #[test]
    fn a_cotangent_has_no_readout() {
        let program = Program::new(ProgramKey { loss: Loss::Cotangent, output_size: 0, ..key() });
        assert!(program.block(5, 4).is_none());
        assert!(Program::new(key()).block(5, 4).is_some());
    }
}
