//! Data sets: loaded and validated before planning. The planner sees [`DatasetInfo`] alone, the engines [`Dataset`].

use crate::network::Input;

/// What the planner needs to know of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    pub rows: u32,
    pub input_size: u32,
    pub classes: u32,
}

/// A labelled data set, standardised per feature (population variance; features without variance are 0).
#[derive(Clone, Debug)]
pub struct Dataset {
    pub info: DatasetInfo,
    /// [rows, input_size] row-major.
    pub features: Vec<f32>,
    /// `[rows]`, in 0..classes.
    pub labels: Vec<u32>,
}

/// The data set behind an input, if it is one.
pub fn info(input: Input) -> Option<DatasetInfo> {
    (input == Input::Digits).then_some(DIGITS)
}

/// The UCI "Optical Recognition of Handwritten Digits" test set: 1,797 images of 8x8 pixels with values 0..16.
pub const DIGITS: DatasetInfo = DatasetInfo { rows: 1797, input_size: 64, classes: 10 };

/// Loads the data set behind `input`, if it is one.
pub fn load(input: Input) -> Option<Dataset> {
    (input == Input::Digits).then(digits)
}

fn digits() -> Dataset {
    let raw = smartcore::dataset::digits::load_dataset();
    let features = standardise(&raw.data, DIGITS.input_size as usize);
    Dataset { info: DIGITS, features, labels: raw.target.iter().map(|&label| label as u32).collect() }
}

/// (x - mean) / std per column, in float64, population variance; a constant column becomes 0.
fn standardise(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = (x.len() / columns) as f64;
    let mut out = vec![0.0; x.len()];
    for j in 0..columns {
        let column = || x.iter().skip(j).step_by(columns).map(|&v| f64::from(v));
        let mean = column().sum::<f64>() / rows;
        let variance = column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows;
        if variance > 0.0 {
            let scale = variance.sqrt();
            for (o, v) in out.iter_mut().skip(j).step_by(columns).zip(column()) {
                *o = ((v - mean) / scale) as f32;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_the_real_ones() {
        let raw = smartcore::dataset::digits::load_dataset();
        let set = digits();
        assert_eq!((set.labels.len(), set.features.len()), (1797, 1797 * 64));
        assert!(raw.data.iter().all(|&v| (0.0..=16.0).contains(&v) && v.fract() == 0.0));
        // scikit-learn's load_digits: pixel sum 561718, first image is a 0, class counts below.
        assert_eq!(raw.data.iter().map(|&v| v as u64).sum::<u64>(), 561_718);
        let mut counts = [0; 10];
        set.labels.iter().for_each(|&l| counts[l as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let bytes: Vec<u8> = raw.data.iter().map(|&v| v as u8).chain(set.labels.iter().map(|&l| l as u8)).collect();
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "112d3db595b93626");
    }

    #[test]
    fn features_are_standardised_and_constant_pixels_are_zero() {
        let set = digits();
        for j in 0..64 {
            let column: Vec<f64> = set.features.iter().skip(j).step_by(64).map(|&v| f64::from(v)).collect();
            let mean = column.iter().sum::<f64>() / 1797.0;
            let square = column.iter().map(|v| v * v).sum::<f64>() / 1797.0;
            assert!(mean.abs() < 1e-6);
            assert!((square - 1.0).abs() < 1e-6 || square == 0.0, "pixel {j}: {square}");
        }
    }
}
