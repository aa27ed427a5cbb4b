//! The architectures, with torchvision's structure, names, shapes and default initialisations.
//!
//! A network more of a known family is a value in the family's file and an entry of `architectures!` in `arch.rs`.

mod arch;
mod densenet;
mod member;
mod mobilenet;
mod resnet;
mod shufflenet;
mod squeezenet;
mod stem;
mod which_stem;

pub use arch::Arch;
pub use stem::Stem;
pub use which_stem::stem_of;
