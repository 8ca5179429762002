//! Flows recorded as lists of operations. A flow runs once on symbols, which records the list; the
//! list then runs on any numbers.
//!
//! The op knows a user-defined neuron only as an object, and the methods of an object cannot be
//! generic over numbers. The neuron's flow is generic. So the flow is recorded, and the record runs
//! on any backend's tensors. Flows contain selects instead of branches, so one record is valid for
//! all values of v and I.

use crate::num::Number;
use crate::num::number::without_derivatives;
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

/// One operation. Its operands are the places of earlier operations in the list.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Input(usize),
    Add(usize, usize),
    Sub(usize, usize),
    Mul(usize, usize),
    Div(usize, usize),
    Neg(usize),
    Plus(usize, f64),
    Times(usize, f64),
    Within(usize, f64, f64),
    Below(usize, f64),
    Select(usize, usize, usize),
    Floor(usize),
    Sqrt(usize),
    Exp(usize),
    ExpM1(usize),
    Ln1p(usize),
    SinPi(usize),
    CosPi(usize),
    Atan2Pi(usize, usize),
}

/// A number that records the operations on it.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    list: Rc<RefCell<Vec<Operation>>>,
    place: usize,
    double: bool,
}

/// The place of a recorded comparison.
#[derive(Debug, Clone)]
pub(crate) struct SymbolMask(usize);

impl Symbol {
    fn note(&self, operation: Operation) -> Self {
        let mut list = self.list.borrow_mut();
        list.push(operation);
        Self { list: self.list.clone(), place: list.len() - 1, double: self.double }
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident) => {
        impl $trait for Symbol {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.note(Operation::$trait(self.place, other.place))
            }
        }
    };
}
binary!(Add, add);
binary!(Sub, sub);
binary!(Mul, mul);
binary!(Div, div);

impl Neg for Symbol {
    type Output = Self;
    fn neg(self) -> Self {
        self.note(Operation::Neg(self.place))
    }
}

impl Number for Symbol {
    type Mask = SymbolMask;
    without_derivatives!();

    fn is_double(&self) -> bool {
        self.double
    }
    fn plus(self, c: f64) -> Self {
        self.note(Operation::Plus(self.place, c))
    }
    fn times(self, c: f64) -> Self {
        self.note(Operation::Times(self.place, c))
    }
    fn within(self, low: f64, high: f64) -> Self {
        self.note(Operation::Within(self.place, low, high))
    }
    fn below(&self, c: f64) -> SymbolMask {
        SymbolMask(self.note(Operation::Below(self.place, c)).place)
    }
    fn select(mask: &SymbolMask, then: Self, otherwise: Self) -> Self {
        then.note(Operation::Select(mask.0, then.place, otherwise.place))
    }
    fn floor(self) -> Self {
        self.note(Operation::Floor(self.place))
    }
    fn sqrt(self) -> Self {
        self.note(Operation::Sqrt(self.place))
    }
    fn exp(self) -> Self {
        self.note(Operation::Exp(self.place))
    }
    fn exp_m1(self) -> Self {
        self.note(Operation::ExpM1(self.place))
    }
    fn ln_1p(self) -> Self {
        self.note(Operation::Ln1p(self.place))
    }
    fn sin_cos_pi(self) -> (Self, Self) {
        (self.note(Operation::SinPi(self.place)), self.note(Operation::CosPi(self.place)))
    }
    fn atan2_pi(self, x: Self) -> Self {
        self.note(Operation::Atan2Pi(self.place, x.place))
    }
}

/// A recorded function of A arguments with R results.
#[derive(Debug, Clone)]
pub struct Expression<const A: usize, const R: usize> {
    operations: Vec<Operation>,
    results: [usize; R],
}

/// The result of an operation.
enum Outcome<X: Number> {
    Number(X),
    Mask(X::Mask),
}

