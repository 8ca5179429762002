//! The angle between two gradients.

/// Returns the scalar product of two gradients.
pub fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the cosine of the angle between two gradients.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}
