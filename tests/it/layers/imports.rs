//! Reads which module of a crate imports which, from the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

/// The modules of a crate by their paths, such as `engine::storage::db`; the root is the empty path.
pub(super) type Modules = BTreeMap<String, PathBuf>;

/// One module uses something of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: String,
    pub(super) to: String,
}

/// Finds the modules of a crate, one per file.
pub(super) fn modules_of(sources: &Path) -> Modules {
    let mut modules = Modules::new();
    collect(sources, sources, &mut modules);
    modules
}

fn collect(root: &Path, folder: &Path, modules: &mut Modules) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let relative = path.strip_prefix(root).unwrap().with_extension("");
            let module = relative.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("::");
            let module = if module == "lib" || module == "main" { String::new() } else { module };
            modules.insert(module, path);
        }
    }
}

/// Reads the imports of all modules, those of unit tests excepted. A module that holds another, or is held by it, is no
/// import.
pub(super) fn imports_of(modules: &Modules) -> Vec<Import> {
    let mut imports = BTreeSet::new();
    for (module, file) in modules {
        let parsed = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
        let mut reader = ImportReader { module, paths: Vec::new() };
        reader.visit_file(&parsed);
        let targets = reader.paths.iter().filter_map(|path| target(modules, path));
        imports.extend(
            targets.filter(|to| !is_kin(module, to)).map(|to| Import { from: module.clone(), to: to.to_owned() }),
        );
    }
    imports.into_iter().collect()
}

/// Returns the module that a path leads to: the longest beginning of the path that is one.
fn target<'a>(modules: &'a Modules, path: &[String]) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length].join("::"))).map(|(name, _)| &**name)
}

fn is_kin(one: &str, other: &str) -> bool {
    let holds = |outer: &str, inner: &str| outer == inner || inner.starts_with(&format!("{outer}::"));
    holds(one, other) || holds(other, one)
}

struct ImportReader<'a> {
    module: &'a str,
    /// What is used, from the root of the crate on.
    paths: Vec<Vec<String>>,
}

impl ImportReader<'_> {
    /// Adds a path when it begins in this crate.
    fn add(&mut self, path: &[String]) {
        let own: Vec<&str> = self.module.split("::").filter(|part| !part.is_empty()).collect();
        let supers = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first().map(String::as_str) {
            Some("crate") => (&own[..0], &path[1..]),
            Some("self") => (&own[..], &path[1..]),
            Some("super") => (&own[..own.len().saturating_sub(supers)], &path[supers..]),
            _ => return,
        };
        self.paths.push(base.iter().map(ToString::to_string).chain(rest.iter().cloned()).collect());
    }

    fn add_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(prefix),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(prefix, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for ImportReader<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let is_test = |attribute: &Attribute| {
            attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
        };
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }
}

/// Finds modules that import each other in a circle.
pub(super) fn circle(imports: &[Import]) -> Option<Vec<String>> {
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Import { from, to } in imports {
        of.entry(from).or_default().push(to);
    }
    let (mut done, mut way) = (BTreeSet::new(), Vec::new());
    of.keys().find_map(|module| walk(module, &of, &mut done, &mut way))
}

fn walk<'a>(
    module: &'a str,
    imports: &BTreeMap<&'a str, Vec<&'a str>>,
    done: &mut BTreeSet<&'a str>,
    way: &mut Vec<&'a str>,
) -> Option<Vec<String>> {
    if let Some(begin) = way.iter().position(|passed| *passed == module) {
        return Some(way[begin..].iter().chain([&module]).map(ToString::to_string).collect());
    }
    if !done.insert(module) {
        return None;
    }
    way.push(module);
    let found = imports.get(module).into_iter().flatten().find_map(|next| walk(next, imports, done, way));
    way.pop();
    found
}
