//! The arguments of the macros.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Path, Result, Token, Type, parenthesized};

/// What may stand in `#[interface(…)]` and in `#[mp(…)]`; each use takes what it knows and refuses the rest.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) codec: Option<Type>,
    pub(crate) schema: Option<Path>,
    pub(crate) id: Option<LitInt>,
    pub(crate) ordinal: Option<LitInt>,
    pub(crate) repr: Option<LitStr>,
    pub(crate) results: bool,
    pub(crate) direct: bool,
    pub(crate) root: bool,
    pub(crate) secret: bool,
    pub(crate) async_twin: bool,
    pub(crate) extends: Vec<Path>,
    pub(crate) local: Vec<Ident>,
    /// Every argument met, to refuse those that have no place.
    pub(crate) seen: Vec<Ident>,
}

impl Arguments {
    /// Adds the arguments of another attribute on the same item.
    pub(crate) fn merge(&mut self, other: Self) -> Result<()> {
        for name in &other.seen {
            if self.seen.iter().any(|seen| seen == name) {
                return Err(syn::Error::new(
                    name.span(),
                    format!("`{name}` is given twice"),
                ));
            }
        }
        self.codec = self.codec.take().or(other.codec);
        self.schema = self.schema.take().or(other.schema);
        self.id = self.id.take().or(other.id);
        self.ordinal = self.ordinal.take().or(other.ordinal);
        self.repr = self.repr.take().or(other.repr);
        self.results |= other.results;
        self.direct |= other.direct;
        self.root |= other.root;
        self.secret |= other.secret;
        self.async_twin |= other.async_twin;
        self.extends.extend(other.extends);
        self.local.extend(other.local);
        self.seen.extend(other.seen);
        Ok(())
    }

    /// Refuses arguments other than these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        match self
            .seen
            .iter()
            .find(|name| !known.iter().any(|known| *name == known))
        {
            Some(name) => Err(syn::Error::new(
                name.span(),
                format!(
                    "`{name}` has no place here; known are: {}",
                    known.join(", ")
                ),
            )),
            None => Ok(()),
        }
    }

    /// The arguments of all `#[mp(…)]` among `attributes`.
    pub(crate) fn of(attributes: &[syn::Attribute]) -> Result<Self> {
        let mut all = Self::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("mp"))
        {
            all.merge(attribute.parse_args()?)?;
        }
        Ok(all)
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut out = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            if out.seen.contains(&name) {
                return Err(syn::Error::new(
                    name.span(),
                    format!("`{name}` is given twice"),
                ));
            }
            match name.to_string().as_str() {
                "codec" => out.codec = Some(value(input)?),
                "schema" => out.schema = Some(value(input)?),
                "id" => out.id = Some(value(input)?),
                "ordinal" => out.ordinal = Some(value(input)?),
                "repr" => out.repr = Some(value(input)?),
                "results" => out.results = true,
                "direct" => out.direct = true,
                "root" => out.root = true,
                "secret" => out.secret = true,
                "async_twin" => out.async_twin = true,
                "extends" => out.extends = list(input)?,
                "local" => out.local = list(input)?,
                _ => {
                    return Err(syn::Error::new(
                        name.span(),
                        format!("unknown argument `{name}`"),
                    ));
                }
            }
            out.seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(out)
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn list<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?
        .into_iter()
        .collect())
}
