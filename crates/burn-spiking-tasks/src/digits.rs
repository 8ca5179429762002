//! Handwritten digits: 1797 images of 8 × 8 pixels, ten classes. The data are part of this crate.
//!
//! Bright pixels spike early, dark ones late, black ones not at all ([`Latency`]).
//!
//! Source: E. Alpaydin & C. Kaynak 1998, *Optical Recognition of Handwritten Digits*, UCI Machine
//! Learning Repository, <https://doi.org/10.24432/C50P49>, licence CC BY 4.0: its test set, as in
//! scikit-learn.

use crate::encoding::Latency;
use crate::error::{TaskError, require};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Number of classes.
pub const CLASSES: usize = 10;
/// Number of pixels of an image, each of which is an input unit.
pub const PIXELS: usize = 64;
/// Number of images.
pub const IMAGES: usize = 1797;
/// The brightest grey level.
const BRIGHTEST: f64 = 16.0;

/// The images and their digits, one in each line.
const DATA: &str = include_str!("../data/digits.csv");

/// Parameters of the task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    /// The times of the spikes.
    pub latency: Latency,
    /// The share of the images that is held out for a test, in (0, 1).
    pub held_out: f64,
    /// Seed of the order of the images, which decides which of them are held out.
    pub order: u64,
}

impl Default for Digits {
    /// Spikes between 0 ms (white) and 20 ms, and a third of the images for the test.
    fn default() -> Self {
        Self { latency: Latency { of_0: 20.0, of_1: 0.0, silent_up_to: Some(0.0) }, held_out: 1.0 / 3.0, order: 0 }
    }
}

impl Digits {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let holds = self.held_out > 0.0 && self.held_out < 1.0;
        require(holds, "held_out", self.held_out, "in (0, 1)", "use 1/3 for a third of the images")?;
        self.latency.check()
    }

    /// Returns the images for training and the images that are held out.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn datasets(&self) -> Result<[DigitsDataset; 2], TaskError> {
        self.check()?;
        let mut images = read();
        images.shuffle(&mut ChaCha8Rng::seed_from_u64(self.order));
        let held_out = ((IMAGES as f64 * self.held_out).round() as usize).clamp(1, IMAGES - 1);
        let (test, training) = images.split_at(held_out);
        Ok([training, test].map(|images| DigitsDataset { task: *self, images: images.into() }))
    }
}

/// An image: its grey levels, row by row, and its digit.
#[derive(Debug, Clone, PartialEq)]
struct Image {
    levels: [u8; PIXELS],
    digit: u8,
}

fn read() -> Vec<Image> {
    let numbers = |line: &str| -> Vec<u8> {
        line.split(',').map(|number| number.parse().expect("the file has whole numbers")).collect()
    };
    let image = |line: &str| {
        let numbers = numbers(line);
        Image { levels: numbers[..PIXELS].try_into().expect("a line has 64 grey levels"), digit: numbers[PIXELS] }
    };
    DATA.lines().map(image).collect()
}

/// Images of [`Digits`].
#[derive(Debug, Clone)]
pub struct DigitsDataset {
    task: Digits,
    images: Arc<[Image]>,
}

impl DigitsDataset {
    /// The grey levels of an image, row by row, from 0 (black) to 1 (white).
    pub fn image(&self, index: usize) -> Vec<f64> {
        self.images[index].levels.iter().map(|&level| level as f64 / BRIGHTEST).collect()
    }
}

impl Dataset<Sample> for DigitsDataset {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len(), "image {index} was asked for, but the data set has {}", self.len());
        let mut events = Events::default();
        self.task.latency.encode(&self.image(index), 0, &mut events);
        Ok(Sample { events, class: self.images[index].digit as usize })
    }

    fn len(&self) -> usize {
        self.images.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole() {
        let images = read();
        assert_eq!(images.len(), IMAGES);
        let mut counts = [0; CLASSES];
        images.iter().for_each(|image| counts[image.digit as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert!(images.iter().all(|image| image.levels.iter().all(|&level| level <= 16)));
        // The sum of all grey levels.
        let sum: u32 = images.iter().flat_map(|image| image.levels).map(u32::from).sum();
        assert_eq!(sum, 561_718);
    }

    #[test]
    fn held_out_images_are_not_trained_on() {
        let [training, test] = Digits::default().datasets().unwrap();
        assert_eq!((training.len(), test.len()), (1198, 599));
        let mut all: Vec<Image> = training.images.iter().chain(test.images.iter()).cloned().collect();
        let mut file = read();
        let key = |image: &Image| (image.digit, image.levels);
        all.sort_by_key(key);
        file.sort_by_key(key);
        assert_eq!(all, file);
        let [_, other] = Digits { order: 1, ..Digits::default() }.datasets().unwrap();
        assert_ne!(test.images, other.images);
    }

    #[test]
    fn bright_pixels_spike_first() {
        let [training, _] = Digits::default().datasets().unwrap();
        let (image, sample) = (training.image(0), training.get(0).unwrap());
        assert_eq!(sample.events.len(), image.iter().filter(|&&level| level > 0.0).count());
        for (time, unit) in sample.events.iter() {
            assert!((time - 20.0 * (1.0 - image[unit])).abs() < 1e-5);
        }
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let told = |task: Digits| task.datasets().unwrap_err().to_string();
        assert!(told(Digits { held_out: 0.0, ..Digits::default() }).contains("held_out is 0"));
        let latency = Latency { of_0: f64::INFINITY, ..Digits::default().latency };
        assert!(told(Digits { latency, ..Digits::default() }).contains("of_0 is inf"));
    }
}
