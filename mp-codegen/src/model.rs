//! What the schemas say, with the annotations understood: what the emitters print.

mod build;
mod generic;
mod notes;

pub(crate) use generic::is_instance;

use crate::request::{Node, Request, Type, Value};
use crate::{Error, Place, Problem, names};
use build::Builder;
use std::collections::{BTreeMap, BTreeSet};

/// A schema file.
pub(crate) struct File {
    /// As it was named to the compiler.
    pub(crate) name: String,
    /// The Rust module.
    pub(crate) module: String,
    /// In declaration order, nested types after the type that holds them, then the instances of generic types.
    pub(crate) items: Vec<Item>,
}

pub(crate) enum Item {
    Interface(Interface),
    Struct(Struct),
    Enum(Enum),
    Const(Const),
}

pub(crate) struct Interface {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) constant: String,
    pub(crate) wrap: String,
    pub(crate) doc: String,
    pub(crate) extends: Vec<u64>,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) rust_name: String,
    pub(crate) doc: String,
    pub(crate) params: Struct,
    pub(crate) results: Struct,
}

/// A struct of a file, an instance of a generic one, or an implicit one of a method; the last two have id 0.
pub(crate) struct Struct {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Empty for an implicit struct.
    pub(crate) constant: String,
    pub(crate) wrap: String,
    pub(crate) doc: String,
    pub(crate) data_words: u16,
    pub(crate) pointers: u16,
    /// In declaration order.
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) rust_name: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    pub(crate) offset: u32,
    pub(crate) default: u64,
    pub(crate) implicit: bool,
    pub(crate) exception: String,
    /// Never shown in logs.
    pub(crate) secret: bool,
}

pub(crate) struct Enum {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) doc: String,
    /// Names and comments, by ordinal.
    pub(crate) enumerants: Vec<(String, String)>,
}

pub(crate) struct Const {
    pub(crate) name: String,
    pub(crate) constant: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    pub(crate) value: Value,
}

/// Where a type of the requested files is found in the generated code.
pub(crate) struct Home {
    pub(crate) module: String,
    /// The name of its table, which is also the name of its id.
    pub(crate) constant: String,
    /// The name in the schema.
    pub(crate) name: String,
}

/// The requested files and where their types are.
pub(crate) struct Model {
    pub(crate) files: Vec<File>,
    pub(crate) homes: BTreeMap<u64, Home>,
    /// The names of all types, those of other files too.
    names: BTreeMap<u64, String>,
}

impl Model {
    /// The name of the table of an instance of a generic struct.
    pub(crate) fn instance_constant(&self, ty: &Type) -> String {
        generic::constant(&generic::spell(ty, &self.names))
    }
}

/// Makes the model of the files that `request` names.
pub(crate) fn build(request: &Request) -> Result<Model, Error> {
    let names: BTreeMap<u64, String> = request
        .nodes
        .iter()
        .map(|(&id, node)| (id, local_name(node).to_owned()))
        .collect();
    let mut modules = BTreeSet::new();
    let mut homes = BTreeMap::new();
    let mut drafts = Vec::new();
    for file in &request.files {
        let module = module_name(&file.name);
        let place = Place {
            file: file.name.clone(),
            line: None,
            item: module.clone(),
        };
        if !names::is_identifier(&module) {
            return Err(Error::at(place, Problem::Name(module)));
        }
        if !modules.insert(module.clone()) {
            return Err(Error::at(place, Problem::FileClash(module)));
        }
        let ids = declared(request, file.id)?;
        for &id in &ids {
            let name = local_name(&request.nodes[&id]).to_owned();
            let constant = names::screaming(&name);
            homes.insert(
                id,
                Home {
                    module: module.clone(),
                    constant,
                    name,
                },
            );
        }
        drafts.push((file.name.clone(), module, ids));
    }
    let mut files = Vec::new();
    for (name, module, ids) in drafts {
        let builder = Builder {
            request,
            homes: &homes,
            names: &names,
            file: &name,
        };
        let items = builder.items(&ids)?;
        files.push(File {
            name,
            module,
            items,
        });
    }
    files.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(Model {
        files,
        homes,
        names,
    })
}

pub(crate) fn module_name(file: &str) -> String {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    names::snake(base.strip_suffix(".capnp").unwrap_or(base)).replace(['-', '.', '+'], "_")
}

/// The name within the file: `Outer.Inner`.
fn local_name(node: &Node) -> &str {
    node.display_name
        .rsplit_once(':')
        .map_or(node.display_name.as_str(), |(_, name)| name)
}

/// Ids of what a file declares, depth first. Groups and implicit structs are in no list of nested nodes.
fn declared(request: &Request, file: u64) -> Result<Vec<u64>, Error> {
    let root = request
        .nodes
        .get(&file)
        .ok_or(Error::Request("a requested file is not among the nodes"))?;
    let mut seen = BTreeSet::from([file]);
    let mut stack: Vec<u64> = root.nested.iter().rev().copied().collect();
    let mut ids = Vec::new();
    while let Some(id) = stack.pop() {
        // The compiler leaves out nested nodes that nothing uses, annotations for one.
        let Some(node) = request.nodes.get(&id) else {
            continue;
        };
        if !seen.insert(id) {
            return Err(Error::Request("a node is nested twice"));
        }
        stack.extend(node.nested.iter().rev());
        ids.push(id);
    }
    Ok(ids)
}
