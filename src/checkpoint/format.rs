//! What a file is, by its first bytes: a checkpoint, or something else that is given as one, named in words with
//! what to do.

use super::Fault;
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

/// The first bytes of files that are given as checkpoints, what they are, and what to do.
const OTHERS: [(&[u8], &str); 15] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for the file; `git lfs pull` gets the file itself",
    ),
    (b"\x1f\x8b", "a gzip file; unpack it first (gunzip, or tar xzf)"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ\0", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a numpy array; save the network's state_dict() with torch.save"),
    (b"\x89HDF", "an HDF5 file, as Keras writes; save the weights of a PyTorch network as safetensors"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a GGUF file; save the network's state_dict() with torch.save"),
];

/// The format of a checkpoint.
pub(super) fn format(bytes: &[u8]) -> Result<Format, Fault> {
    // A safetensors file starts with the length of its header, so its ninth byte is the header's brace;
    // none of PyTorch's formats can have one there.
    if bytes.get(8) == Some(&b'{') {
        Ok(Format::Safetensors)
    } else if bytes.starts_with(b"PK\x03\x04") {
        Ok(Format::Zip)
    } else if bytes.starts_with(&[pickle::PROTO]) {
        Ok(Format::Legacy)
    } else {
        Err(Fault::new("byte 0", EXPECTED, other(bytes)))
    }
}

/// What a file is that is no checkpoint.
fn other(bytes: &[u8]) -> String {
    if let Some((_, name)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*name).to_owned();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "a tar archive; unpack it first (PyTorch before 0.2 wrote such files: load it with PyTorch and \
                torch.save it again)"
            .to_owned();
    }
    let start = &bytes[..bytes.len().min(512)];
    let text = std::str::from_utf8(start).map_or_else(|error| &start[..error.valid_up_to()], |_| start);
    let text = String::from_utf8_lossy(text).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if ["<!doctype html", "<html", "<head", "<?xml"].iter().any(|tag| text.starts_with(tag)) {
        return "an HTML page, as a web server sends in the place of a file; download the file itself"
            .to_owned();
    }
    if text.starts_with(['{', '[']) {
        return "JSON text; the weights lie in another file".to_owned();
    }
    match bytes.len() {
        0 => "an empty file".to_owned(),
        _ if bytes.iter().all(|&byte| byte == 0) => "nothing but zeros: a download that failed".to_owned(),
        _ => format!("{:02x?}", &bytes[..bytes.len().min(9)]),
    }
}

/// What a zip archive is that holds no `data.pkl` of torch.save, or holds more than that, by the names of its entries.
pub(super) fn other_zip(names: &[String]) -> Option<String> {
    let any = |is: &dyn Fn(&str) -> bool| names.iter().any(|name| is(name));
    if any(&|name| name.ends_with("constants.pkl")) && any(&|name| name.contains("/code/")) {
        return Some(
            "a TorchScript archive (torch.jit.save); load it with torch.jit.load and torch.save its state_dict()"
                .to_owned(),
        );
    }
    if any(&|name| name.ends_with("data.pkl")) {
        return None;
    }
    if any(&|name| name.ends_with("archive_format") || name.ends_with("serialized_exported_program.json")) {
        return Some(
            "a program of torch.export.save (.pt2); save the network's state_dict() with torch.save"
                .to_owned(),
        );
    }
    if any(&|name| name.ends_with(".npy")) {
        return Some("numpy arrays (.npz); save the network's state_dict() with torch.save".to_owned());
    }
    let checkpoint = |name: &&String| {
        [".pth", ".pt", ".ckpt", ".tar", ".bin", ".pkl", ".safetensors"].iter().any(|end| name.ends_with(end))
    };
    names
        .iter()
        .find(checkpoint)
        .map(|name| format!("a zip archive that holds `{}`; unpack it first", shortened(name)))
}

/// At most 60 characters of a name, on one line.
pub(super) fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(60).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}
