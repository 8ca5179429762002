//! A layer learns the membrane time constant of each neuron, and the time constant of its synapses,
//! from the traces of another layer.
//!
//! `cargo run --release --example learned_constants`

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use burn_spiking::{ConfigError, Learn, Learned, Neuron, SpikingRnn, SpikingRnnConfig, Synapse};

const NEURONS: usize = 4;
/// The membrane time constants to learn, in ms.
const TAU_MEM: [f64; NEURONS] = [12.0, 16.0, 20.0, 24.0];
/// The time constant of the synapses to learn, in ms.
const TAU_SYN: f64 = 10.0;

fn layer(tau_syn: f64, device: &Device) -> Result<SpikingRnn, ConfigError> {
    SpikingRnnConfig::new(1, NEURONS)
        .with_neuron(Neuron::Lif { tau_mem: 18.0 })
        .with_synapses(vec![Synapse::readout_only(tau_syn)])
        .with_learned(Learned { tau_mem: Learn::PerNeuron, tau_syn: true, ..Learned::default() })
        .init(device)
}

fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.exp().into_data().iter::<f32>().collect()
}

fn main() -> Result<(), ConfigError> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let teacher = layer(TAU_SYN, &device)?.with_tau_mem(&TAU_MEM)?;
    let mut student = layer(20.0, &device)?;
    // The student learns only the time constants.
    student.input_weight = teacher.input_weight.clone().no_grad();
    student.bias = teacher.bias.clone().map(|bias| bias.no_grad());

    let mut optimizer = AdamConfig::new().init();
    for iteration in 0..=150 {
        // The input current changes slowly, and the neurons spike from time to time.
        let wave = Tensor::<3>::random([8, 10, 1], Distribution::Normal(1.0, 1.5), &device);
        let input = wave.repeat_dim(2, 20).reshape([8, 200, 1]);
        let target = teacher.forward(input.clone(), None).0.trace().detach();
        let cost = (student.forward(input, None).0.trace() - target).square().mean();
        if iteration % 50 == 0 {
            let constants = student.constants.as_ref().expect("the layer learns constants");
            let tau_mem = values(constants.log_tau_mem.as_ref().expect("learned").val());
            let tau_syn = values(constants.log_tau_syn.as_ref().expect("learned").val());
            let cost = cost.clone().into_scalar::<f32>();
            println!("{iteration:3}: cost {cost:.4}, tau_mem {tau_mem:.1?} ms, tau_syn {tau_syn:.1?} ms");
        }
        let gradients = GradientsParams::from_grads(cost.backward(), &student);
        student = optimizer.step(0.02, student, gradients);
    }
    println!("wanted: tau_mem {TAU_MEM:?} ms, tau_syn {TAU_SYN} ms");
    Ok(())
}
