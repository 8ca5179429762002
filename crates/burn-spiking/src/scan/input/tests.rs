//! The operation against tensor operations, against plain loops, and against central differences.

use super::InputSeries;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An input current with random sizes and numbers.
#[derive(Debug, Clone)]
struct Draw {
    batch: usize,
    steps: usize,
    channels: usize,
    neurons: usize,
    decay: f64,
    input: Vec<f64>,
    weights: Vec<f64>,
    bias: Option<Vec<f64>>,
    before: Option<Vec<f64>>,
    /// The direct gradient of the cost, `[B, T, N]`.
    q: Vec<f64>,
}

/// x, and the gradients of e, U, I_o and y_{−1} of the cost Σ q x.
type Values = [Vec<f64>; 5];

fn normal(random: &mut impl Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0).collect()
}

impl Draw {
    fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (batch, steps) = (random.random_range(1..6), random.random_range(1..90));
        let (channels, neurons) = (random.random_range(1..140), random.random_range(1..50));
        // Some inputs have few open channels, some none, and some so many that they are not listed.
        let open = [0.0, 0.01, 0.1, 0.19, 0.5, 1.0][random.random_range(0..6)];
        let input = normal(&mut random, batch * steps * channels);
        let input = input.into_iter().map(|x| if random.random::<f64>() < open { x } else { 0.0 }).collect();
        Self {
            decay: if random.random() { random.random() } else { 0.0 },
            input,
            weights: normal(&mut random, channels * neurons),
            bias: random.random::<bool>().then(|| normal(&mut random, neurons)),
            before: random.random::<bool>().then(|| normal(&mut random, batch * neurons)),
            q: normal(&mut random, batch * steps * neurons),
            batch,
            steps,
            channels,
            neurons,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..60).map(Self::of)
    }

    fn values(&self, device: &Device, dtype: DType, by_tensors: bool) -> Values {
        fn tensor<const D: usize>(data: &[f64], shape: [usize; D], options: (&Device, DType)) -> Tensor<D> {
            Tensor::from_data(TensorData::new(data.to_vec(), shape), options).require_grad()
        }
        let Self { batch, steps, channels, neurons, .. } = *self;
        let device = device.clone().autodiff();
        let options = (&device, dtype);
        let series = InputSeries {
            input: tensor(&self.input, [batch, steps, channels], options),
            weights: tensor(&self.weights, [channels, neurons], options),
            bias: self.bias.as_ref().map(|bias| tensor(bias, [neurons], options)),
            before: self.before.as_ref().map(|before| tensor(before, [batch, neurons], options)),
        };
        let given = series.clone();
        let x = if by_tensors { series.by_tensors(self.decay) } else { series.current(self.decay) };
        let q = Tensor::<3>::from_data(TensorData::new(self.q.clone(), [batch, steps, neurons]), options);
        let gradients = (x.clone() * q).sum().backward();
        fn numbers(data: TensorData) -> Vec<f64> {
            data.iter::<f64>().collect()
        }
        [
            numbers(x.into_data()),
            numbers(given.input.grad(&gradients).unwrap().into_data()),
            numbers(given.weights.grad(&gradients).unwrap().into_data()),
            given.bias.map_or(Vec::new(), |bias| numbers(bias.grad(&gradients).unwrap().into_data())),
            // Without a filter, nothing depends on the current before.
            given.before.and_then(|y| y.grad(&gradients)).map_or(Vec::new(), |d| numbers(d.into_data())),
        ]
    }

    /// x by the equation, in plain loops.
    fn plain(&self) -> Vec<f64> {
        let Self { batch, steps, channels, neurons, .. } = *self;
        let mut x = vec![0.0; batch * steps * neurons];
        for b in 0..batch {
            for n in 0..neurons {
                let mut y = self.before.as_ref().map_or(0.0, |before| before[b * neurons + n]);
                for t in 0..steps {
                    y *= self.decay;
                    for c in 0..channels {
                        y += self.input[(b * steps + t) * channels + c] * self.weights[c * neurons + n];
                    }
                    x[(b * steps + t) * neurons + n] = y + self.bias.as_ref().map_or(0.0, |bias| bias[n]);
                }
            }
        }
        x
    }

    fn cost(&self) -> f64 {
        self.plain().iter().zip(&self.q).map(|(x, q)| x * q).sum()
    }

    /// The parts of the draw that have gradients, in the order of [`Values`].
    fn part(&mut self, which: usize) -> Option<&mut Vec<f64>> {
        match which {
            0 => Some(&mut self.input),
            1 => Some(&mut self.weights),
            2 => self.bias.as_mut(),
            _ => self.before.as_mut(),
        }
    }
}

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

