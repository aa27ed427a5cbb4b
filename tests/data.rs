//! Every data format: good files, every kind of malformed one, the pixels of Pillow, and real data where it lies
//! beside the checkout.

#[path = "data/cifar10.rs"]
mod cifar10;
#[path = "data/digits.rs"]
mod digits;
#[path = "data/folder.rs"]
mod folder;
#[path = "data/mnist.rs"]
mod mnist;
#[path = "data/pixels.rs"]
mod pixels;
#[path = "data/support.rs"]
mod support;
#[path = "data/tiny_imagenet.rs"]
mod tiny_imagenet;
