//! Whether the files of a crate import each other in a circle.
//!
//! It reads paths (`crate::a::b`, `super::c`, names of modules and what `use` brings in) as far as
//! they lead to files of the crate. A name that a file only hands on belongs to the file that
//! defines it. Tests are left out.

mod graph;
mod lexer;
mod modules;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};

use crate::repository;

/// The crates whose files must not import each other in a circle.
const CRATES: [&str; 1] = ["control-plane"];

/// Fails if there are circles, with what ties them.
pub(crate) fn check() -> Result<()> {
    let mut circles = String::new();
    for name in CRATES {
        circles.push_str(&circles_of(&repository::root().join(name).join("src"))?);
    }
    if !circles.is_empty() {
        bail!("files import each other in circles:\n{circles}");
    }
    Ok(())
}

/// The circles of a crate, one import a line.
fn circles_of(source: &Path) -> Result<String> {
    let modules = modules::Modules::read(source)?;
    let imports = modules.imports();
    let mut text = String::new();
    for circle in graph::circles(&imports) {
        writeln!(text, "{} files:", circle.len())?;
        for (file, names) in &imports {
            for (other, name) in names {
                if circle.contains(file) && circle.contains(other) {
                    writeln!(text, "  {file} -> {other}: {name}")?;
                }
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::{env, fs, process};

    use super::*;

    /// The circles of a crate with these files.
    fn circles(files: &[(&str, &str)]) -> String {
        let names: BTreeMap<_, _> = files.iter().copied().collect();
        let folder = env::temp_dir().join(format!("imports-{}-{}", process::id(), names.len()));
        for (name, text) in &names {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let found = circles_of(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        found
    }

    #[test]
    fn circles_are_found_through_folders_aliases_and_names_handed_on() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
            (
                "a.rs",
                "use crate::b::{inner, Other as O};\nstruct A(inner::B, O);",
            ),
            (
                "b/mod.rs",
                "mod inner;\nmod other;\npub(crate) use other::Other;\n",
            ),
            (
                "b/inner.rs",
                "// use crate::c::C;\npub struct B(super::Other);",
            ),
            (
                "b/other.rs",
                "pub struct Other; fn f() { \"x\"; crate::c::C::new() }",
            ),
            ("c.rs", "use super::A;\npub struct C;"),
        ]);
        assert!(found.starts_with("4 files:\n"), "{found}");
        for import in [
            "  a.rs -> b/inner.rs: B\n",
            "  a.rs -> b/other.rs: Other\n",
            "  b/inner.rs -> b/other.rs: Other\n",
            "  b/other.rs -> c.rs: C\n",
            "  c.rs -> a.rs: A\n",
        ] {
            assert!(found.contains(import), "{import}{found}");
        }
    }

    #[test]
    fn a_folder_and_what_is_in_it_are_files_like_others() {
        let lib = ("lib.rs", "mod a;");
        let child = ("a/b.rs", "pub struct B(super::A);");
        let uses = "mod b;\nuse b::B;\npub struct A;\nfn f(_: B) {}";
        assert!(circles(&[lib, child, ("a/mod.rs", uses)]).contains("a/b.rs -> a/mod.rs: A"));
        let hands_on = "mod b;\npub use b::B;\npub struct A;";
        assert_eq!(
            circles(&[lib, child, ("a/mod.rs", hands_on), ("x.rs", "")]),
            ""
        );
    }

    #[test]
    fn tests_and_comments_are_left_out() {
        let test = "#[cfg(test)]\nmod tests { use crate::b::B; fn f() { if true {} } }";
        let other = "/* crate::a::A */ pub struct B(crate::a::A);\n#[cfg(test)]\n#[path = \"t.rs\"]\nmod tests;";
        let text = format!("pub struct A; const C: char = '\"'; {test}");
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", &text),
            ("b.rs", other),
            ("t.rs", "use crate::b::B;"),
            ("unused.rs", ""),
        ]);
        assert_eq!(found, "");
    }

    #[test]
    fn the_control_plane_has_no_circles() {
        check().unwrap();
    }
}
