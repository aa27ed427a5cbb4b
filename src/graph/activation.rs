//! Activations: functions of one element, by PyTorch's definitions.

/// A function that is applied to every element.
///
/// Where the derivative needs no more than a bit per element ([`Activation::rectifier`]), the activation is part of the step
/// before it; the others are steps of their own, whose input is kept for the backward pass. Every backend has one table of
/// values and derivatives: `backend/cpu/activation.rs`, `kernels/activation.cuh`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x above 0, `slope`·x below.
    LeakyRelu {
        /// The slope below 0.
        slope: f32,
    },
    /// x·min(max(x + 3, 0), 6)/6.
    HardSwish,
    /// min(max(x + 3, 0), 6)/6.
    HardSigmoid,
    /// 1/(1 + exp(−x)).
    Sigmoid,
    /// x·sigmoid(x), also called swish.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// x above 0, `alpha`·(exp(x) − 1) below.
    Elu {
        /// How far it falls.
        alpha: f32,
    },
    /// x·Φ(x), where Φ(x) = (1 + erf(x/√2))/2.
    Gelu,
}

/// A piecewise linear activation whose derivative is 1 where an element's bit is set, and `below` elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectifier {
    /// The slope below 0.
    pub below: f32,
    /// Whether nothing exceeds [`Rectifier::CAP`]; then `below` is 0, as it is the slope above that, too.
    pub capped: bool,
}

impl Rectifier {
    /// max(x, 0).
    pub const RELU: Rectifier = Rectifier { below: 0.0, capped: false };
    /// The most that a capped one lets through.
    pub const CAP: f32 = 6.0;
}

impl Activation {
    /// As a rectifier, if it is one.
    pub fn rectifier(self) -> Option<Rectifier> {
        match self {
            Activation::Relu => Some(Rectifier::RELU),
            Activation::Relu6 => Some(Rectifier { capped: true, ..Rectifier::RELU }),
            Activation::LeakyRelu { slope } => Some(Rectifier { below: slope, capped: false }),
            _ => None,
        }
    }
}
