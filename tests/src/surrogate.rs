//! Networks whose spikes have a surrogate derivative.

use crate::Draw;
use burn_spiking::scan::{Adjoint, Surrogate};
use burn_spiking::{Gate, Neuron};

impl Draw {
    /// Makes the draw suitable for surrogate gradients: leaky neurons, or neurons without a leak, a
    /// threshold as the gate, no learned constants, and a surrogate of each kind in turn.
    pub fn by_surrogate(mut self, at: usize) -> Self {
        self.inputs.constants.clear();
        (self.plan.constants, self.plan.per_neuron) = (false, None);
        self.plan.gate = Gate::Threshold { at: 1.0 };
        if !matches!(self.plan.neuron, Neuron::Nif | Neuron::Lif { .. }) {
            self.plan.neuron = Neuron::Lif { tau_mem: self.plan.neuron.tau().unwrap_or(20.0) };
        }
        let surrogate = match at % 3 {
            0 => Surrogate::FastSigmoid { slope: 5.0 },
            1 => Surrogate::ArcTangent { slope: 2.0 },
            _ => Surrogate::Triangle { slope: 1.3, height: 0.3 },
        };
        self.plan = self.plan.with_adjoint(Adjoint::Surrogate(surrogate)).expect("it is made for a surrogate");
        self
    }
}
