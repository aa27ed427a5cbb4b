//! Image data sets in their official layouts, decoded to 8-bit planes.
//!
//! [`open`] is the one way in: it finds the files of a data set below the folder that the user named, checks
//! them, takes the images that are asked for, prepares them and gives them back as [`Images`], with a [`Reading`] of what was
//! read. [`fetch`] downloads the official files.
//!
//! | module | what it reads |
//! |---|---|
//! | `mnist` | MNIST, Fashion-MNIST, KMNIST, EMNIST: IDX files, plain or gzip |
//! | `cifar` | CIFAR-10 and CIFAR-100, binary or Python version |
//! | `tiny_imagenet` | 64×64 JPEG files, with a decoded cache beside them |
//! | `folder` | any folder of class sub-folders with image files |
//! | `arrays` | images and labels as arrays of NumPy or safetensors |
//! | `digits` | a subset of MNIST that is part of the program |
//!
//! Each has a `Reader`; a data set more is a module and a line of `data_sets!` in `dataset.rs`.

mod arrays;
mod assemble;
mod cache;
mod cifar;
mod cifar_python;
mod cifar_records;
mod classes;
mod dataset;
mod decode;
mod digits;
mod elsewhere;
pub mod fetch;
mod folder;
mod idx;
mod images;
mod listed;
mod listing;
mod mnist;
mod opening;
mod pick;
mod prepare;
mod reader;
mod reading;
mod remarks;
mod request;
mod resize;
mod split;
mod splits;
mod tiny_imagenet;
mod unpack;

pub use dataset::DatasetKind;
pub use images::Images;
pub use opening::{count, load, open};
pub use pick::{Choice, FILE_ORDER, How, Picked, order};
pub use prepare::{Color, Prepare};
pub use reading::{Reading, Skipped};
pub use request::Request;
pub use resize::Interpolation;
pub use split::Split;
