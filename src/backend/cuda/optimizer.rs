//! Optimiser steps: kernels/optimizer.cu.

use super::context::Context;
use super::launch::Grid;
use crate::backend::Optimizer;
use bytemuck::{Pod, Zeroable};

/// `Step` of kernels/optimizer.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Step {
    weights: u64,
    gradient: u64,
    first: u64,
    second: u64,
    len: u64,
    decay: f32,
    beta2: f32,
    new_mean: f32,
    new_square: f32,
    root: f32,
    epsilon: f32,
    momentum: f32,
    size: f32,
    nesterov: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Step>() == 80);

/// Weights of a thread.
const WEIGHTS: usize = 4;

/// Addresses of a tensor, its gradient and the optimiser's two states.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    /// Weights.
    pub weights: u64,
    /// Their gradient.
    pub gradient: u64,
    /// The optimiser's states; the second may be missing where the optimiser has one.
    pub moments: [u64; 2],
    /// Number of weights.
    pub len: usize,
}

/// Step number `step`, counted from 1.
///
/// # Safety
/// The addresses are those of `len` numbers each, and multiples of 16.
pub unsafe fn step(context: &Context, optimizer: Optimizer, step: u64, tensor: Tensor) {
    let Tensor { weights, gradient, moments: [first, second], len } = tensor;
    let mut parameters = Step { weights, gradient, first, second, len: len as u64, ..Step::zeroed() };
    // Narrowed as on the CPU, whose bits these are.
    let kernel = match optimizer {
        Optimizer::Adam(adam) => {
            let step = step.min(i32::MAX as u64) as i32;
            parameters.decay = adam.weight_decay as f32;
            parameters.beta2 = adam.beta2 as f32;
            parameters.new_mean = (1.0 - adam.beta1) as f32;
            parameters.new_square = (1.0 - adam.beta2) as f32;
            parameters.root = (1.0 - adam.beta2.powi(step)).sqrt() as f32;
            parameters.epsilon = adam.epsilon as f32;
            parameters.size = -(adam.lr / (1.0 - adam.beta1.powi(step))) as f32;
            "adam"
        }
        Optimizer::Sgd(sgd) => {
            parameters.decay = sgd.weight_decay as f32;
            parameters.momentum = sgd.momentum as f32;
            parameters.nesterov = u32::from(sgd.nesterov);
            parameters.size = sgd.lr as f32;
            "sgd"
        }
    };
    let grid = Grid::over(len.div_ceil(WEIGHTS), 256);
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("optimizer", kernel, grid, &parameters) };
}
