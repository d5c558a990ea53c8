//! Schema files of what was declared in Rust, for peers that want one.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

use super::{CONTEXT_ID, Field, Interface, Kind, Struct};
use crate::field::Field as Value;
use crate::plan::{THREAD_MAP_ID, has_companion};

/// Why something cannot be written to a schema file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It was declared with `schema = …`: the file exists, and this is not it.
    #[error("`{0}` has a schema file already")]
    HasSchema(&'static str),
    /// Two types of one name; a schema file has one namespace.
    #[error("two types are called `{0}`")]
    NameTaken(String),
    /// A parameter or result whose name a generator would not find from how a schema has to spell it. There is an
    /// annotation for members and methods, and none for these.
    #[error("`{0}` cannot be spelled in a schema; give it another name")]
    Spelling(&'static str),
    /// A struct or an interface by its id alone, of which nothing else is known.
    #[error("type 0x{0:016x} has no name here")]
    NoName(u64),
}

/// A Cap'n Proto schema file of interfaces and structs that have none: those whose macros were given an `id`.
///
/// Peers in other languages are built from it. It carries the annotations of libmultiprocess, so its generator
/// understands it, as does `mpgen`, whose tables are then those that the macros computed. What the added items refer
/// to is added with them.
///
/// ```
/// use mp_core::schema::SchemaFile;
/// # struct Codec;
/// #[mp_core::interface(codec = Codec, id = 0xa5c1_7be0_1234_9f02)]
/// trait Clock: Send + Sync {
///     fn hours_since(&self, epoch: i64) -> Result<Option<u32>, mp_core::Error>;
/// }
///
/// let file = SchemaFile::new(0xf0d1_55c9_0a7e_43b8).interface::<dyn Clock>()?;
/// assert!(file.to_string().ends_with("\
/// interface Clock @0xa5c17be012349f02 $Proxy.wrap(\"Clock\") {
///     hoursSince @0 (context :Proxy.Context, epoch :Int64) -> (result :UInt32, hasResult :Bool);
/// }
/// "));
/// # Ok::<(), mp_core::schema::ExportError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SchemaFile {
    id: u64,
    /// In the order of their adding; empty while a text is being made.
    items: Vec<(String, String)>,
    /// The ids of the items by their names; 0 for one that the compiler gives an id.
    ids: BTreeMap<String, u64>,
    secrets: bool,
}

/// How a schema spells the type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldType {
    text: String,
    companion: bool,
}

/// The types of a method's parameters and results, without what the runtime fills.
#[doc(hidden)]
#[derive(Debug)]
pub struct MethodTypes {
    pub params: Vec<FieldType>,
    pub results: Vec<FieldType>,
}

impl FieldType {
    /// How `T` is kept.
    ///
    /// # Errors
    /// If it cannot be said in a schema file.
    pub fn of<C, T: Value<C>>(file: &mut SchemaFile) -> Result<Self, ExportError> {
        Ok(Self {
            text: T::schema_type(file)?,
            companion: T::OPTIONAL && has_companion(&T::KIND),
        })
    }
}