impl<const A: usize, const R: usize> Expression<A, R> {
    /// Records a function on symbols of single or double precision.
    pub(crate) fn of(double: bool, function: impl FnOnce([Symbol; A]) -> [Symbol; R]) -> Self {
        let list = Rc::new(RefCell::new((0..A).map(Operation::Input).collect::<Vec<_>>()));
        let arguments = std::array::from_fn(|place| Symbol { list: list.clone(), place, double });
        let results = function(arguments).map(|symbol| symbol.place);
        Self { operations: list.take(), results }
    }

    /// Runs the recorded operations on arguments and returns the results.
    pub fn run<X: Number>(&self, arguments: [X; A]) -> [X; R] {
        let mut found: Vec<Outcome<X>> = Vec::with_capacity(self.operations.len());
        for &operation in &self.operations {
            let number = |place: usize| match &found[place] {
                Outcome::Number(x) => x.clone(),
                Outcome::Mask(_) => unreachable!("numbers and masks have types of their own"),
            };
            let outcome = match operation {
                Operation::Input(which) => arguments[which].clone(),
                Operation::Add(a, b) => number(a) + number(b),
                Operation::Sub(a, b) => number(a) - number(b),
                Operation::Mul(a, b) => number(a) * number(b),
                Operation::Div(a, b) => number(a) / number(b),
                Operation::Neg(a) => -number(a),
                Operation::Plus(a, c) => number(a).plus(c),
                Operation::Times(a, c) => number(a).times(c),
                Operation::Within(a, low, high) => number(a).within(low, high),
                Operation::Below(a, c) => {
                    let mask = number(a).below(c);
                    found.push(Outcome::Mask(mask));
                    continue;
                }
                Operation::Select(mask, a, b) => match &found[mask] {
                    Outcome::Mask(mask) => X::select(mask, number(a), number(b)),
                    Outcome::Number(_) => unreachable!("numbers and masks have types of their own"),
                },
                Operation::Floor(a) => number(a).floor(),
                Operation::Sqrt(a) => number(a).sqrt(),
                Operation::Exp(a) => number(a).exp(),
                Operation::ExpM1(a) => number(a).exp_m1(),
                Operation::Ln1p(a) => number(a).ln_1p(),
                Operation::SinPi(a) => number(a).sin_cos_pi().0,
                Operation::CosPi(a) => number(a).sin_cos_pi().1,
                Operation::Atan2Pi(y, x) => number(y).atan2_pi(number(x)),
            };
            found.push(Outcome::Number(outcome));
        }
        self.results.map(|place| match &found[place] {
            Outcome::Number(x) => x.clone(),
            Outcome::Mask(_) => unreachable!("numbers and masks have types of their own"),
        })
    }
}

/// Records φ of a flow, for numbers of single or double precision.
pub fn phi_of(flow: &impl super::flow::Flow, double: bool) -> Expression<2, 1> {
    Expression::of(double, |[v, i]| [flow.phi(v, i)])
}

/// Records (∂φ/∂v, ∂φ/∂I) of a flow, for numbers of single or double precision.
pub fn slopes_of(flow: &impl super::flow::Flow, double: bool) -> Expression<2, 2> {
    Expression::of(double, |[v, i]| flow.slopes(v, i).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::{Flow, Lif, NeuronModel, Qif};

    #[test]
    fn records_run_like_the_flow() {
        fn check(flow: impl Flow + std::fmt::Debug) {
            let (phi, slopes) = (phi_of(&flow, true), slopes_of(&flow, true));
            for v in [0.0, 0.3, 0.97] {
                for i in [-0.4, 0.02, 0.7, 5.0] {
                    let [found]: [f64; 1] = phi.run([v, i]);
                    let wanted = flow.phi(v, i);
                    assert!((found - wanted).abs() < 1e-14, "{flow:?}, v {v} I {i}");
                    let [dv, di]: [f64; 2] = slopes.run([v, i]);
                    let wanted = flow.slopes(v, i);
                    assert!((dv / wanted.0 - 1.0).abs() < 1e-12 && (di / wanted.1 - 1.0).abs() < 1e-12);
                }
            }
        }
        check(Qif { tau_mem: 25.0 }.over(1.0));
        check(Lif { tau_mem: 20.0 }.over(1.0));
    }
}