/// |a − b| over the largest number of b or 1; an empty list counts as zeros.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let size = b.iter().fold(1.0, |size: f64, x| size.max(x.abs()));
    let at = |list: &[f64], k: usize| list.get(k).copied().unwrap_or(0.0);
    (0..a.len().max(b.len())).map(|k| (at(a, k) - at(b, k)).abs() / size).fold(0.0, f64::max)
}

#[test]
fn the_operation_is_the_equation_and_its_gradients_are_those_of_burn() {
    let (mut listed, mut dense) = (0, 0);
    for draw in Draw::all() {
        let share = draw.input.iter().filter(|&&x| x != 0.0).count() as f64 / draw.input.len() as f64;
        if share < 0.15 {
            listed += 1
        } else {
            dense += 1
        }
        let plain = draw.plain();
        for device in devices() {
            let reference = draw.values(&device, DType::F64, true);
            assert!(distance(&reference[0], &plain) < 1e-12, "{}", distance(&reference[0], &plain));
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
                let found = draw.values(&device, dtype, false);
                for (which, (found, reference)) in found.iter().zip(&reference).enumerate() {
                    let far = distance(found, reference);
                    assert!(far < tolerance, "{which}: {far:e} in {dtype:?}, {} of {draw:?}", share);
                }
            }
        }
    }
    assert!(listed > 10 && dense > 10, "the draws do not reach both products: {listed} {dense}");
}

#[test]
fn gradients_are_central_differences_of_plain_loops() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for draw in Draw::all() {
        let [_, gradients @ ..] = draw.values(&devices()[0], DType::F64, false);
        for (which, gradient) in gradients.iter().enumerate() {
            let Some(count) = draw.clone().part(which).map(|part| part.len()) else { continue };
            let at = random.random_range(0..count);
            let shifted = |by: f64| {
                let mut draw = draw.clone();
                draw.part(which).unwrap()[at] += by;
                draw.cost()
            };
            // The cost is linear in each number, so a large step has no error but rounding.
            let wanted = (shifted(0.5) - shifted(-0.5)) / 1.0;
            let found = gradient.get(at).copied().unwrap_or(0.0);
            assert!((found - wanted).abs() < 1e-9 * wanted.abs().max(1.0), "{which}: {found} {wanted}");
        }
    }
}

#[test]
fn a_wrong_decay_in_the_adjoint_is_found() {
    let draw =
        Draw::all().find(|draw| draw.decay > 0.3 && draw.steps > 5 && draw.input.iter().any(|&x| x != 0.0)).unwrap();
    let right = draw.values(&devices()[0], DType::F64, true);
    let planted = Draw { decay: draw.decay * 1.001, ..draw }.values(&devices()[0], DType::F64, false);
    assert!(distance(&planted[2], &right[2]) > 1e-6);
}

#[test]
fn a_long_series_is_filtered_in_parts() {
    let draw = Draw { decay: 0.99, ..Draw::of(3) };
    let Draw { neurons, channels, .. } = draw;
    let steps = 2 * super::FILTERED_AT_ONCE + 3;
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let draw = Draw {
        batch: 1,
        steps,
        input: normal(&mut random, steps * channels),
        before: Some(normal(&mut random, neurons)),
        q: normal(&mut random, steps * neurons),
        ..draw
    };
    let found = draw.values(&devices()[0], DType::F64, true);
    assert!(distance(&found[0], &draw.plain()) < 1e-12);
    let by_op = draw.values(&devices()[0], DType::F64, false);
    for (by_op, found) in by_op.iter().zip(&found) {
        assert!(distance(by_op, found) < 1e-12);
    }
}

#[test]
fn results_have_the_same_bits_for_any_number_of_threads() {
    for draw in Draw::all() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw.values(&devices()[0], DType::F32, false))
        };
        assert_eq!(run(1), run(3));
    }
}