impl SchemaFile {
    /// An empty file with this id: 64 random bits of which the first is set.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self {
            id,
            items: Vec::new(),
            ids: BTreeMap::new(),
            secrets: false,
        }
    }

    /// Adds an interface.
    ///
    /// # Errors
    /// If it, or something that it refers to, has a schema file, or a name that is taken.
    pub fn interface<I: crate::Interface + ?Sized>(mut self) -> Result<Self, ExportError> {
        I::describe(&mut self)?;
        Ok(self)
    }

    /// Adds a struct.
    ///
    /// # Errors
    /// As above.
    pub fn message<C, T: Value<C>>(mut self) -> Result<Self, ExportError> {
        T::schema_type(&mut self)?;
        Ok(self)
    }

    /// The type that is kept as the kind says, where nothing more is known of it.
    pub(crate) fn plain(&self, kind: &Kind) -> Result<String, ExportError> {
        Ok(match kind {
            Kind::Void => "Void".to_owned(),
            Kind::Bool => "Bool".to_owned(),
            Kind::Bits8 => "UInt8".to_owned(),
            Kind::Bits16 => "UInt16".to_owned(),
            Kind::Bits32 => "UInt32".to_owned(),
            Kind::Bits64 => "UInt64".to_owned(),
            Kind::Text => "Text".to_owned(),
            Kind::Data => "Data".to_owned(),
            Kind::AnyPointer => "AnyPointer".to_owned(),
            Kind::List(element) => format!("List({})", self.plain(element)?),
            Kind::Struct(id) | Kind::Interface(id) => {
                let found = self.ids.iter().find(|(_, known)| *known == id && *id != 0);
                found.ok_or(ExportError::NoName(*id))?.0.clone()
            }
        })
    }

    /// Adds a struct of two fields, as pairs and the entries of maps are kept; gives its name.
    pub(crate) fn pair(&mut self, first: &str, second: &str) -> Result<String, ExportError> {
        let word = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let name = format!("Pair{}{}", word(first), word(second));
        let text =
            format!("struct {name} {{\n    first @0 :{first};\n    second @1 :{second};\n}}\n");
        if self.begin(&name, 0)? {
            self.end(&name, text);
        } else if !self.items.contains(&(name.clone(), text)) {
            return Err(ExportError::NameTaken(name));
        }
        Ok(name)
    }

    /// Adds a struct, whose members have the types that `types` gives; gives its name.
    #[doc(hidden)]
    pub fn add_struct(
        &mut self,
        table: &Struct,
        types: impl FnOnce(&mut Self) -> Result<Vec<FieldType>, ExportError>,
    ) -> Result<String, ExportError> {
        if self.begin(table.name, table.id)? {
            let types = types(self)?;
            let mut text = format!("struct {} @0x{:016x}", table.name, table.id);
            annotate(&mut text, "wrap", table.wrap);
            text.push_str(" {\n");
            for (ordinal, field) in self.fields(table.fields, types).into_iter().enumerate() {
                let (name, rest) = field.split_once(' ').unwrap_or((&field, ""));
                put(&mut text, format_args!("    {name} @{ordinal} {rest};\n"));
            }
            text.push_str("}\n");
            self.end(table.name, text);
        }
        Ok(table.name.to_owned())
    }

    /// Adds an interface, whose methods, those of the runtime apart, have the types that `types` gives in the order
    /// of their ordinals.
    #[doc(hidden)]
    pub fn add_interface(
        &mut self,
        table: &Interface,
        types: impl FnOnce(&mut Self) -> Result<Vec<MethodTypes>, ExportError>,
    ) -> Result<(), ExportError> {
        if !self.begin(table.name, table.id)? {
            return Ok(());
        }
        let mut types = types(self)?.into_iter();
        let mut text = format!("interface {} @0x{:016x}", table.name, table.id);
        if !table.extends.is_empty() {
            let names: Vec<&str> = table.extends.iter().map(|base| base.name).collect();
            put(&mut text, format_args!(" extends({})", names.join(", ")));
        }
        annotate(&mut text, "wrap", table.wrap);
        text.push_str(" {\n");
        let mut next = 0;
        for method in table.methods {
            // The compiler wants every ordinal; those that Rust left out are methods that nobody serves.
            for free in next..method.ordinal {
                put(
                    &mut text,
                    format_args!("    unused{free} @{free} () -> ();\n"),
                );
            }
            next = method.ordinal.saturating_add(1);
            let own = method
                .params
                .fields
                .iter()
                .any(|field| field.kind == THREAD_MAP);
            let types = if own { None } else { types.next() };
            let (params, results) =
                types.map_or_else(Default::default, |types| (types.params, types.results));
            let params = self.params(method.params.fields, params)?.join(", ");
            let results = self.params(method.results.fields, results)?.join(", ");
            put(
                &mut text,
                format_args!(
                    "    {} @{} ({params}) -> ({results})",
                    method.name, method.ordinal
                ),
            );
            if !own && !tells(method.name, method.rust_name) {
                annotate(&mut text, "name", method.rust_name);
            }
            text.push_str(";\n");
        }
        text.push_str("}\n");
        self.end(table.name, text);
        Ok(())
    }

    fn params(
        &mut self,
        fields: &[Field],
        types: Vec<FieldType>,
    ) -> Result<Vec<String>, ExportError> {
        match fields
            .iter()
            .find(|field| !field.implicit && !tells(field.name, field.rust_name))
        {
            Some(field) => Err(ExportError::Spelling(field.rust_name)),
            None => Ok(self.fields(fields, types)),
        }
    }

    /// Each field as `name :Type $annotations`.
    fn fields(&mut self, fields: &[Field], types: Vec<FieldType>) -> Vec<String> {
        let mut types = types.into_iter();
        let mut companion = false;
        let mut texts = Vec::new();
        for field in fields {
            let ty = match field.kind {
                Kind::Struct(CONTEXT_ID) => "Proxy.Context".to_owned(),
                THREAD_MAP => "Proxy.ThreadMap".to_owned(),
                _ if companion => {
                    companion = false;
                    "Bool".to_owned()
                }
                _ => {
                    let ty = types.next();
                    companion = ty.as_ref().is_some_and(|ty| ty.companion);
                    ty.map_or_else(|| "AnyPointer".to_owned(), |ty| ty.text)
                }
            };
            let mut text = format!("{} :{ty}", field.name);
            if !field.implicit && !tells(field.name, field.rust_name) {
                annotate(&mut text, "name", field.rust_name);
            }
            annotate(&mut text, "exception", field.exception);
            if field.secret {
                self.secrets = true;
                text.push_str(" $Rust.secret");
            }
            texts.push(text);
        }
        texts
    }

    /// Takes a name; `false` if the same item is there already.
    fn begin(&mut self, name: &str, id: u64) -> Result<bool, ExportError> {
        match self.ids.insert(name.to_owned(), id) {
            None => {
                self.items.push((name.to_owned(), String::new()));
                Ok(true)
            }
            Some(same) if same == id => Ok(false),
            Some(_) => Err(ExportError::NameTaken(name.to_owned())),
        }
    }

    fn end(&mut self, name: &str, text: String) {
        if let Some(item) = self.items.iter_mut().find(|item| item.0 == name) {
            item.1 = text;
        }
    }
}

const THREAD_MAP: Kind = Kind::Interface(THREAD_MAP_ID);

/// Whether a generator finds the Rust name by itself: each capital begins a word.
fn tells(name: &str, rust_name: &str) -> bool {
    let capital = |byte: &u8| byte.is_ascii_uppercase();
    let bytes = name.as_bytes();
    bytes.iter().filter(|byte| capital(byte)).count() == rust_name.matches('_').count()
        && !bytes.windows(2).any(|pair| pair.iter().all(capital))
}

/// Adds `$Proxy.name("value")`, unless the value is empty.
fn annotate(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        put(text, format_args!(" $Proxy.{name}(\"{value}\")"));
    }
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all");
}

impl Display for SchemaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@0x{:016x};\n", self.id)?;
        writeln!(f, "using Proxy = import \"/mp/proxy.capnp\";")?;
        if self.secrets {
            writeln!(f, "using Rust = import \"/mp/rust.capnp\";")?;
        }
        for (_, text) in &self.items {
            write!(f, "\n{text}")?;
        }
        Ok(())
    }
}
