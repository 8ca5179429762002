//! The scaling of gradients before the optimizer's step (feature `train`).
//!
//! The gradients of a strongly coupled network differ in size by orders of magnitude between
//! iterations and between parameters. [`GradientScale`] offers three remedies:
//!
//! ```text
//! unit norm        g_p ← g_p/|g_p|                               for each parameter tensor p by itself
//! global norm      g ← g · min(1, L/|g|)                         |g|² = Σ_p |g_p|²
//! median clipping  g ← g · min(1, m median(last norms)/|g|_r)    |g|_r² = Σ_p (r_p |g_p|)²
//! ```
//!
//! r_p is the learning rate of parameter p, so |g|_r is the norm of the step of plain gradient
//! descent. The median is over the norms of the last iterations before clipping, and includes the
//! current iteration. Median clipping needs no fixed limit. The global norm and median clipping
//! keep the direction of the whole gradient. Burn's `GradientClippingConfig::Norm` does not keep
//! it, because it clips the gradient of each parameter separately. None of the three remedies
//! limits the gradient of a single *sample*; [`Adjoint`](crate::Adjoint) does.

use crate::error::{ConfigError, at_least_one, positive};
use crate::train::stream::streams_as_its_model;
use crate::train::wrapper::{as_its_model, infers_by, one_device_only};
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};
use burn::train::TrainStep;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The rule that scales a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GradientScale {
    /// The gradient stays unchanged.
    #[default]
    Off,
    /// The gradient of each parameter is scaled to norm 1. A gradient of 0 stays 0.
    UnitNorm,
    /// The whole gradient is scaled down if its norm exceeds a limit.
    GlobalNorm {
        /// L, above 0 and finite.
        limit: f64,
    },
    /// The whole gradient is scaled down if its norm exceeds a multiple of the running median.
    MedianClip {
        /// m, above 0 and finite.
        multiple: f64,
        /// Number of iterations in the median, at least 1.
        window: usize,
    },
}

impl GradientScale {
    fn check(self) -> Result<(), ConfigError> {
        match self {
            GradientScale::Off | GradientScale::UnitNorm => Ok(()),
            GradientScale::GlobalNorm { limit } => {
                positive("the limit of the global norm", limit, "use 1, or GradientScale::Off not to clip")
            }
            GradientScale::MedianClip { multiple, window } => {
                positive("the multiple of the median norm", multiple, "use 1.5, or GradientScale::Off not to clip")?;
                at_least_one("the window of the median norm", window, "use 50, or GradientScale::Off not to clip")
            }
        }
    }

    fn window(self) -> usize {
        match self {
            GradientScale::MedianClip { window, .. } => window,
            _ => 0,
        }
    }

    /// Scales the gradients of a module, for a user-written training loop. Waits for the device,
    /// except with [`GradientScale::Off`].
    ///
    /// - `rates`: the learning rates of this step, the same that the optimizer gets.
    /// - `norms`: the norms of the last iterations; an empty vector at the start. Median clipping
    ///   adds the norm of this iteration, unless it is 0 or not finite, and keeps the last `window`
    ///   norms.
    ///
    /// # Panics
    /// If a limit or a multiple is not above 0 and finite, or if the window of the median is 0.
    pub fn apply<M: Module>(
        self,
        module: &M,
        rates: &ModuleLearningRate,
        gradients: GradientsParams,
        norms: &mut Vec<f32>,
    ) -> GradientsParams {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        if self == GradientScale::Off {
            return gradients;
        }
        let mut sizes = Sizes { gradients, ..Sizes::of_nothing(rates) };
        module.visit(&mut sizes);
        let Sizes { gradients, squares, each, .. } = sizes;
        let factors: Vec<f64> = match self {
            GradientScale::Off => unreachable!("it returned"),
            GradientScale::UnitNorm => each.iter().map(|&norm| if norm > 0.0 { 1.0 / norm } else { 1.0 }).collect(),
            GradientScale::GlobalNorm { limit } => {
                let norm = each.iter().map(|norm| norm * norm).sum::<f64>().sqrt();
                vec![if norm > limit { limit / norm } else { 1.0 }; each.len()]
            }
            GradientScale::MedianClip { multiple, window } => {
                // In single precision, like the norms in a record.
                let norm = squares.sqrt() as f32;
                if norm > 0.0 && norm.is_finite() {
                    norms.push(norm);
                }
                if norms.is_empty() {
                    return gradients;
                }
                norms.drain(..norms.len().saturating_sub(window));
                let mut sorted = norms.clone();
                sorted.sort_by(f32::total_cmp);
                let median = 0.5 * (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]);
                let factor = (multiple * median as f64 / norm as f64).min(1.0);
                vec![if factor.is_finite() { factor } else { 1.0 }; each.len()]
            }
        };
        let mut scaled = Scaled { from: gradients, to: GradientsParams::new(), factors: factors.into_iter() };
        module.visit(&mut scaled);
        scaled.to
    }
}

