//! Damaged and hostile checkpoints: each is an error that tells the place, never a panic, never much memory.

use crate::{example, expected_shapes, fixture, input_error, load_bytes, ramp, zip_of};
use proptest::prelude::*;
use std::fs;
use std::io::Read;
use std::sync::OnceLock;
use synfilter::Error;
use synfilter::checkpoint::File;
use tempfile::TempDir;

/// A safetensors file of this header and this many bytes of data.
fn safetensors_of(header: &[u8], data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, &vec![0; data][..]].concat()
}

#[test]
fn damaged_safetensors_headers_are_refused() {
    let cases: [(&[u8], usize, &str, &str); 15] = [
        (br#"{"#, 0, "header", "EOF"),
        (br#"{}"#, 0, "header", "none"),
        (br#"{"a":1}"#, 0, "tensor `a`", "invalid type"),
        (br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 3, "tensor `a`", "offsets 0 to 4"),
        (br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5, "data", "5 bytes"),
        (br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "tensor `a`", "offsets 4 to 0"),
        (br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "tensor `a`", "4 bytes"),
        (br#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "tensor `a`", "-1"),
        (br#"{"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]}}"#, 16, "tensor `a`", "16"),
        (br#"{"a":{"dtype":"U8","shape":[18446744073709551607],"data_offsets":[0,18446744073709551607]}}"#, 4, "tensor `a`", "to 18446744073709551607"),
        (br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#, 6, "tensor `b`", "offsets 2 to 6"),
        (br#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#, 1, "tensor `a`", "`F8_E4M3`"),
        (br#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, 4, "tensor `a`", "int32"),
        (br#"{"__metadata__":{"classes":10},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, 0, "__metadata__", "invalid type"),
        (b"{\"a\xff\":1}", 0, "header, byte 11", "byte 0xff"),
    ];
    for (header, data, place_is, found_has) in cases {
        let (place, expected, found) = input_error(load_bytes(&safetensors_of(header, data)));
        assert!(place == place_is && found.contains(found_has), "{place}: {expected}; {found}");
    }
    let mut long = safetensors_of(br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4);
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(input_error(load_bytes(&long)).0, "bytes 0 to 8");
    let nested = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert!(input_error(load_bytes(&safetensors_of(&nested, 0))).2.contains("recursion limit"));
}

/// The pickle of `{"w": tensor of this shape, strides and offset}` over a storage `0` of `elements` floats.
fn tensor_pickle(shape: &[i32], strides: &[i32], offset: i32, elements: i32) -> Vec<u8> {
    let int = |value: i32| [&b"J"[..], &value.to_le_bytes()].concat();
    let tuple = |values: &[i32]| {
        [b"(".to_vec(), values.iter().flat_map(|&v| int(v)).collect(), b"t".to_vec()].concat()
    };
    [
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec(),
        b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu".to_vec(),
        int(elements),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

fn zip_checkpoint(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let stored = zip::CompressionMethod::Stored;
    zip_of(&[("m/data.pkl", pickle, stored), ("m/data/0", storage, stored)])
}

#[test]
fn tensors_must_lie_within_their_storage_and_the_file() {
    let good = load_bytes(&zip_checkpoint(&tensor_pickle(&[2], &[2], 1, 4), &[0; 16])).unwrap();
    assert_eq!(good.tensors["w"].data, [0.0, 0.0]);
    // A stride along an extent of one is never stepped.
    load_bytes(&zip_checkpoint(&tensor_pickle(&[1, 2, 1], &[i32::MAX, 2, i32::MAX], 1, 4), &[0; 16]))
        .unwrap();
    for (shape, strides, offset, elements, found_has) in [
        (&[5][..], &[1][..], 0, 4, "4 elements of float32"),
        (&[2], &[3], 1, 4, "4 elements of float32"),
        (&[1], &[1], 4, 4, "4 elements of float32"),
        (&[4], &[1], 0, 5, "16 bytes"),
        (&[4], &[1], 0, i32::MAX, "16 bytes"),
        (&[2, 2], &[1], 0, 4, "1"),
        (&[-2], &[1], 0, 4, "-2"),
        (&[i32::MAX; 3], &[0, 0, 0], 0, 4, "beyond that"),
        (&[1; 9], &[1; 9], 0, 4, "9"),
        (&[2], &[-1], 1, 4, "-1"),
    ] {
        let bytes = zip_checkpoint(&tensor_pickle(shape, strides, offset, elements), &[0; 16]);
        let (place, expected, found) = input_error(load_bytes(&bytes));
        assert!(found.contains(found_has), "{shape:?} {strides:?}: {place}: {expected}; {found}");
    }
}

#[test]
fn an_ordered_dict_of_python_2_is_read() {
    // OrderedDict([["w", tensor]]): Python 3 fills the dict item by item instead.
    let item = tensor_pickle(&[4], &[1], 0, 4);
    let item = &item[3..item.len() - 2];
    let ordered = |item: &[u8]| [b"\x80\x02ccollections\nOrderedDict\n(((", item, b"lltR."].concat();
    let storage = [1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let checkpoint = load_bytes(&zip_checkpoint(&ordered(item), &storage)).unwrap();
    assert_eq!(checkpoint.tensors["w"], ramp(&[4], 1.0, 1.0));
    let (_, expected, _) = input_error(load_bytes(&zip_checkpoint(&ordered(b"N"), &storage)));
    assert_eq!(expected, "pairs of key and value");
}

#[test]
fn zip_entries_must_be_whole_as_long_as_declared_and_little_endian() {
    let (stored, deflated) = (zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated);
    let pickle = tensor_pickle(&[4], &[1], 0, 4);
    let bomb = zip_of(&[("m/data.pkl", &pickle, stored), ("m/data/0", &[0; 1 << 20], deflated)]);
    let (_, expected, found) = input_error(load_bytes(&bomb));
    assert_eq!((expected.as_str(), found.as_str()), ("at most 16 bytes", "1048576 bytes"));
    let packed = zip_of(&[("m/data.pkl", &pickle, deflated), ("m/data/0", &[0; 16], deflated)]);
    assert_eq!(load_bytes(&packed).unwrap().tensors["w"], ramp(&[4], 0.0, 0.0));
    let (place, _, _) = input_error(load_bytes(&zip_of(&[("m/data.pkl", &pickle, stored)])));
    assert_eq!(place, "zip entry `m/data/0`");
    let big = zip_of(&[("m/data.pkl", &pickle, stored), ("m/byteorder", b"big", stored)]);
    assert_eq!(input_error(load_bytes(&big)).2, "`big`");
    let little = zip_of(&[
        ("m/data.pkl", &pickle, stored),
        ("m/byteorder", b"little", stored),
        ("m/data/0", &[0; 16], stored),
    ]);
    load_bytes(&little).unwrap();
    // One flipped bit of a weight: the checksum tells.
    let mut flipped = zip_checkpoint(&pickle, &[0xaa; 16]);
    let at = flipped.windows(16).position(|window| window == [0xaa; 16]).unwrap();
    flipped[at] ^= 1;
    assert_eq!(input_error(load_bytes(&flipped)).1, "undamaged content");
    // A declared size beyond the file, in the directory's entry of the storage.
    let mut declared = zip_checkpoint(&pickle, &[0; 16]);
    let entry = declared.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    declared[entry + 20..entry + 28].copy_from_slice(&[0xf0, 0xff, 0xff, 0x7f].repeat(2));
    input_error(load_bytes(&declared));
}

#[test]
fn a_pickle_that_multiplies_itself_costs_no_memory() {
    // Fifty tuples, each holding the one before twice: 2^50 leaves if it were ever copied.
    let mut pickle = b"\x80\x02)q\0".to_vec();
    for level in 0..50 {
        pickle.extend([b'h', level, b'h', level, 0x86, b'q', level + 1]);
    }
    pickle.push(b'.');
    assert_eq!(input_error(load_bytes(&zip_checkpoint(&pickle, &[]))).2, "a tuple");
    // A list and a dict that hold themselves.
    assert_eq!(input_error(load_bytes(&zip_checkpoint(b"\x80\x02]q\0h\0a.", &[]))).2, "a list");
    let own = b"\x80\x02}q\0X\x05\0\0\0modelh\0s.";
    assert_eq!(input_error(load_bytes(&zip_checkpoint(own, &[]))).2, "a dict of 1 items {`model`: a dict}");
    // A declared length of 2^60.
    let long = b"\x80\x04\x8d\0\0\0\0\0\0\0\x10ab";
    assert!(input_error(load_bytes(&zip_checkpoint(long, &[]))).1.starts_with("1152921504606846976 more"));
    // More values than any state dict has.
    let many = [b"\x80\x02".to_vec(), vec![b'N'; 17_000_000]].concat();
    assert_eq!(input_error(load_bytes(&zip_checkpoint(&many, &[]))).2, "more");
}

/// One valid file of every container.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        example().save(&path).unwrap();
        let fixtures = [
            "training.pth",
            "views.pth",
            "legacy.pth",
            "views_legacy.pth",
            "lightning.ckpt",
            "strangers.pth",
            "protocol0.pth",
        ];
        fixtures.map(fixture).into_iter().chain([path]).map(|path| fs::read(path).unwrap()).collect()
    })
}

#[test]
fn every_truncation_is_an_error() {
    for bytes in seeds() {
        for length in 0..bytes.len() {
            input_error(load_bytes(&bytes[..length]));
        }
    }
}

/// The object pickles of some zip fixtures.
fn pickles() -> &'static [Vec<u8>] {
    static PICKLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    PICKLES.get_or_init(|| {
        let read = |name| {
            let mut archive = zip::ZipArchive::new(fs::File::open(fixture(name)).unwrap()).unwrap();
            let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
            let entry = names.iter().find(|name| name.ends_with("/data.pkl")).unwrap();
            let mut pickle = Vec::new();
            archive.by_name(entry).unwrap().read_to_end(&mut pickle).unwrap();
            pickle
        };
        ["zip.pth", "views.pth", "lightning.ckpt", "parameters.pth", "strangers.pth"].map(read).into()
    })
}

/// Sets a few bytes, half of the time to an opcode, and cuts or repeats a piece now and then.
fn mutate(bytes: &mut Vec<u8>, edits: &[(usize, u8, u8)]) {
    const OPCODES: &[u8] = b".(012NJKMGXUTCBILFSV)t]lae}dsupqrghjcioRbPQ\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";
    for &(at, kind, value) in edits {
        if bytes.is_empty() {
            return;
        }
        let at = at % bytes.len();
        match kind {
            0 => bytes.truncate(at),
            1 => {
                let piece = bytes[at..bytes.len().min(at + usize::from(value))].to_vec();
                bytes.splice(at..at, piece);
            }
            2 => drop(bytes.drain(at..bytes.len().min(at + usize::from(value)))),
            3..=9 => bytes[at] = OPCODES[usize::from(value) % OPCODES.len()],
            _ => bytes[at] = value,
        }
    }
}

/// A mutated file either still loads or is an [`Error::Input`]; anything else fails the test.
fn loads_or_is_refused(bytes: &[u8]) {
    let found = File::from_bytes(bytes.to_vec(), "file").and_then(|file| {
        let _ = (file.metadata(3, 5)?, file.objects(), file.tensors().count());
        let found = file.find("the network", &expected_shapes(), None)?;
        file.read(&found, &expected_shapes())
    });
    for error in [load_bytes(bytes).err(), found.err()].into_iter().flatten() {
        assert!(matches!(error, Error::Input { .. }), "{error}");
        assert_eq!(error.to_string().lines().count(), 1, "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(
        seed in 0..8usize,
        edits in prop::collection::vec((any::<usize>(), 0..20u8, any::<u8>()), 1..6),
    ) {
        let mut bytes = seeds()[seed].clone();
        mutate(&mut bytes, &edits);
        loads_or_is_refused(&bytes);
    }

    #[test]
    fn mutated_pickles_in_an_undamaged_zip_never_panic(
        seed in 0..5usize,
        edits in prop::collection::vec((any::<usize>(), 0..20u8, any::<u8>()), 1..4),
    ) {
        let mut pickle = pickles()[seed].clone();
        mutate(&mut pickle, &edits);
        loads_or_is_refused(&zip_checkpoint(&pickle, &[0; 96]));
    }
}
