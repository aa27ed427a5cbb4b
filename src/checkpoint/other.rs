//! What a file is that is no checkpoint, in words, with what to do.

use super::fault::shortened;

/// The first bytes of files that are given as checkpoints, what they are, and what to do.
const STARTS: [(&[u8], &str); 19] = [
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
    (b"(dp", PICKLE),
    (b"(lp", PICKLE),
    (b"ccollections\nOrderedDict\n", PICKLE),
    // The version of the format and a list of graphs.
    (b"\x08\x01\x12", "a SavedModel of TensorFlow; save the weights of a PyTorch network as safetensors"),
];
const PICKLE: &str = "a pickle of protocol 0 or 1, as pickle.dump writes; save it with torch.save";
/// What ends the index of TensorFlow's checkpoints.
const TABLE: [u8; 8] = 0xdb47_7524_8b80_fb57u64.to_le_bytes();
/// How much of a file is looked at as text.
const TEXT: usize = 512;

/// What a file is that is no checkpoint.
pub(super) fn other(bytes: &[u8]) -> String {
    if let Some((_, name)) = STARTS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*name).to_owned();
    }
    let words = if bytes.get(257..262) == Some(b"ustar") {
        "a tar archive; unpack it first (PyTorch before 0.2 wrote such files: load it with PyTorch and torch.save it \
         again)"
    } else if bytes.get(4..8) == Some(b"TFL3") {
        "a TFLite model; save the state_dict() of the PyTorch network that it was made from"
    } else if is_onnx(bytes) {
        "an ONNX model; save the state_dict() of the PyTorch network that it was exported from"
    } else if is_msgpack(bytes) {
        "MessagePack, as flax writes; save the weights of a PyTorch network as safetensors"
    } else if bytes.ends_with(&TABLE) {
        "the index of a TensorFlow checkpoint; save the weights of a PyTorch network as safetensors"
    } else if bytes.is_empty() {
        "an empty file"
    } else if bytes.iter().all(|&byte| byte == 0) {
        "nothing but zeros: a download that failed"
    } else {
        return text(bytes).unwrap_or_else(|| format!("{:02x?}", &bytes[..bytes.len().min(9)]));
    };
    words.to_owned()
}

/// Whether a file begins as models of ONNX do: the version of the format, then who wrote it or the graph.
fn is_onnx(bytes: &[u8]) -> bool {
    match bytes {
        [0x08, 1..=32, 0x12, length @ 1..=u8::MAX, rest @ ..] => {
            rest.get(..usize::from(*length)).is_some_and(|name| name.iter().all(u8::is_ascii_graphic))
        }
        [0x08, 3..=32, 0x3a | 0x42, ..] => true,
        _ => false,
    }
}

/// Whether a file begins with a map from a name, as MessagePack writes it.
fn is_msgpack(bytes: &[u8]) -> bool {
    let rest = match bytes {
        [0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..] => rest,
        _ => return false,
    };
    let name = match rest {
        [length @ 0xa1..=0xbf, rest @ ..] => rest.get(..usize::from(length & 0x1f)),
        [0xd9, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    };
    name.is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

/// What kind of text a file is, if it is one.
fn text(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(TEXT)];
    let whole = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character that is cut at the end.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = whole.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() || text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    if begins(&["<!doctype html", "<html", "<head"]) {
        return Some(
            "an HTML page, as a web server sends in the place of a file; download the file itself".to_owned(),
        );
    }
    let kind = if begins(&["<?xml", "<"]) {
        "XML text"
    } else if begins(&["{", "["]) {
        "JSON text"
    } else if begins(&["model_checkpoint_path:"]) {
        "the list of a TensorFlow training's checkpoints"
    } else if is_yaml(text) {
        "YAML text"
    } else {
        let line = text.lines().next().unwrap_or_default();
        return Some(format!("text (`{}`); the weights lie in another file", shortened(line)));
    };
    Some(format!("{kind}; the weights lie in another file"))
}

/// Whether text begins with a key and its value, or the mark of a document.
fn is_yaml(text: &str) -> bool {
    let line =
        text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let key = line.split_once(':').filter(|(_, value)| value.is_empty() || value.starts_with(' '));
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    line.starts_with("---") || key.is_some_and(|(key, _)| !key.is_empty() && key.chars().all(name))
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
    if any(&|name| name.ends_with("model.weights.h5")) {
        return Some("a model of Keras; save the weights of a PyTorch network as safetensors".to_owned());
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
