//! Which format a checkpoint has, by its first bytes.

use super::fault::Fault;
use super::other::other;
use crate::pickle;

/// How the tensors lie in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6.
    Zip,
    /// What it wrote before.
    Legacy,
}

/// What can be read.
pub(super) const EXPECTED: &str = "a safetensors file or a checkpoint written by torch.save";

/// What a file is told that ends before its content does.
pub(super) const CUT: &str = "the file is truncated: half a download?";
/// The magic number of torch.save as a pickle of protocol 0.
const MAGIC_LINE: &[u8] = b"L119547037146038801333356L\n";

/// The format of a checkpoint.
pub(super) fn format(bytes: &[u8]) -> Result<Format, Fault> {
    // A safetensors file starts with the length of its header, so its ninth byte is the header's brace;
    // none of PyTorch's formats can have one there.
    if bytes.get(8) == Some(&b'{') {
        Ok(Format::Safetensors)
    } else if bytes.starts_with(b"PK\x03\x04") {
        Ok(Format::Zip)
    } else if bytes.starts_with(&[pickle::PROTO]) || bytes.starts_with(MAGIC_LINE) {
        Ok(Format::Legacy)
    } else {
        Err(Fault::new("byte 0", EXPECTED, other(bytes)))
    }
}
