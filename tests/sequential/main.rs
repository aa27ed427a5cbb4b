//! Sampled, sequential sweeps replayed on outcomes that are all known: made-up ones, whose images differ in how easily they are
//! lost, and those of a real network. A population of images is taken as the truth; test sets are drawn from it, in random
//! order, and measured as a sweep that stops early would. What is then said of a layer is held against the truth.

mod population;
mod replay;
mod sampling;
mod stopping;