/// The norms of the gradients of a module's parameters, in the module's order. A parameter that
/// occurs twice counts once: [`Averaged`](crate::Averaged) contains each parameter of its model
/// twice.
struct Sizes<'a> {
    rates: &'a ModuleLearningRate,
    gradients: GradientsParams,
    path: Vec<String>,
    /// Σ (r_p |g_p|)².
    squares: f64,
    /// |g_p|.
    each: Vec<f64>,
    seen: HashSet<ParamId>,
}

impl<'a> Sizes<'a> {
    fn of_nothing(rates: &'a ModuleLearningRate) -> Self {
        let gradients = GradientsParams::new();
        Self { rates, gradients, path: Vec::new(), squares: 0.0, each: Vec::new(), seen: HashSet::new() }
    }
}

impl ModuleVisitor for Sizes<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        if !self.seen.insert(param.id) {
            return;
        }
        let square: f64 = gradient.into_data().iter::<f64>().map(|x| x * x).sum();
        let rate = self.rates.lr_from_param(param.id, Some(&self.path.join(".")));
        self.squares += rate * rate * square;
        self.each.push(square.sqrt());
    }
}

/// Multiplies each gradient by its factor, in the order of [`Sizes`].
struct Scaled<F> {
    from: GradientsParams,
    to: GradientsParams,
    factors: F,
}

impl<F: Iterator<Item = f64>> ModuleVisitor for Scaled<F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // If a parameter occurs twice, its gradient has been removed before the second visit.
        let Some(gradient) = self.from.remove::<D>(param.id) else { return };
        let factor = self.factors.next().expect("a factor for each gradient");
        self.to.register(param.id, if factor == 1.0 { gradient } else { gradient * factor });
    }
}

/// A model whose gradients are scaled before each step of the optimizer. The norms of the last
/// iterations are part of its record.
#[derive(Module, Debug)]
pub struct Scaling<M: Module> {
    /// The model that is trained.
    pub model: M,
    /// The norms of the last iterations, `[window]`, the latest at the end; 0 for iterations that
    /// have not taken place. `[1]` without median clipping.
    pub norms: Param<Tensor<1>>,
    #[module(skip)]
    scale: GradientScale,
}

impl<M: Module> Scaling<M> {
    /// Wraps a model before its training, with no norms yet.
    ///
    /// # Errors
    /// [`ConfigError`] if a limit or a multiple is not above 0 and finite, or if the window is 0.
    pub fn new(model: M, scale: GradientScale) -> Result<Self, ConfigError> {
        scale.check()?;
        let device = model.devices().first().cloned().unwrap_or_default();
        // A tensor needs at least one element.
        let norms = Tensor::zeros([scale.window().max(1)], &device);
        Ok(Self { model, norms: Param::from_tensor(norms).set_require_grad(false), scale })
    }

    fn scaled(mut self, rates: &ModuleLearningRate, gradients: GradientsParams) -> (Self, GradientsParams) {
        let before = self.norms.val();
        let mut norms: Vec<f32> = before.to_data().iter::<f32>().filter(|&norm| norm > 0.0).collect();
        let gradients = self.scale.apply(&self.model, rates, gradients, &mut norms);
        if self.scale.window() > 0 {
            let mut padded = vec![0.0; self.scale.window() - norms.len()];
            padded.append(&mut norms);
            let after = Tensor::from_data(TensorData::from(padded.as_slice()), (&before.device(), before.dtype()));
            self.norms = self.norms.map(|_| after);
        }
        (self, gradients)
    }
}

impl<M: Module + TrainStep> TrainStep for Scaling<M> {
    as_its_model!();

    fn optimize(self, optim: &mut ModuleOptimizer, lr: ModuleLearningRate, grads: GradientsParams) -> Self {
        let (scaling, grads) = self.scaled(&lr, grads);
        Self { model: scaling.model.optimize(optim, lr, grads), ..scaling }
    }

    one_device_only!("Scaling");
}

streams_as_its_model!(Scaling);

