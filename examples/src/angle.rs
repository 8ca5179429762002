//! How far two gradients point the same way.

/// The scalar product of two gradients, number by number.
pub fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The cosine of the angle between them.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}
