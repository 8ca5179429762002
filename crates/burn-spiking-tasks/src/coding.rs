//! Predictive coding: the readout follows a linear system driven by the input.
//!
//! ```text
//! x′ = A x + g i        target = x        x(0) = 0
//! ```
//!
//! In auto-encoding, A is −1/τ times the identity matrix and g = 1/τ, so the target is the low-pass
//! filtered input. Each input channel is white noise that passed two low-pass filters; its variance
//! is 1. The system is integrated exactly for an input that is constant during each step. Row t of
//! the target is x after step t, like row t of a network's trajectory, which is the state after
//! step t.
//!
//! Source: Huh & Sejnowski 2017, first task (predictive coding). The task is known from the network
//! of Boerlin, Machens & Denève 2013.

use crate::error::{TaskError, require};
use crate::trial::Trial;
use burn::data::dataset::{Dataset, DatasetError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Parameters of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coding {
    /// Length of a time step, ms.
    pub dt: f64,
    /// Number of time steps in a trial.
    pub steps: usize,
    /// The matrix A, row by row, 1/ms; its size is the number of channels.
    pub system: Vec<Vec<f64>>,
    /// The input gain g, 1/ms.
    pub gain: f64,
    /// Time constant of each of the two filters that shape the input, ms.
    pub input_tau: f64,
    /// Number of neurons. Their initial potentials are drawn uniformly from [0, `v0_below`).
    pub neurons: usize,
    /// Upper limit of the initial potentials, in (0, 1].
    pub v0_below: f64,
}

impl Coding {
    /// Auto-encoding of `channels` channels with time constant `tau` (ms), for a network of
    /// `neurons` neurons.
    pub fn auto_encoding(channels: usize, tau: f64, neurons: usize) -> Self {
        let row = |c: usize| (0..channels).map(|d| if c == d { -1.0 / tau } else { 0.0 }).collect();
        Self {
            dt: 0.2,
            steps: 400,
            system: (0..channels).map(row).collect(),
            gain: 1.0 / tau,
            input_tau: 15.0,
            neurons,
            v0_below: 0.5,
        }
    }

    /// A damped oscillator of two channels, x′ = A x + g i, in which A has the eigenvalues −1/`tau`
    /// ± i 2π/`period` (`tau` and `period` in ms).
    pub fn oscillator(tau: f64, period: f64, neurons: usize) -> Self {
        let (decay, turn) = (-1.0 / tau, 2.0 * std::f64::consts::PI / period);
        Self { system: vec![vec![decay, -turn], vec![turn, decay]], ..Self::auto_encoding(2, tau, neurons) }
    }

    /// Number of input channels, which equals the number of outputs.
    pub fn channels(&self) -> usize {
        self.system.len()
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`TaskError`] if a value is invalid. It names the value, its limit and the remedy.
    pub fn check(&self) -> Result<(), TaskError> {
        let positive = |name: &str, value: f64, remedy: &str| {
            require(value.is_finite() && value > 0.0, name, value, "above 0 and finite", remedy)
        };
        positive("dt", self.dt, "give the length of a time step in ms")?;
        positive("input_tau", self.input_tau, "give the input filters' time constant in ms")?;
        require(self.gain.is_finite(), "gain", self.gain, "finite", "auto-encoding uses 1/tau")?;
        require(self.steps > 0, "steps", self.steps, "at least 1", "give the number of time steps in a trial")?;
        require(self.neurons > 0, "neurons", self.neurons, "at least 1", "give the number of neurons")?;
        require(
            self.v0_below > 0.0 && self.v0_below <= 1.0,
            "v0_below",
            self.v0_below,
            "in (0, 1]",
            "use 1 − gate width",
        )?;
        require(self.channels() > 0, "number of channels", 0, "at least 1", "give the system A a row")?;
        for row in &self.system {
            let (is, want) = (row.len(), self.channels());
            require(is == want, "length of a row of A", is, &format!("{want}, as A has {want} rows"), "make A square")?;
            for &value in row {
                require(value.is_finite(), "an entry of A", value, "finite", "A is in 1/ms")?;
            }
        }
        Ok(())
    }

    /// Returns a data set of `len` trials drawn from `seed`.
    ///
    /// # Errors
    /// [`TaskError`] in the same cases as [`check`](Self::check).
    pub fn dataset(&self, seed: u64, len: usize) -> Result<CodingDataset, TaskError> {
        self.check()?;
        Ok(CodingDataset { step: ExactStep::of(self), noise: Noise::of(self), task: self.clone(), seed, len })
    }
}

/// Trials of [`Coding`], drawn on request.
#[derive(Debug, Clone)]
pub struct CodingDataset {
    task: Coding,
    step: ExactStep,
    noise: Noise,
    seed: u64,
    len: usize,
}

impl Dataset<Trial> for CodingDataset {
    fn get(&self, index: usize) -> Result<Trial, DatasetError> {
        assert!(index < self.len, "trial {index} was asked for, but the data set has {}", self.len);
        Ok(self.trial(index))
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl CodingDataset {
    fn trial(&self, index: usize) -> Trial {
        let Coding { steps, neurons, v0_below, .. } = self.task;
        let channels = self.task.channels();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let v0 = (0..neurons).map(|_| random.random_range(0.0..v0_below as f32)).collect();
        let mut filters: Vec<[f64; 2]> = (0..channels).map(|_| self.noise.start(&mut random)).collect();
        let mut x = vec![0.0; channels];
        let (mut input, mut target) = (Vec::with_capacity(steps * channels), Vec::with_capacity(steps * channels));
        for _ in 0..steps {
            let i: Vec<f64> = filters.iter_mut().map(|filter| self.noise.next(filter, &mut random)).collect();
            x = self.step.advance(&x, &i);
            input.extend(i.iter().map(|&i| i as f32));
            target.extend(x.iter().map(|&x| x as f32));
        }
        Trial { steps, input, target, weight: vec![1.0; steps], v0, rounds: Vec::new() }
    }
}

/// White noise after two low-pass filters, stationary and with unit variance. The filters are a′ =
/// α a + σ ξ and b′ = α b + (1 − α) a′; the output is b.
#[derive(Debug, Clone)]
struct Noise {
    decay: f64,
    sigma: f64,
    /// Var a and Cov(a, b) of the stationary state; Var b = 1.
    var_a: f64,
    cov: f64,
}

impl Noise {
    fn of(task: &Coding) -> Self {
        let decay = (-task.dt / task.input_tau).exp();
        let (rest, share) = (1.0 - decay * decay, 1.0 - decay);
        // The moments for σ = 1.
        let var_a = 1.0 / rest;
        let cov = share * var_a / rest;
        let var_b = (share * share * var_a + 2.0 * decay * decay * share * cov) / rest;
        Self { decay, sigma: var_b.sqrt().recip(), var_a: var_a / var_b, cov: cov / var_b }
    }

    fn start(&self, random: &mut ChaCha8Rng) -> [f64; 2] {
        let (p, q): (f64, f64) = (StandardNormal.sample(random), StandardNormal.sample(random));
        let a = self.var_a.sqrt() * p;
        let slope = self.cov / self.var_a;
        [a, slope * a + (1.0 - slope * self.cov).sqrt() * q]
    }

    fn next(&self, [a, b]: &mut [f64; 2], random: &mut ChaCha8Rng) -> f64 {
        let xi: f64 = StandardNormal.sample(random);
        *a = self.decay * *a + self.sigma * xi;
        *b = self.decay * *b + (1.0 - self.decay) * *a;
        *b
    }
}

/// The exact step x(t + dt) = e^{A dt} x + (∫ e^{A s} ds) g i, with the integral from 0 to dt.
#[derive(Debug, Clone)]
struct ExactStep {
    state: Vec<Vec<f64>>,
    input: Vec<Vec<f64>>,
}

impl ExactStep {
    fn of(task: &Coding) -> Self {
        // Scaling and squaring: power series give E = e^{Ah} and its integral F over a short time
        // h. Each doubling of h then uses E₂ = E E and F₂ = F + E F.
        let n = task.channels();
        let largest = task.system.iter().map(|row| row.iter().map(|a| a.abs()).sum::<f64>()).fold(0.0, f64::max);
        let halvings = (largest * task.dt).log2().ceil().max(0.0) as i32 + 1;
        let h = task.dt / 2.0_f64.powi(halvings);
        let identity = |value: f64| -> Vec<Vec<f64>> {
            (0..n).map(|c| (0..n).map(|d| if c == d { value } else { 0.0 }).collect()).collect()
        };
        let (mut state, mut input) = (identity(1.0), identity(h));
        let mut term = identity(1.0);
        for k in 1..20 {
            term = product(&term, &task.system, h / k as f64);
            state = sum(&state, &term, 1.0);
            input = sum(&input, &term, h / (k + 1) as f64);
        }
        for _ in 0..halvings {
            input = sum(&input, &product(&state, &input, 1.0), 1.0);
            state = product(&state, &state, 1.0);
        }
        let zero = identity(0.0);
        Self { state, input: sum(&zero, &input, task.gain) }
    }

    fn advance(&self, x: &[f64], i: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>();
        self.state.iter().zip(&self.input).map(|(state, input)| dot(state, x) + dot(input, i)).collect()
    }
}

fn product(a: &[Vec<f64>], b: &[Vec<f64>], scale: f64) -> Vec<Vec<f64>> {
    let entry = |row: &[f64], d: usize| row.iter().zip(b).map(|(a, b)| a * b[d]).sum::<f64>() * scale;
    a.iter().map(|row| (0..b.len()).map(|d| entry(row, d)).collect()).collect()
}

fn sum(a: &[Vec<f64>], b: &[Vec<f64>], scale: f64) -> Vec<Vec<f64>> {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + scale * b).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_depend_on_seed_and_index_alone() {
        let task = Coding::auto_encoding(2, 10.0, 7);
        let data = task.dataset(3, 10).unwrap();
        let again = task.dataset(3, 20).unwrap();
        assert_eq!(data.get(4).unwrap(), again.get(4).unwrap());
        assert_ne!(data.get(4).unwrap(), data.get(5).unwrap());
        assert_ne!(data.get(4).unwrap(), task.dataset(4, 10).unwrap().get(4).unwrap());
        let longer = Coding { steps: 800, ..task }.dataset(3, 10).unwrap().get(4).unwrap();
        assert_eq!(longer.input[..800], data.get(4).unwrap().input[..]);
    }

    #[test]
    fn input_has_unit_variance_from_the_first_step() {
        let task = Coding { steps: 60, ..Coding::auto_encoding(2, 10.0, 1) };
        let data = task.dataset(0, 4000).unwrap();
        let trials: Vec<_> = (0..4000).map(|at| data.get(at).unwrap()).collect();
        for t in [0, 59] {
            let variance = trials.iter().map(|trial| (trial.input[2 * t] as f64).powi(2)).sum::<f64>() / 4000.0;
            assert!((variance - 1.0).abs() < 0.08, "step {t}: {variance}");
        }
    }

    #[test]
    fn target_is_the_filtered_input() {
        let task = Coding::auto_encoding(2, 10.0, 1);
        let trial = task.dataset(1, 1).unwrap().get(0).unwrap();
        let decay = (-task.dt / 10.0).exp();
        let mut x = 0.0;
        for t in 0..task.steps {
            x = decay * x + (1.0 - decay) * trial.input[2 * t + 1] as f64;
            assert!((x - trial.target[2 * t + 1] as f64).abs() < 1e-5, "step {t}");
        }
    }

    #[test]
    fn oscillator_turns_at_its_period() {
        // Without input, the state turns once per period and decays by e^(−period/τ).
        let task = Coding { dt: 0.7, ..Coding::oscillator(30.0, 35.0, 1) };
        let step = ExactStep::of(&task);
        let mut x = vec![1.0, 0.0];
        for _ in 0..50 {
            x = step.advance(&x, &[0.0, 0.0]);
        }
        let want = (-35.0_f64 / 30.0).exp();
        assert!((x[0] - want).abs() < 1e-12 && x[1].abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn a_steady_input_reaches_its_fixed_point() {
        let task = Coding::oscillator(20.0, 90.0, 1);
        let step = ExactStep::of(&task);
        let x = (0..5000).fold(vec![0.0, 0.0], |x, _| step.advance(&x, &[1.0, -0.5]));
        for (row, i) in task.system.iter().zip([1.0, -0.5]) {
            let slope = row[0] * x[0] + row[1] * x[1] + task.gain * i;
            assert!(slope.abs() < 1e-12, "{slope}");
        }
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let task = Coding::auto_encoding(2, 10.0, 30);
        let cases: [(&str, Coding); 6] = [
            ("dt is 0", Coding { dt: 0.0, ..task.clone() }),
            ("steps is 0", Coding { steps: 0, ..task.clone() }),
            ("v0_below is 1.5", Coding { v0_below: 1.5, ..task.clone() }),
            ("input_tau is -1", Coding { input_tau: -1.0, ..task.clone() }),
            ("row of A is 1", Coding { system: vec![vec![1.0], vec![0.0, 1.0]], ..task.clone() }),
            ("entry of A is NaN", Coding { system: vec![vec![f64::NAN]], ..task }),
        ];
        for (want, task) in cases {
            let message = task.dataset(0, 1).unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
        }
    }

    #[test]
    fn parameters_survive_json() {
        let task = Coding::oscillator(20.0, 90.0, 30);
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Coding>(&json).unwrap(), task);
        let unknown = json.replacen("dt", "delta", 1);
        assert!(serde_json::from_str::<Coding>(&unknown).unwrap_err().to_string().contains("delta"));
    }
}
