//! The modules of a crate, and what leads from one to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::graph::Imports;
use super::lexer::tokens;

/// The modules of a crate, by their paths from its root.
pub(super) struct Modules(BTreeMap<Vec<String>, Module>);

/// A module in a file of its own.
#[derive(Default)]
struct Module {
    file: String,
    /// What `use` brings in, by the name that it has here, and whether that is handed on.
    names: BTreeMap<String, (Vec<String>, bool)>,
    /// Modules of which all is brought in.
    globs: Vec<Vec<String>>,
    /// The paths in its code.
    paths: BTreeSet<Vec<String>>,
    /// The words of its code, without `use`.
    words: BTreeSet<String>,
}

impl Modules {
    /// Reads a crate, from its `lib.rs`.
    pub(super) fn read(source: &Path) -> Result<Self> {
        let mut modules = Self(BTreeMap::new());
        modules.add(source, Path::new("lib.rs"), &[])?;
        Ok(modules)
    }

    fn add(&mut self, source: &Path, file: &Path, path: &[String]) -> Result<()> {
        let text = fs::read_to_string(source.join(file));
        let text = text.with_context(|| format!("{} can't be read", file.display()))?;
        let mut reader = Reader {
            tokens: tokens(&text),
            at: 0,
            module: Module {
                file: file.display().to_string(),
                ..Module::default()
            },
            below: Vec::new(),
        };
        reader.read();
        self.0.insert(path.to_vec(), reader.module);
        for name in reader.below {
            let below = find(source, file, &name);
            let path = [path, &[name]].concat();
            self.add(source, &below, &path)?;
        }
        Ok(())
    }

    /// What each file imports of others.
    pub(super) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (path, module) in &self.0 {
            let own = imports.entry(module.file.clone()).or_default();
            let brought = module
                .names
                .iter()
                .filter_map(|(name, (target, is_handed_on))| {
                    let is_used = !is_handed_on || module.words.contains(name);
                    is_used.then_some(target)
                });
            for target in brought.chain(&module.paths) {
                if let Some((file, name)) = self.definition(path, target, 0)
                    && file != module.file
                {
                    own.insert((file, name));
                }
            }
        }
        imports
    }

    /// The file that defines what a path leads to, and its name there; none if it leads out of the
    /// crate, or to a module.
    fn definition(
        &self,
        from: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(String, String)> {
        let mut rest = path.iter();
        let first = rest.as_slice().first()?;
        let mut at = match first.as_str() {
            "crate" => {
                rest.next();
                Vec::new()
            }
            "self" => {
                rest.next();
                from.to_vec()
            }
            "super" => {
                let mut at = from.to_vec();
                while rest.as_slice().first().is_some_and(|name| name == "super") {
                    rest.next();
                    at.pop()?;
                }
                at
            }
            name => {
                let below = self.below(from, name).is_some();
                let is_known = below || self.0.get(from)?.names.contains_key(name);
                is_known.then(|| from.to_vec())?
            }
        };
        while let Some(name) = rest.next() {
            if let Some(below) = self.below(&at, name) {
                at = below;
                continue;
            }
            let module = self.0.get(&at)?;
            // What is brought in here is defined elsewhere.
            if depth < 8 {
                let names = module.names.get(name).map(|(target, _)| target.clone());
                let globs = module
                    .globs
                    .iter()
                    .map(|glob| [glob, std::slice::from_ref(name)].concat());
                for mut target in names.into_iter().chain(globs) {
                    let is_itself = at == from && target == path;
                    target.extend(rest.as_slice().iter().cloned());
                    if let Some(found) = self
                        .definition(&at, &target, depth + 1)
                        .filter(|_| !is_itself)
                    {
                        return Some(found);
                    }
                }
                if module.names.contains_key(name) {
                    return None;
                }
            }
            return Some((module.file.clone(), name.clone()));
        }
        None
    }

    fn below(&self, path: &[String], name: &str) -> Option<Vec<String>> {
        let below = [path, &[name.to_owned()]].concat();
        self.0.contains_key(&below).then_some(below)
    }
}

/// The file of a module that a file declares.
fn find(source: &Path, file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = if stem == "lib" || stem == "mod" {
        folder.to_owned()
    } else {
        folder.join(stem)
    };
    let alone = folder.join(format!("{name}.rs"));
    if source.join(&alone).exists() {
        alone
    } else {
        folder.join(name).join("mod.rs")
    }
}

/// Reads the words of a file.
struct Reader {
    tokens: Vec<String>,
    at: usize,
    module: Module,
    /// The modules that it declares.
    below: Vec<String>,
}

impl Reader {
    fn read(&mut self) {
        let (mut is_public, mut is_test) = (false, false);
        while let Some(token) = self.next() {
            match token.as_str() {
                "#" => is_test |= self.attribute(),
                "pub" => {
                    is_public = true;
                    if self.is_next("(") {
                        self.skip_brackets();
                    }
                }
                "use" => {
                    self.tree(&[], is_public);
                    (is_public, is_test) = (false, false);
                }
                "mod" => {
                    self.declaration(is_test);
                    (is_public, is_test) = (false, false);
                }
                _ => {
                    (is_public, is_test) = (false, false);
                    self.path(token);
                }
            }
        }
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn is_next(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|next| next == token)
    }

    /// Skips what is in brackets, which come next.
    fn skip_brackets(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.next() {
            match token.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips an attribute. Says whether it is `cfg(test)`.
    fn attribute(&mut self) -> bool {
        if self.is_next("!") {
            self.at += 1;
        }
        let begin = self.at;
        self.skip_brackets();
        let words = self.tokens.get(begin..self.at).unwrap_or_default();
        words == ["[", "cfg", "(", "test", ")", "]"]
    }

    /// A module that is declared, or is here.
    fn declaration(&mut self, is_test: bool) {
        let Some(name) = self.next() else { return };
        if self.is_next("{") {
            // Of a module within the file, `super` is the file.
            self.skip_brackets();
        } else if !is_test {
            self.below.push(name);
        }
    }

    /// What `use` brings in, below a path.
    fn tree(&mut self, above: &[String], is_public: bool) {
        let mut path = above.to_vec();
        while let Some(token) = self.next() {
            match token.as_str() {
                "::" => {}
                "{" => {
                    while !self.is_next("}") && self.at < self.tokens.len() {
                        self.tree(&path, is_public);
                        if self.is_next(",") {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.module.globs.push(path);
                    return;
                }
                "as" => {
                    let name = self.next().unwrap_or_default();
                    self.bring(name, path, is_public);
                    return;
                }
                "self" if !path.is_empty() => {}
                _ => path.push(token),
            }
            if [",", "}", ";"].iter().any(|end| self.is_next(end)) {
                break;
            }
        }
        let name = path.last().cloned().unwrap_or_default();
        self.bring(name, path, is_public);
    }

    fn bring(&mut self, name: String, path: Vec<String>, is_public: bool) {
        if name == "_" {
            self.module.paths.insert(path);
        } else {
            self.module.names.insert(name, (path, is_public));
        }
    }

    /// A word of the code, and the path that it may begin.
    fn path(&mut self, first: String) {
        let mut path = vec![first];
        while self.is_next("::") {
            self.at += 1;
            match self.tokens.get(self.at) {
                Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                    path.push(name.clone());
                    self.at += 1;
                }
                _ => break,
            }
        }
        if let Some(first) = path.first() {
            self.module.words.insert(first.clone());
        }
        if path.len() > 1 {
            self.module.paths.insert(path);
        }
    }
}
