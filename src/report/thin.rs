//! How many layers of how many configurations the page can carry: a rule that depends on depths and a budget alone.

/// The layers of every configuration that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinning {
    /// Every `stride`-th configuration is kept.
    pub stride: usize,
    /// At most this many layers each.
    pub layers: u32,
}

impl Thinning {
    /// Fewest layers that still show a curve.
    const FEWEST: u32 = 8;

    /// Keeps at most about `budget` layers of configurations with these depths: first fewer layers of each, then fewer
    /// configurations.
    pub fn new(depths: &[u32], budget: u64) -> Self {
        let total = |layers: u32| depths.iter().map(|d| u64::from((*d).min(layers))).sum::<u64>();
        let deepest = depths.iter().copied().max().unwrap_or(0).max(Self::FEWEST);
        let (mut low, mut high) = (Self::FEWEST, deepest);
        while low < high {
            let middle = (low + high).div_ceil(2);
            if total(middle) <= budget { low = middle } else { high = middle - 1 }
        }
        Thinning { stride: total(low).div_ceil(budget.max(1)).max(1) as usize, layers: low }
    }

    /// Layers shown of a network of this depth: evenly spread, the first and the last among them.
    pub fn layers_of(&self, depth: u32) -> Vec<u32> {
        if depth <= self.layers {
            return (1..=depth).collect();
        }
        let (last, steps) = (u64::from(depth - 1), u64::from(self.layers - 1));
        (0..=steps).map(|i| 1 + ((i * last + steps / 2) / steps) as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_the_budget_everything_is_kept() {
        let thinning = Thinning::new(&[3, 10, 64], 1000);
        assert_eq!((thinning.stride, thinning.layers_of(64)), (1, (1..=64).collect()));
        assert_eq!(Thinning::new(&[], 10).stride, 1);
    }

    #[test]
    fn beyond_it_layers_go_first_and_then_configurations() {
        let many = Thinning::new(&vec![100; 1000], 20_000);
        assert_eq!((many.stride, many.layers), (1, 20));
        let layers = many.layers_of(100);
        assert_eq!((layers.len(), layers[0], layers[19]), (20, 1, 100));
        assert!(layers.windows(2).all(|pair| pair[0] < pair[1]));
        let more = Thinning::new(&vec![100; 100_000], 20_000);
        assert_eq!((more.stride, more.layers), (40, 8));
        assert_eq!(more.layers_of(9), [1, 2, 3, 4, 6, 7, 8, 9]);
    }
}
