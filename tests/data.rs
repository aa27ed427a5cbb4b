//! Every data format: good files, every kind of malformed one, the pixels of Pillow, and real data where it lies
//! beside the checkout.

#[path = "data/arrays.rs"]
mod arrays;
#[path = "data/choice.rs"]
mod choice;
#[path = "data/cifar10.rs"]
mod cifar10;
#[path = "data/cifar100.rs"]
mod cifar100;
#[path = "data/cifar_python.rs"]
mod cifar_python;
#[path = "data/digits.rs"]
mod digits;
#[path = "data/elsewhere.rs"]
mod elsewhere;
#[path = "data/folder.rs"]
mod folder;
#[path = "data/idx_sets.rs"]
mod idx_sets;
#[path = "data/mnist.rs"]
mod mnist;
#[path = "data/pixels.rs"]
mod pixels;
#[path = "data/prepare.rs"]
mod prepare;
#[path = "data/splits.rs"]
mod splits;
#[path = "data/support.rs"]
mod support;
#[path = "data/tiny_imagenet.rs"]
mod tiny_imagenet;
