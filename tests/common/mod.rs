//! What the tests of synfilter hold the engine against: a naive oracle, PyTorch goldens and their formula, and the
//! comparison itself. A package of its own, so that every test target uses the part it needs: `use common::oracle;`.

pub mod activation;
pub mod compare;
pub mod formula;
pub mod golden;
pub mod oracle;
