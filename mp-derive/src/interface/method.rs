//! What a trait says of its methods.

use quote::format_ident;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Pat, Result, ReturnType, TraitItemFn, Type, parse_quote};

use crate::attribute::Arguments;

pub(super) struct Method<'t> {
    pub(super) item: &'t TraitItemFn,
    pub(super) name: Ident,
    pub(super) params: Vec<Param>,
    pub(super) output: &'t Type,
    pub(super) ordinal: u16,
    /// Runs on the connection's own thread: no `context` parameter. Only for traits without a schema.
    pub(super) direct: bool,
    /// The result is not for logs. Only for traits without a schema.
    pub(super) secret: bool,
}

pub(super) struct Param {
    pub(super) name: Ident,
    /// The argument's type as the trait writes it.
    pub(super) written: Type,
    /// The type that is kept in the message.
    pub(super) owned: Type,
    /// How the server passes what it read.
    pub(super) borrowed: bool,
    /// The value is not for logs. Only for traits without a schema.
    pub(super) secret: bool,
}

/// What `#[mp(…)]` says of a method and its parameters.
pub(super) struct MethodArguments {
    pub(super) method: Arguments,
    pub(super) params: Vec<Arguments>,
}

impl MethodArguments {
    /// Every argument met.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Ident> {
        let params = self.params.iter().flat_map(|own| &own.seen);
        self.method.seen.iter().chain(params)
    }
}

/// What the macro makes of a method; `None` for one that is local because of how it looks.
pub(super) fn parse_method<'t>(
    item: &'t TraitItemFn,
    own: &MethodArguments,
    position: usize,
) -> Result<Option<Method<'t>>> {
    let signature = &item.sig;
    let refuse = |span: proc_macro2::Span, text: &str| {
        if item.default.is_some() {
            Ok(None)
        } else {
            Err(Error::new(span, text))
        }
    };
    let ReturnType::Type(_, output) = &signature.output else {
        return refuse(
            signature.span(),
            "a remote method returns a `Result`, since any remote call can fail",
        );
    };
    // Whether a method with a body calls or stays local depends on the schema, but what gives no `Result` cannot call.
    let result = matches!(&**output, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result")));
    if !result && item.default.is_some() {
        return Ok(None);
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            signature.generics.span(),
            "a remote method cannot be generic",
        );
    }
    if let Some(asyncness) = &signature.asyncness {
        return refuse(asyncness.span(), "a remote method is blocking");
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return refuse(signature.span(), "a remote method takes `&self`"),
    }
    let mut params = Vec::new();
    for (input, own) in inputs.zip(&own.params) {
        let FnArg::Typed(input) = input else { continue };
        let Pat::Ident(pattern) = &*input.pat else {
            return refuse(
                input.pat.span(),
                "a parameter needs a name, which is looked up in the schema",
            );
        };
        let written = (*input.ty).clone();
        let (owned, borrowed) = match &written {
            Type::Reference(reference) if reference.mutability.is_some() => {
                return refuse(
                    input.ty.span(),
                    "a remote method cannot change its argument",
                );
            }
            Type::Reference(reference) => match &*reference.elem {
                Type::Slice(slice) => {
                    let element = &slice.elem;
                    (parse_quote!(::std::vec::Vec<#element>), true)
                }
                Type::Path(path) if path.path.is_ident("str") => {
                    (parse_quote!(::std::string::String), true)
                }
                other => (other.clone(), true),
            },
            other => (other.clone(), false),
        };
        params.push(Param {
            name: pattern.ident.clone(),
            written,
            owned,
            borrowed,
            secret: own.secret,
        });
    }
    let own = &own.method;
    let ordinal = match &own.ordinal {
        Some(ordinal) => ordinal.base10_parse()?,
        None => u16::try_from(position)
            .map_err(|_| Error::new(signature.span(), "an interface has at most 65,536 methods"))?,
    };
    Ok(Some(Method {
        item,
        name: signature.ident.clone(),
        params,
        output,
        ordinal,
        direct: own.direct,
        secret: own.secret,
    }))
}

/// The raw name without `r#`.
pub(super) fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

pub(super) fn plan_const(method: &Method<'_>) -> Ident {
    format_ident!("__PLAN_{}", plain(&method.name).to_uppercase())
}

pub(super) fn param_const(method: &Method<'_>, param: &Param) -> Ident {
    format_ident!(
        "__PARAM_{}_{}",
        plain(&method.name).to_uppercase(),
        plain(&param.name).to_uppercase()
    )
}
