//! kernels/README.md has a row for every file of kernels, and what it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names in backticks of a cell.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_file_of_kernels_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("kernels/README.md")).expect("a table");
    let table = text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 7);
    let mut files = BTreeSet::new();
    for row in table {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [file, kernels, what, launchers, tests, benches] = cells[..] else { panic!("{row}") };
        let file = names(file)[0];
        let source = fs::read_to_string(root.join("kernels").join(file)).expect(file);
        for kernel in names(kernels) {
            let stem = kernel.split(['<', '{', '*']).next().unwrap_or(kernel).trim_end_matches('_');
            assert!(source.contains(stem), "{file}: no kernel {kernel}");
        }
        assert!(!what.trim().is_empty(), "{file}: what it does");
        let there =
            |folder: &str, name: &str| assert!(root.join(folder).join(name).is_file(), "{file}: {name}");
        names(launchers).into_iter().for_each(|name| there("src/backend/cuda", name));
        names(tests).into_iter().for_each(|name| there("", name));
        names(benches).into_iter().for_each(|name| there("benches", &format!("{name}.rs")));
        let none = [launchers, tests, benches].into_iter().find(|cell| names(cell).is_empty());
        assert_eq!(none, None, "{file}: launcher, test and bench");
        files.insert(file.to_owned());
    }
    let all =
        fs::read_dir(root.join("kernels")).expect("kernels").map(|entry| entry.expect("a file").file_name());
    let all: BTreeSet<String> =
        all.filter_map(|name| name.into_string().ok()).filter(|n| n.ends_with(".cu")).collect();
    assert_eq!(files, all);
}