infers_by!(Scaling, model);

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::Averaged;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    /// The gradients of a linear layer: (3, −4) a for its weights and 12 a for its bias.
    fn gradients(layer: &Linear, device: &Device, a: f64) -> GradientsParams {
        let input = Tensor::<2>::from_data([[3.0, -4.0]], device);
        let output = layer.weight.val().transpose() * input;
        let bias = layer.bias.as_ref().unwrap().val();
        GradientsParams::from_grads(((output.sum() + bias.sum() * 12.0) * a).backward(), layer)
    }

    fn norms(layer: &Linear, gradients: &GradientsParams) -> [f64; 2] {
        let size = |x: Vec<f32>| x.iter().map(|x| (*x as f64).powi(2)).sum::<f64>().sqrt();
        let weight = gradients.get::<2>(layer.weight.id).unwrap().into_data().iter::<f32>().collect();
        let bias = gradients.get::<1>(layer.bias.as_ref().unwrap().id).unwrap().into_data().iter::<f32>().collect();
        [size(weight), size(bias)]
    }

    #[test]
    fn unit_norm_is_of_each_parameter() {
        let device = Device::flex().autodiff();
        let layer: Linear = LinearConfig::new(2, 1).init(&device);
        let scaled =
            GradientScale::UnitNorm.apply(&layer, &1.0.into(), gradients(&layer, &device, 1e3), &mut Vec::new());
        norms(&layer, &scaled).iter().for_each(|norm| assert!((norm - 1.0).abs() < 1e-6, "{norm}"));
        let left = GradientScale::Off.apply(&layer, &1.0.into(), gradients(&layer, &device, 2.0), &mut Vec::new());
        assert_eq!(norms(&layer, &left), [10.0, 24.0]);
    }

    #[test]
    fn the_global_norm_is_cut_and_the_direction_kept() {
        let device = Device::flex().autodiff();
        let layer: Linear = LinearConfig::new(2, 1).init(&device);
        let cut = |a: f64, limit: f64| {
            let clip = GradientScale::GlobalNorm { limit };
            norms(&layer, &clip.apply(&layer, &1e-3.into(), gradients(&layer, &device, a), &mut Vec::new()))
        };
        // The norms are 5 a for the weights, 12 a for the bias and 13 a for both.
        let [weight, bias] = cut(10.0, 2.6);
        assert!((weight - 1.0).abs() < 1e-6 && (bias - 2.4).abs() < 1e-6, "{weight} {bias}");
        assert_eq!(cut(1.0, 13.5), [5.0, 12.0]);
    }

    #[test]
    fn what_is_far_above_the_median_is_cut() {
        let device = Device::flex().autodiff();
        let layer: Linear = LinearConfig::new(2, 1).init(&device);
        let clip = GradientScale::MedianClip { multiple: 1.5, window: 3 };
        let mut last = Vec::new();
        let mut clipped =
            |a: f64| norms(&layer, &clip.apply(&layer, &0.5.into(), gradients(&layer, &device, a), &mut last))[0];
        // The norm is 13 a times the rate.
        // The medians are over a = (1), (1, 2), (1, 2, 100), (2, 100, 1).
        for (a, factor) in [(1.0, 1.0), (2.0, 1.0), (100.0, 0.03), (1.0, 1.0)] {
            let found = clipped(a);
            assert!((found - 5.0 * a * factor).abs() < 1e-4 * a, "{found} for {a}");
        }
        assert_eq!(last, [13.0, 650.0, 6.5]);
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_scaled_once() {
        let device = Device::flex().autodiff();
        let averaged = Averaged::new(LinearConfig::new(2, 1).init(&device), 0.9).unwrap();
        let found = |scale: GradientScale, last: &mut Vec<f32>, a: f64| {
            let gradients = gradients(&averaged.model, &device, a);
            norms(&averaged.model, &scale.apply(&averaged, &1.0.into(), gradients, last))
        };
        let unit = found(GradientScale::UnitNorm, &mut Vec::new(), 1e3);
        unit.iter().for_each(|norm| assert!((norm - 1.0).abs() < 1e-6, "{norm}"));
        let mut last = vec![13.0; 4];
        let clip = GradientScale::MedianClip { multiple: 2.0, window: 9 };
        // The norm is 13 a, and the limit is 26.
        let cut = found(clip, &mut last, 10.0);
        assert!((cut[0] - 10.0).abs() < 1e-4 && (last[4] - 130.0).abs() < 1e-3, "{cut:?} {last:?}");
    }

    #[test]
    fn gradients_of_nothing_are_left_alone() {
        let device = Device::flex().autodiff();
        let layer: Linear = LinearConfig::new(2, 1).init(&device);
        let clip = GradientScale::MedianClip { multiple: 1.5, window: 3 };
        let mut last = Vec::new();
        for (a, wanted) in [(0.0, 0.0), (1.0, 5.0)] {
            let found = norms(&layer, &clip.apply(&layer, &1.0.into(), gradients(&layer, &device, a), &mut last));
            assert!((found[0] - wanted).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(last.len(), 1);
    }

    #[test]
    fn numbers_that_clip_everything_are_refused() {
        let device = Device::flex();
        let told = |multiple, window| {
            let layer: Linear = LinearConfig::new(2, 1).init(&device);
            Scaling::new(layer, GradientScale::MedianClip { multiple, window }).unwrap_err().to_string()
        };
        let limit = GradientScale::GlobalNorm { limit: f64::INFINITY };
        let layer: Linear = LinearConfig::new(2, 1).init(&device);
        assert!(Scaling::new(layer, limit).unwrap_err().to_string().contains("limit of the global norm is inf"));
        assert!(told(0.0, 5).contains("multiple of the median norm is 0"));
        assert!(told(1.5, 0).contains("window of the median norm is 0"));
    }
}
