//! The CPU kernel with each kind of vectors that this processor has. One test has the program to
//! itself, because the choice holds for the whole process.

use burn::tensor::DType;
use burn_spiking::Implementation;
use burn_spiking::scan::{Vectors, fallbacks};
use burn_spiking_tests::{Draw, NEAR_ROUNDING, Values, crowds, devices, sample, sample_of, sparse_crowds};

#[test]
fn all_vectors_of_this_processor_compute_the_same() {
    let device = &devices()[0];
    let by_kernel = |draw: &Draw, dtype: DType| draw.by_op(device, dtype, Implementation::Fused);
    let networks = sample(60).chain(sample_of(crowds(), 6)).chain(sample_of(sparse_crowds(), 6));
    let networks: Vec<Draw> = networks.filter(Draw::has_kernel).collect();
    let found = Vectors::found();
    assert!(!found.is_empty(), "this processor runs tensor operations only");
    let mut forms: Vec<(Vectors, Vec<[Values; 2]>)> = Vec::new();
    for &vectors in found {
        vectors.limit();
        let of = |draw: &Draw| [by_kernel(draw, DType::F64), by_kernel(draw, DType::F32)];
        forms.push((vectors, networks.iter().map(of).collect()));
    }
    for (vectors, results) in &forms {
        println!("{vectors:?}: {} networks", results.len());
        for (draw, [double, single]) in networks.iter().zip(results) {
            let reference = draw.by_op(device, DType::F64, Implementation::TensorOps);
            let distance = double.distance(&reference);
            assert!(distance < NEAR_ROUNDING, "{vectors:?}: {distance:e}, {draw:?}");
            // Strongly coupled networks magnify the rounding of single precision.
            assert!(single.all().into_iter().flatten().all(|x| x.is_finite()), "{vectors:?}: {draw:?}");
        }
    }
    // Vectors of another width add in another order, so that equal bits everywhere would mean that
    // one form has run twice.
    if let [(_, narrow), (_, wide)] = &forms[..] {
        assert!(narrow != wide, "the limit had no effect");
    }
    assert!(fallbacks().is_empty(), "{:?}", fallbacks());
}
