//! Execution: control flow, calls, barriers, grids, what kernels print.

mod barriers;
mod calls;
mod control;
mod grid;
mod hostile;
mod machine;
mod print;
